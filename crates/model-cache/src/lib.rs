//! The disk side of model delivery: layout, staging, verify, commit, locks, leases, clean-up.
//!
//! One way through it, with a type for each state, so that no step can be left out:
//!
//! ```text
//! Cache::stage -> Staging -> StagedBlob -> verify -> VerifiedBlob -> commit_blob -> link -> write_ref
//! ```
//!
//! **Invariant:** a file under its final name is whole and verified, whatever is killed at any moment,
//! and whether or not the volume's locks work. A cache on a read-only volume is never written to.
//!
//! **Invariant:** nothing here talks to a network; bytes are handed in.

mod cache;
mod clear;
mod commit;
mod error;
mod gc;
mod heartbeat;
mod journal;
mod layout;
mod leases;
mod locks;
mod owner;
mod pins;
mod quarantine;
mod scan;
mod shared_blobs;
mod snapshot;
mod space;
mod staging;
mod state_files;
mod trees;
mod usage;
mod verify;
mod volume;

pub use cache::{Access, Cache, CacheConfig, DEFAULT_SEGMENT_BYTES, STALE_LOCK_AFTER, Symlinks};
pub use error::CacheError;
pub use journal::{InvalidJournal, Journal, JournalHeader, parse_journal};
pub use layout::Layout;
pub use locks::probe_locks;
pub use quarantine::QuarantineReason;
pub use snapshot::{SnapshotFile, SnapshotView};
pub use space::{HEADROOM_BYTES, Reservation};
pub use staging::{
    Busy, Growth, PartialOwner, Reach, Stage, StagedBlob, Staging, WriteBudget, partial_liveness, partial_owner,
};
pub use trees::{InvalidTree, format_tree, parse_tree};
pub use verify::{FileVerdict, Mismatch, VerifiedBlob, verify, verify_file};
pub use volume::{Space, Writability, probe_symlinks, space, writability};

pub use clear::{ClearReport, ClearTarget, Hold, Refused, Removed};
pub use gc::{
    DEFAULT_GRACE_PERIOD, DEFAULT_INCOMPLETE_AFTER, GcItem, GcPlan, GcPolicy, GcReport, KeepReason, Kept,
    PlannedRemoval, RemoveReason, plan_gc,
};
pub use heartbeat::{HEARTBEAT_INTERVAL, Heartbeat};
pub use leases::{Lease, LeaseInfo};
pub use owner::{Liveness, OwnerId, SILENT_AFTER, VolumeClock};
pub use pins::{Pin, PinRole};
pub use scan::{
    CacheReport, CachedFile, CachedPartial, CachedRepo, CachedRevision, Completeness, Content, Download, Orphan,
    OrphanKind, Problem,
};
pub use usage::{ModelRecord, RecordedFile};
