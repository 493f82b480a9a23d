//! The network side of model delivery: sources, resolve, ranged fetch, retries, tokens.
//!
//! A [`Source`] answers for repositories: which commit a revision is, which files a commit has, and the
//! bytes of a file's range. [`Hub`] is the source that speaks the Hub's HTTP protocol. A [`Fetcher`] brings
//! whole files from a source to a [`BlobSink`], in segments over several connections.
//!
//! **Invariant:** nothing here writes to disk, reads the environment or trusts a byte. File names, sizes and
//! digests from the network are checked where they enter; content is handed on unverified and says so.

pub mod clock;
pub mod config;
pub mod error;
pub mod fallback;
pub mod fetcher;
pub mod headers;
pub mod hub;
pub mod progress;
pub mod safe_url;
pub mod secret;
pub mod sink;
pub mod source;

mod redirects;
mod request_id;
mod request_limit;
mod retrying;
mod tls;
mod transport;
mod unexpected;

pub use clock::{Clock, SystemClock};
pub use config::{ConfigError, FetchConfig, HubConfig, ProxyConfig};
pub use error::{Answer, HubError, ProtocolFault};
pub use fallback::{Fallback, Named};
pub use fetcher::{Demand, FetchItem, FetchReport, Fetcher};
pub use hub::Hub;
pub use hub::listing::{ListingError, parse_listing_page};
pub use hub::raw::{RawDocument, RawRequest};
pub use progress::{NoProgress, Progress, WaitReason};
pub use request_id::RequestId;
pub use request_limit::RequestLimit;
pub use safe_url::SafeUrl;
pub use secret::Secret;
pub use sink::{BlobSink, SinkError};
pub use source::{FileBody, FileRequest, RefKind, RepoInfo, RepoRef, Source, SourceError, SourceFault};
pub use transport::{http_client, is_untrusted};
pub use unexpected::Unexpected;
