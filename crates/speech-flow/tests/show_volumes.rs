//! Volumes as clusters have them: read-only, without symbolic links, full, and used by a user without a home.

#[path = "show_volumes/full.rs"]
mod full;
#[path = "show_volumes/no_links.rs"]
mod no_links;
#[path = "show_volumes/read_only.rs"]
mod read_only;

#[path = "support/audit.rs"]
mod audit;
#[path = "show_volumes/stranger.rs"]
mod stranger;
#[path = "support/support.rs"]
mod support;
#[path = "show_volumes/trace.rs"]
mod trace;
#[path = "show_volumes/volume.rs"]
mod volume;
#[path = "shows/wrapped.rs"]
mod wrapped;
