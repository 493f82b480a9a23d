//! Faults by rule: which requests go wrong, how, and how often.

use serde::{Deserialize, Serialize};

mod apply;
mod rules;

pub(crate) use apply::{change_request, change_response};
pub use rules::{FaultId, FaultState};
pub(crate) use rules::{FaultRules, Subject};

/// A fault that happens to some requests.
///
/// ```
/// use speech_flow_demo_hub::{Action, Endpoint, FaultRule, RetryAfter};
///
/// // The first two listings are refused, and every weights file is cut after a megabyte.
/// let busy = FaultRule::new(Action::too_many_requests(RetryAfter::Seconds(1))).on(Endpoint::Tree).first(2);
/// let cut = FaultRule::new(Action::CutAfter { bytes: 1 << 20 }).path("*.bin");
/// # let _ = (busy, cut);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which requests the rule is for.
    #[serde(rename = "match", default)]
    pub matching: Matching,
    /// What happens to them.
    pub action: Action,
    /// Which of them it happens to.
    #[serde(default)]
    pub times: Times,
}

/// Which requests a rule is for. What is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// The kind of request. Unset, an action that changes a body spares redirects.
    pub endpoint: Option<Endpoint>,
    /// The method. Unset, an action that changes a body is for `GET` (and `POST`) only.
    pub method: Option<String>,
    /// The repository, `owner/name`.
    pub repo: Option<String>,
    /// A pattern for the path; `*` stands for any text, slashes included. One that starts with `/` is
    /// compared with the path of the URL, any other with the path of the file in its repository,
    /// wherever that file is served from.
    pub path: Option<String>,
    /// Whether the request asks for a range.
    pub ranged: Option<bool>,
}

/// Which of the matching requests a fault happens to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// To each.
    #[default]
    Every,
    /// To the first n.
    First(u32),
    /// To each but the first n.
    After(u32),
    /// To the n-th only, counted from 1.
    Nth(u32),
}

/// The kinds of requests that a hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Endpoint {
    /// Model information, with and without a revision.
    Info,
    /// A listing.
    Tree,
    /// Information about some paths.
    PathsInfo,
    /// Branches and tags.
    Refs,
    /// History.
    Commits,
    /// A file at the hub.
    Resolve,
    /// A file at the second port.
    Cdn,
    /// Who a token belongs to, and whether it has access.
    Account,
    /// All else.
    Other,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Answers with a status in place of the true answer.
    Status {
        /// The status code.
        status: u16,
        /// When to come back.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        /// More headers, such as `RateLimit`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// `X-Error-Code`.
        #[serde(default)]
        error_code: Option<String>,
        /// `X-Error-Message`.
        #[serde(default)]
        message: Option<String>,
    },
    /// Closes the connection after so many bytes of a body.
    CutAfter {
        /// Bytes of this answer's body that are sent.
        bytes: u64,
    },
    /// Changes one byte; the length stays.
    FlipByte {
        /// Where in the file. An answer that does not cover it stays whole.
        offset: u64,
    },
    /// Stops sending after so many bytes of a body and keeps the connection open.
    StallAfter {
        /// Bytes of this answer's body that are sent before.
        bytes: u64,
        /// How long to stall; for good when unset.
        #[serde(default)]
        resume_after_ms: Option<u64>,
    },
    /// Sends a body no faster than this.
    Slow {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// Waits before the answer.
    Delay {
        /// How long.
        ms: u64,
    },
    /// Gives another `ETag` and `X-Linked-ETag`.
    ChangedEtag {
        /// The new value without quotes; zeros when unset.
        #[serde(default)]
        etag: Option<String>,
    },
    /// Answers `200` with the whole body to a request for a range.
    IgnoreRange,
    /// Answers `206` with a range that was not asked for.
    WrongRange {
        /// How far it lies from the one asked for.
        shift: i64,
    },
    /// Gives a `Content-Length` that is not the body's, and closes the connection after the body.
    WrongLength {
        /// How much the header says more (or less) than is sent.
        by: i64,
    },
    /// Closes the connection before any answer.
    Drop,
    /// Redirects to the same path at another origin.
    Redirect {
        /// The origin, such as `http://127.0.0.1:8080`.
        to: String,
    },
    /// Answers `200` with a proxy's login page and none of the hub's headers.
    HtmlPage,
    /// Sends the LFS pointer of a file in place of its content. A file that has none is sent as it is.
    LfsPointer,
    /// Sends an empty body.
    EmptyBody,
    /// Sends this in place of the true body, for example a listing with hostile names.
    Body {
        /// `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Changes headers of the true answer.
    Headers {
        /// Headers that are added or replaced.
        #[serde(default)]
        set: Vec<(String, String)>,
        /// Names of headers that are taken away.
        #[serde(default)]
        remove: Vec<String>,
    },
}

/// The two forms of `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// The date so many seconds after the answer.
    DateIn(u64),
}

impl FaultRule {
    /// A fault that happens to every request that the action can happen to.
    pub fn new(action: Action) -> Self {
        Self { matching: Matching::default(), action, times: Times::Every }
    }

    /// For one kind of request only.
    #[must_use]
    pub fn on(mut self, endpoint: Endpoint) -> Self {
        self.matching.endpoint = Some(endpoint);
        self
    }

    /// For one method only.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.matching.method = Some(method.into());
        self
    }

    /// For one repository only.
    #[must_use]
    pub fn repo(mut self, repo: impl Into<String>) -> Self {
        self.matching.repo = Some(repo.into());
        self
    }

    /// For paths that fit a pattern only: see [`Matching::path`].
    #[must_use]
    pub fn path(mut self, pattern: impl Into<String>) -> Self {
        self.matching.path = Some(pattern.into());
        self
    }

    /// For requests with or without a range only.
    #[must_use]
    pub fn ranged(mut self, ranged: bool) -> Self {
        self.matching.ranged = Some(ranged);
        self
    }

    /// To the first n matching requests only.
    #[must_use]
    pub fn first(mut self, n: u32) -> Self {
        self.times = Times::First(n);
        self
    }

    /// To all matching requests but the first n.
    #[must_use]
    pub fn after(mut self, n: u32) -> Self {
        self.times = Times::After(n);
        self
    }

    /// To the n-th matching request only, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u32) -> Self {
        self.times = Times::Nth(n);
        self
    }
}

impl Action {
    /// Answers with this status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None, headers: Vec::new(), error_code: None, message: None }
    }

    /// Answers `429` with `Retry-After`.
    pub fn too_many_requests(retry_after: RetryAfter) -> Self {
        Self::Status {
            status: 429,
            retry_after: Some(retry_after),
            headers: Vec::new(),
            error_code: None,
            message: Some("too many requests".to_owned()),
        }
    }

    /// Answers `429` with the Hub's `RateLimit` header: no request left for so many seconds.
    pub fn rate_limited(seconds: u64) -> Self {
        Self::Status {
            status: 429,
            retry_after: None,
            headers: vec![
                ("RateLimit".to_owned(), format!("\"api\";r=0;t={seconds}")),
                ("RateLimit-Policy".to_owned(), "\"fixed window\";\"api\";q=500;w=300".to_owned()),
            ],
            error_code: None,
            message: Some("too many requests".to_owned()),
        }
    }

    /// The action's name in JSON and in the request log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::CutAfter { .. } => "cut_after",
            Self::FlipByte { .. } => "flip_byte",
            Self::StallAfter { .. } => "stall_after",
            Self::Slow { .. } => "slow",
            Self::Delay { .. } => "delay",
            Self::ChangedEtag { .. } => "changed_etag",
            Self::IgnoreRange => "ignore_range",
            Self::WrongRange { .. } => "wrong_range",
            Self::WrongLength { .. } => "wrong_length",
            Self::Drop => "drop",
            Self::Redirect { .. } => "redirect",
            Self::HtmlPage => "html_page",
            Self::LfsPointer => "lfs_pointer",
            Self::EmptyBody => "empty_body",
            Self::Body { .. } => "body",
            Self::Headers { .. } => "headers",
        }
    }
}
