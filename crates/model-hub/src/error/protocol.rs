//! What can be wrong with an answer that has a good status.

/// How an answer breaks the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolFault {
    /// A status that no request here expects.
    #[error("it answered with status {0}")]
    Status(u16),
    /// A redirect without an address, or to one that is not followed.
    #[error("it redirects to an address that is not followed")]
    Redirect,
    /// Too many redirects in a row.
    #[error("it redirects more than {0} times")]
    TooManyRedirects(usize),
    /// A `206` for other bytes than those asked for.
    #[error("it was asked for bytes {asked} and sent `{got}`")]
    WrongRange {
        /// The range as the request names it.
        asked: String,
        /// The answer's `Content-Range`.
        got: String,
    },
    /// The file has another length than listed.
    #[error("it sends {got} bytes instead of {expected}")]
    WrongLength {
        /// Length by the listing.
        expected: u64,
        /// Length by the answer.
        got: u64,
    },
    /// More bytes than announced.
    #[error("it sends more bytes than asked for")]
    TooLong,
    /// The body is compressed although we ask for none.
    #[error("it sends the body as `{0}`, which was not asked for")]
    Encoded(String),
    /// The answer is about another commit.
    #[error("it serves commit `{got}` instead of `{expected}`")]
    WrongCommit {
        /// The commit that was asked for.
        expected: String,
        /// `X-Repo-Commit` of the answer.
        got: String,
    },
    /// The document is larger than any honest one.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The document is an HTML page.
    #[error("it answered with an HTML page instead of JSON")]
    HtmlPage,
    /// The document is not what the protocol says.
    #[error("its answer is not the JSON that the protocol describes")]
    Json(#[source] serde_json::Error),
    /// The document names something that is no commit.
    #[error("it names `{}` as the commit", .0.escape_debug())]
    Commit(String),
    /// The next page of a listing is not where a next page may be.
    #[error("it points to a next page that is not followed")]
    NextPage,
    /// The listing has more pages than any honest one.
    #[error("its list of files has more than {0} pages")]
    TooManyPages(usize),
}

impl ProtocolFault {
    /// Whether a repetition may get a better answer: what a broken proxy or cache on the way can cause.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::WrongRange { .. } | Self::WrongLength { .. } | Self::TooLong)
    }
}
