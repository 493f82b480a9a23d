//! Where the hub has sent us for a file's content.
//!
//! Large files live on another host, behind signed addresses. Asking the hub again for each segment would
//! spend its rate limit (it counts these requests) for the same answer, so the address is kept for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::FileRequest;

/// How long an address is used; far less than any signature lasts.
const LIFETIME: Duration = Duration::from_secs(120);
/// Most addresses kept; the files of one large model fit.
const MOST: usize = 256;

type Key = (String, String, String);

/// Addresses by repository, commit and path.
#[derive(Debug, Default)]
pub(super) struct Links {
    known: Mutex<HashMap<Key, Link>>,
}

/// Not [`Debug`] by derive: the query is a signature.
struct Link {
    url: Url,
    since: Instant,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", crate::SafeUrl::from(self.url.clone()))
    }
}

impl Links {
    pub(super) fn find(&self, request: &FileRequest<'_>) -> Option<Url> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let link = known.get(&key(request))?;
        (link.since.elapsed() < LIFETIME).then(|| link.url.clone())
    }

    pub(super) fn remember(&self, request: &FileRequest<'_>, url: Url) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, link| link.since.elapsed() < LIFETIME);
        }
        if known.len() < MOST {
            known.insert(key(request), Link { url, since: Instant::now() });
        }
    }

    pub(super) fn forget(&self, request: &FileRequest<'_>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(request));
    }
}

fn key(request: &FileRequest<'_>) -> Key {
    (request.repo.to_string(), request.commit.to_string(), request.file.path.to_string())
}
