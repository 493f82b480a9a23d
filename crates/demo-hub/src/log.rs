//! What was asked for and what was sent, so that a test can say "no request" or "each byte once".

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::fault::Endpoint;
use crate::http::{Request, Server};

/// The log forgets the oldest request beyond this number.
const MAX_ENTRIES: usize = 100_000;

/// One request as the hub saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The port it came to.
    pub server: Server,
    /// The connection it came on, counted from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// Path of the URL as it was sent.
    pub path: String,
    /// Query of the URL; empty at the second port, where it is a signature.
    pub query: String,
    /// What kind of request it is.
    pub endpoint: Endpoint,
    /// The repository, when the path names one that the hub has.
    pub repo: Option<String>,
    /// The file in the repository.
    pub file: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// Whether an `Authorization` header came with it.
    pub had_authorization: bool,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The client's id of the request, or the hub's own.
    pub request_id: String,
    /// The fault that a rule made happen.
    pub fault: Option<String>,
    /// The status that was sent; 0 while none was, and for good when the connection was dropped.
    pub status: u16,
    /// Bytes of the body that were written to the connection.
    pub bytes_sent: u64,
    /// Whether the answer is over: sent, cut or given up by the client.
    pub finished: bool,
    /// When the request was read; milliseconds since 1970 in JSON.
    #[serde(rename = "when_ms", with = "milliseconds")]
    pub when: SystemTime,
}

/// A logged request whose answer may still be under way.
#[derive(Debug)]
pub(crate) struct Entry {
    record: RequestRecord,
    status: AtomicU16,
    bytes_sent: AtomicU64,
    finished: AtomicBool,
}

/// The request log of one hub.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: Mutex<VecDeque<Arc<Entry>>>,
}

/// Times as scripts like to read them.
mod milliseconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        u64::deserialize(deserializer).map(|ms| UNIX_EPOCH + Duration::from_millis(ms))
    }
}

impl RequestRecord {
    pub(crate) fn new(request: &Request, connection: u64, request_id: String) -> Self {
        let query = match request.server {
            Server::Hub => request.query.clone(),
            Server::Cdn => String::new(),
        };
        Self {
            server: request.server,
            connection,
            method: request.method.clone(),
            path: request.path.clone(),
            query,
            endpoint: Endpoint::Other,
            repo: None,
            file: None,
            range: request.header("range").map(str::to_owned),
            had_authorization: request.header("authorization").is_some(),
            user_agent: request.header("user-agent").map(str::to_owned),
            request_id,
            fault: None,
            status: 0,
            bytes_sent: 0,
            finished: false,
            when: SystemTime::now(),
        }
    }
}

impl Entry {
    pub(crate) fn new(record: RequestRecord) -> Arc<Self> {
        Arc::new(Self {
            record,
            status: AtomicU16::new(0),
            bytes_sent: AtomicU64::new(0),
            finished: AtomicBool::new(false),
        })
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    fn snapshot(&self) -> RequestRecord {
        let finished = self.finished.load(Ordering::Acquire);
        RequestRecord {
            status: self.status.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            finished,
            ..self.record.clone()
        }
    }
}

impl RequestLog {
    pub(crate) fn add(&self, entry: Arc<Entry>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All requests in the order they were read.
    pub(crate) fn snapshot(&self) -> Vec<RequestRecord> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        entries.iter().map(|entry| entry.snapshot()).collect()
    }
}
