//! Answers that are no success, in the form by which the Hub's clients decide what to do.
//!
//! Clients look at `X-Error-Code` first; a status alone makes them guess, and on plain HTTP guess wrong. A 404
//! makes them write down that a file does not exist, so it is sent only where that is known; where it is not,
//! the answer is 504 with a reason.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use speech_flow_model_hub::{Answer, HubError};
use speech_flow_model_types::CommitHash;

use crate::hub_path::BadPath;
use crate::metrics::Fetched;
use crate::shelf::Unanswered;

pub(crate) const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
pub(crate) const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");
pub(crate) const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Longest message that is sent in a header.
const MAX_MESSAGE: usize = 400;
/// What is said where the hub does not say when to come back.
const DEFAULT_DELAY: Duration = Duration::from_secs(5);

/// An answer that is no success.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    code: Option<&'static str>,
    pub(crate) message: String,
    retry_after: Option<Duration>,
    commit: Option<CommitHash>,
    /// How a download that ended with it is counted.
    pub(crate) fetched: Fetched,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            message: message.into(),
            retry_after: None,
            commit: None,
            fetched: Fetched::Internal,
        }
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn later(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    pub(crate) fn counted_as(mut self, fetched: Fetched) -> Self {
        self.fetched = fetched;
        self
    }

    /// The server does not know, and says why; the same request may succeed later.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, message).later(DEFAULT_DELAY)
    }

    /// Something here failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The commit is known to lack the file. With the commit, clients remember that.
    pub(crate) fn no_entry(path: &str, commit: &CommitHash) -> Self {
        let mut refusal = Self::new(StatusCode::NOT_FOUND, format!("`{path}` does not exist at this revision"));
        (refusal.code, refusal.commit) = (Some("EntryNotFound"), Some(commit.clone()));
        refusal
    }

    /// The caller has to show a token that the hub accepts.
    pub(crate) fn gated(has_token: bool) -> Self {
        let (status, message) = if has_token {
            (StatusCode::FORBIDDEN, "the hub does not give this token's account access to this gated repository")
        } else {
            (StatusCode::UNAUTHORIZED, "access to this gated repository needs a token of an account that has access")
        };
        Self::new(status, message).with_code("GatedRepo")
    }

    /// As the Hub has it for a repository that is not there, or that the caller may not know of.
    pub(crate) fn no_repo() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "there is no such repository, or the token may not know of it")
            .with_code("RepoNotFound")
    }

    pub(crate) fn method(method: &Method) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{method}` is not taken here"))
    }

    /// What the hub said, as the hub said it; 504 where it could not be asked.
    pub(crate) fn of_hub(error: &HubError) -> Self {
        let status = |answer: &Answer, otherwise: StatusCode| StatusCode::from_u16(answer.status).unwrap_or(otherwise);
        let message = error.to_string();
        match error {
            HubError::RepoNotFound { source, .. } => {
                Self::new(status(source, StatusCode::NOT_FOUND), message).with_code("RepoNotFound")
            }
            HubError::Unauthorized { source, .. } => {
                Self::new(status(source, StatusCode::UNAUTHORIZED), message).with_code("RepoNotFound")
            }
            HubError::RevisionNotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, message).with_code("RevisionNotFound")
            }
            HubError::FileNotFound { file, commit, .. } => Self::no_entry(file.as_str(), commit),
            HubError::Gated { source, .. } => {
                Self::new(status(source, StatusCode::FORBIDDEN), message).with_code("GatedRepo")
            }
            // The client knows it by exactly these words.
            HubError::Disabled { .. } => Self::new(StatusCode::FORBIDDEN, "Access to this resource is disabled."),
            HubError::RateLimited { retry_after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, message).later(retry_after.unwrap_or(DEFAULT_DELAY))
            }
            HubError::OwnLimit { retry_after } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).later(*retry_after)
            }
            HubError::HostileListing { .. } | HubError::ContentChanged { .. } | HubError::UnexpectedContent { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, message)
            }
            _ => Self::unknown(format!("the hub cannot be asked: {message}"))
                .later(error.retry_after().unwrap_or(DEFAULT_DELAY)),
        }
    }

    /// The same, for requests that clients do not repeat: nothing there tells them to come back later.
    pub(crate) fn without_rate_limit(mut self) -> Self {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            self.status = StatusCode::GATEWAY_TIMEOUT;
        }
        self
    }
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Hub(error) => Self::of_hub(&error),
            Unanswered::Slow(patience) => {
                Self::unknown(format!("the hub did not answer within {} s", patience.as_secs_f64()))
            }
            Unanswered::Offline => {
                Self::unknown("this server asks no hub, and does not have it: preload it, or name it in the lockfile")
            }
            Unanswered::Ended => Self::unknown("the request to the hub ended early"),
        }
    }
}

impl From<BadPath> for Refusal {
    fn from(bad: BadPath) -> Self {
        match bad {
            BadPath::OtherKind(kind) => Self::new(
                StatusCode::NOT_IMPLEMENTED,
                format!("this server caches models only: ask the hub itself for a {kind}"),
            ),
            BadPath::Name(name) => Self::new(
                StatusCode::BAD_REQUEST,
                format!("`{}` is no name of a repository, revision or file", name.escape_debug()),
            ),
            BadPath::Unknown => Self::new(
                StatusCode::NOT_FOUND,
                "this server has nothing at this path: it serves the Hub's API for models",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(json!({ "error": self.message }).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(ERROR_MESSAGE, header_text(&self.message));
        if let Some(code) = self.code {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        if let Some(commit) = &self.commit
            && let Ok(commit) = HeaderValue::from_str(commit.as_str())
        {
            headers.insert(REPO_COMMIT, commit);
        }
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, seconds.into());
            if self.status == StatusCode::TOO_MANY_REQUESTS
                && let Ok(limit) = HeaderValue::from_str(&format!("\"api\";r=0;t={seconds}"))
            {
                headers.insert(RATE_LIMIT, limit);
            }
        }
        response
    }
}

/// A text as a header may hold it.
fn header_text(text: &str) -> HeaderValue {
    let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = text.chars().take(MAX_MESSAGE).map(shown).collect();
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("see the body"))
}
