//! A form with one file, taken as a stream: the file goes to the disk as it arrives, never into memory.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::io::AsyncWriteExt;

use super::body::Chunks;
use super::error::{ApiError, Chain};

/// How long a caller may send nothing.
const IDLE: Duration = Duration::from_secs(30);
/// Most fields beside the file.
const MAX_FIELDS: usize = 64;
/// Longest text of a field.
const MAX_TEXT: usize = 64 << 10;
/// Most bytes that the parser may hold without giving any of them on; a part's head without an end ends there.
const MAX_HELD: usize = 1 << 20;

/// What was sent.
#[derive(Debug)]
pub(crate) struct Form {
    /// The recording; it has no name on the disk and goes with the last handle.
    pub(crate) file: File,
    /// The text fields, in their order.
    pub(crate) fields: Vec<(String, String)>,
}

/// The length that the caller says the body has.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Takes the form.
///
/// # Cancel safety
/// May be dropped at any time; the file goes too.
pub(crate) async fn receive(headers: &HeaderMap, body: Chunks, limit: u64, folder: &Path) -> Result<Form, ApiError> {
    let boundary = boundary(headers)?;
    let held = Arc::new(AtomicUsize::new(0));
    let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(limit));
    let mut parts = Multipart::with_constraints(guarded(body, Arc::clone(&held)), boundary, constraints);
    let (mut file, mut fields) = (None, Vec::new());
    while let Some(mut part) = in_time(parts.next_field()).await?.map_err(|error| refused(error, limit))? {
        held.store(0, Ordering::Relaxed);
        let name = part.name().unwrap_or_default().to_owned();
        let mut sink = if name == "file" { Sink::File(temporary(folder).await?) } else { Sink::Text(Vec::new()) };
        while let Some(chunk) = in_time(part.chunk()).await?.map_err(|error| refused(error, limit))? {
            held.store(0, Ordering::Relaxed);
            sink.take(&name, &chunk).await?;
        }
        match sink {
            Sink::File(mut temporary) => {
                temporary.flush().await.map_err(|error| ApiError::internal(&error))?;
                if file.replace(temporary.into_std().await).is_some() {
                    return Err(ApiError::invalid("file", "more than one `file` was sent"));
                }
            }
            Sink::Text(text) => {
                let text =
                    String::from_utf8(text).map_err(|_| ApiError::invalid(&name, "the field is not UTF-8 text"))?;
                fields.push((name, text));
            }
        }
        if fields.len() > MAX_FIELDS {
            return Err(malformed(format!("the form has more than {MAX_FIELDS} fields")));
        }
    }
    let missing = || ApiError::invalid("file", "the form has no `file`: send the recording as a part of that name");
    let file = file.ok_or_else(missing)?;
    Ok(Form { file, fields })
}

enum Sink {
    File(tokio::fs::File),
    Text(Vec<u8>),
}

impl Sink {
    async fn take(&mut self, name: &str, chunk: &[u8]) -> Result<(), ApiError> {
        match self {
            Self::File(file) => file.write_all(chunk).await.map_err(|error| no_space(&error)),
            Self::Text(text) if text.len() + chunk.len() <= MAX_TEXT => {
                text.extend_from_slice(chunk);
                Ok(())
            }
            Self::Text(_) => Err(ApiError::invalid(name, format!("the field is longer than {MAX_TEXT} bytes"))),
        }
    }
}

/// The body as a stream that ends with an error when the parser holds too much of it.
fn guarded(body: Chunks, held: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    body.map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        let now = held.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
        if now > MAX_HELD + chunk.len() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a part of the form has no end"));
        }
        Ok(chunk)
    })
}

fn boundary(headers: &HeaderMap) -> Result<String, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    multer::parse_boundary(kind).map_err(|_| {
        let message = "the request must be `multipart/form-data` with a boundary";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    })
}

async fn temporary(folder: &Path) -> Result<tokio::fs::File, ApiError> {
    let folder = folder.to_owned();
    let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
    let file = made.map_err(|error| ApiError::internal(&error))?.map_err(|error| no_space(&error))?;
    Ok(tokio::fs::File::from_std(file))
}

async fn in_time<T>(next: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(IDLE, next)
        .await
        .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "upload_stalled", "nothing arrived for 30 s"))
}

fn refused(error: multer::Error, limit: u64) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } => ApiError::too_large(limit),
        error => malformed(format!("the form cannot be read: {}", Chain(&error))),
    }
}

fn malformed(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_form", message)
}

/// A disk that is full gets better when other requests end.
fn no_space(error: &std::io::Error) -> ApiError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            tracing::error!(%error, "an upload finds no space");
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", "the worker has no space for the upload")
        }
        _ => ApiError::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::super::body::Drain;
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=x";

    async fn take(body: impl Into<Body>, kind: &'static str, limit: u64) -> Result<Form, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header"));
        receive(&headers, Drain::new(1).chunks(body.into()), limit, Path::new("/tmp")).await
    }

    #[track_caller]
    fn check(taken: Result<Form, ApiError>, status: u16, code: &str) {
        let error = taken.expect_err("refused");
        assert_eq!((error.status().as_u16(), error.code()), (status, code), "{error:?}");
    }

    #[tokio::test]
    async fn the_file_is_on_the_disk_and_the_fields_beside_it() {
        let body = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n\
                    --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--x--\r\n";
        let mut form = take(body, KIND, 1000).await.expect("taken");
        assert_eq!(form.fields, [("model".to_owned(), "tiny".to_owned())]);
        std::io::Seek::rewind(&mut form.file).expect("rewinds");
        assert_eq!(std::io::read_to_string(form.file).expect("reads"), "RIFF");
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        check(take("{}", "application/json", 1000).await, 415, "unsupported_media_type");
        check(take("nonsense", KIND, 1000).await, 400, "malformed_form");
        check(take("", KIND, 1000).await, 400, "malformed_form");
        let no_file = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n--x--\r\n";
        check(take(no_file, KIND, 1000).await, 400, "invalid_value");
        let cut = "--x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nRIFF";
        check(take(cut, KIND, 1000).await, 400, "malformed_form");
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_cut_at_the_limit() {
        let head = Bytes::from_static(b"--x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n");
        let zeros = std::iter::repeat_n(Bytes::from_static(&[0; 1000]), 100);
        let chunks = std::iter::once(head).chain(zeros).map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        check(take(body, KIND, 10_000).await, 413, "request_too_large");
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_not_kept_in_memory() {
        let head = Bytes::from_static(b"--x\r\ncontent-disposition: form-data; ");
        let more = std::iter::repeat_n(Bytes::from(vec![b'a'; 64 << 10]), 1000);
        let chunks = std::iter::once(head).chain(more).map(Ok::<_, std::io::Error>);
        check(take(Body::from_stream(futures_util::stream::iter(chunks)), KIND, 1 << 30).await, 400, "malformed_form");
    }
}
