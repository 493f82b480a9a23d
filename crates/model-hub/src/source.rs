//! Where models come from.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream};
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId, Revision};

use crate::{HubError, RequestId, WaitReason};

/// A place that holds repositories of models.
///
/// Metadata calls retry by themselves. [`Source::open`] does not: a [`crate::Fetcher`] does, since it knows
/// which bytes have arrived.
///
/// # Cancel safety
/// Every future may be dropped; nothing but the connection it used is lost.
pub trait Source: Send + Sync {
    /// Settles a revision.
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>>;

    /// Lists all files of a commit, sorted by path.
    fn list<'a>(&'a self, repo: &'a RepoId, commit: &'a CommitHash)
    -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>>;

    /// Opens a range of a file.
    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>>;

    /// Lists branches and tags.
    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>>;

    /// Asks whether the configured token may read the repository.
    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>>;
}

/// Why a source that is no hub did not give what was asked for, as retries and people need to know it.
pub trait SourceFault: Error + Send + Sync + 'static {
    /// Whether the same request may succeed later.
    fn is_transient(&self) -> bool;

    /// How long the source asks to wait before the next request.
    fn retry_after(&self) -> Option<Duration>;

    /// How a wait because of it is called.
    fn wait_reason(&self) -> WaitReason;

    /// One thing to do about it.
    fn hint(&self) -> Option<Cow<'static, str>>;
}

/// A [`SourceFault`] of any source.
#[derive(Debug)]
pub struct SourceError(Box<dyn SourceFault>);

impl SourceError {
    /// Wraps a source's own error.
    pub fn new(fault: impl SourceFault) -> Self {
        Self(Box::new(fault))
    }

    /// The source's own error.
    pub fn fault(&self) -> &dyn SourceFault {
        &*self.0
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// What a source says about a repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoInfo {
    /// The commit the revision stands for.
    pub commit: CommitHash,
    /// Licence by the model card or its tags, e.g. `apache-2.0`.
    pub license: Option<String>,
    /// Models this one was made from, by the model card or its tags.
    pub base_models: Vec<String>,
    /// Whether people must ask for access.
    pub gated: bool,
    /// Whether only some accounts see it.
    pub private: bool,
    /// When the repository last changed, as the source writes it.
    pub last_modified: Option<String>,
}

/// A name that stands for a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoRef {
    /// E.g. `main` or `v1.0`.
    pub name: String,
    /// What kind of name.
    pub kind: RefKind,
    /// The commit it stands for now.
    pub commit: CommitHash,
}

/// Kinds of names of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// Moves.
    Branch,
    /// Should not move.
    Tag,
}

/// A range of a file at a commit.
#[derive(Debug, Clone)]
pub struct FileRequest<'a> {
    /// The repository.
    pub repo: &'a RepoId,
    /// The commit.
    pub commit: &'a CommitHash,
    /// The file, with the size and digest it is expected to have.
    pub file: &'a RemoteFile,
    /// The bytes that are wanted; not empty, inside the file.
    pub range: Range<u64>,
    /// What an earlier body of this file gave as [`FileBody::validator`].
    pub validator: Option<&'a str>,
}

/// The bytes of an opened range.
pub struct FileBody {
    range: Range<u64>,
    validator: Option<String>,
    request_id: Option<RequestId>,
    first: Option<Bytes>,
    rest: BoxStream<'static, Result<Bytes, HubError>>,
}

impl FileBody {
    /// A body that brings the bytes of `range`, in order. It may end early; it must not bring more.
    pub fn new(range: Range<u64>, rest: BoxStream<'static, Result<Bytes, HubError>>) -> Self {
        Self { range, validator: None, request_id: None, first: None, rest }
    }

    /// Adds the server's name for this version of the content (a strong ETag).
    #[must_use]
    pub fn with_validator(mut self, validator: Option<String>) -> Self {
        self.validator = validator;
        self
    }

    /// Adds the request that the body answers, for errors.
    #[must_use]
    pub fn with_request_id(mut self, request_id: RequestId) -> Self {
        self.request_id = Some(request_id);
        self
    }

    /// Puts bytes in front that were read already.
    #[must_use]
    pub fn with_first(mut self, first: Bytes) -> Self {
        self.first = Some(first).filter(|bytes| !bytes.is_empty());
        self
    }

    /// The bytes that will come: starts where asked, may end earlier than asked.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The request that the body answers, where there was one.
    pub fn request_id(&self) -> Option<RequestId> {
        self.request_id
    }

    /// The server's name for this version of the content.
    pub fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }
}

impl Stream for FileBody {
    type Item = Result<Bytes, HubError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.as_mut().poll_next(cx),
        }
    }
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBody")
            .field("range", &self.range)
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}
