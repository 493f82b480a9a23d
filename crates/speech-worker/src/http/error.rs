//! How a request fails: OpenAI's envelope, with a status for each kind of fault.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use speech_flow_speech_engine::audio::AudioError;
use speech_flow_speech_engine::cancel::CancelReason;
use speech_flow_speech_engine::error::Error as EngineError;

use crate::admission::{Limit, Refusal};

/// Why a request was not answered with a result.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: &'static str,
    retry_after: Option<Duration>,
}

/// Nobody reads the answer: the caller has gone. The number is nginx'.
const CLIENT_CLOSED: u16 = 499;
/// After how long a caller of a worker that starts should ask again.
const STARTING: Duration = Duration::from_secs(5);
/// After how long one should that found no connection free.
const CROWDED: Duration = Duration::from_secs(1);
/// After how long one of a worker that ends should: by then it reaches another.
const DRAINING: Duration = Duration::from_secs(1);

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code, retry_after: None }
    }

    /// A field of the request has a value that cannot be honored.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// A field that is there in OpenAI's contract, and that no model here can honor.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, "unsupported_parameter", message) }
    }

    /// More bytes than are taken.
    pub(crate) fn too_large(limit: u64) -> Self {
        let message = format!("the request is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(crate) fn unknown_model(name: &str) -> Self {
        let name: String = name.chars().take(200).collect();
        let message = format!("the model `{name}` is not loaded here; `GET /v1/models` names the one that is");
        Self { param: Some("model".to_owned()), ..Self::new(StatusCode::NOT_FOUND, "model_not_found", message) }
    }

    /// The worker has no place for the request now.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let what = match refusal.limit {
            Limit::Audio => "the queue is full of audio",
            Limit::Requests => "too many requests are being worked on",
            Limit::Closed => return Self::draining(),
        };
        let message = format!("{what}; ask again in {} s", refusal.retry_after.as_secs());
        Self {
            retry_after: Some(refusal.retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        }
    }

    /// All connections that there may be are at work.
    pub(crate) fn crowded() -> Self {
        let message = "too many connections are at work; ask again in a moment";
        Self { retry_after: Some(CROWDED), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message) }
    }

    pub(crate) fn starting() -> Self {
        let message = "the model is being loaded; `/readyz` says how far it is";
        Self { retry_after: Some(STARTING), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting", message) }
    }

    pub(crate) fn draining() -> Self {
        let message = "the worker is shutting down";
        Self { retry_after: Some(DRAINING), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message) }
    }

    /// What nobody expects. What it was is in the log; the caller gets no insides.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the worker failed; its log says why")
    }

    /// The reason under which metrics count a request that was not taken.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The envelope.
    pub(crate) fn to_json(&self) -> Value {
        let kind = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }

    /// The deadline of the request has passed.
    pub(crate) fn too_slow() -> Self {
        let message = "the request took longer than it may; send a shorter recording";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", message)
    }

    fn canceled(reason: CancelReason) -> Self {
        match reason {
            CancelReason::DeadlinePassed => Self::too_slow(),
            CancelReason::Canceled => {
                let status = StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST);
                Self::new(status, "canceled", "the caller has gone")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.to_json())).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<AudioError> for ApiError {
    fn from(error: AudioError) -> Self {
        let (status, code) = match &error {
            AudioError::Empty => (StatusCode::BAD_REQUEST, "empty_audio"),
            AudioError::Unsupported { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_audio"),
            AudioError::Damaged { .. } => (StatusCode::BAD_REQUEST, "damaged_audio"),
            AudioError::OutOfRange { .. } => (StatusCode::BAD_REQUEST, "audio_out_of_range"),
            AudioError::NoSuchChannel { .. } => (StatusCode::BAD_REQUEST, "no_such_channel"),
            AudioError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "audio_too_long"),
            AudioError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            AudioError::Canceled(reason) => return Self::canceled(*reason),
            _ => return Self::internal(&Chain(&error)),
        };
        let message = match error.hint() {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        };
        let param = if code == "no_such_channel" { "channel" } else { "file" };
        Self { param: Some(param.to_owned()), ..Self::new(status, code, message) }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Option { option, .. } | EngineError::NotInBatchedMode { option, .. } => {
                Self::invalid(*option, error.to_string())
            }
            EngineError::Canceled(reason) => Self::canceled(*reason),
            EngineError::Unavailable { .. } => Self {
                retry_after: Some(DRAINING),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
            },
            _ => Self::internal(&Chain(&error)),
        }
    }
}

/// An error with its causes in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |cause| (*cause).source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Into<ApiError>, status: u16, code: &str, param: Option<&str>) {
        let error = error.into();
        let json = error.to_json();
        assert_eq!((error.status.as_u16(), &json["error"]["code"]), (status, &json!(code)));
        assert_eq!(json["error"]["param"], json!(param));
        let kind = if status >= 500 { "server_error" } else { "invalid_request_error" };
        assert_eq!(json["error"]["type"], kind);
    }

    #[test]
    fn every_kind_of_bad_audio_has_its_status() {
        let limit = Duration::from_secs(60);
        check(AudioError::Empty, 400, "empty_audio", Some("file"));
        check(AudioError::Unsupported { source: None }, 415, "unsupported_audio", Some("file"));
        check(AudioError::Damaged { source: "cut".into() }, 400, "damaged_audio", Some("file"));
        check(AudioError::NoSuchChannel { channel: 3, channels: 2 }, 400, "no_such_channel", Some("channel"));
        check(AudioError::TooLong { limit }, 413, "audio_too_long", Some("file"));
        check(AudioError::Canceled(CancelReason::DeadlinePassed), 504, "deadline_exceeded", None);
        check(AudioError::Io(std::io::Error::other("disk")), 500, "internal_error", None);
    }

    #[test]
    fn faults_of_options_name_the_option() {
        let problem = "must be between 1 and 64".into();
        check(EngineError::Option { option: "beam_size", problem }, 400, "invalid_value", Some("beam_size"));
        check(EngineError::Unavailable { reason: "it ends".into() }, 503, "unavailable", None);
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let refusal = Refusal { limit: Limit::Audio, retry_after: Duration::from_secs(17) };
        let response = ApiError::refused(refusal).into_response();
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "17");
    }
}
