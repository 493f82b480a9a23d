//! The way of a file through the cache, on a real folder: stage, verify, commit, link, view.

#[path = "data_path/commit.rs"]
mod commit;
#[path = "data_path/hostile.rs"]
mod hostile;
#[path = "data_path/locking.rs"]
mod locking;
#[path = "data_path/resume.rs"]
mod resume;
#[path = "data_path/space.rs"]
mod space;
#[path = "data_path/stream.rs"]
mod stream;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use speech_flow_model_cache::{Cache, CacheConfig, Stage, Staging, verify};
use speech_flow_model_types::{CommitHash, Digest, RemoteFile, RepoId};
use tempfile::TempDir;

/// Small, so that a few MiB make many records.
const SEGMENT: u64 = 64 << 10;
/// Just above the length from which a file has a journal.
const BIG: usize = (1 << 20) + 300_007;

/// A cache in a folder of its own.
struct Kit {
    folder: TempDir,
    cache: Cache,
}

impl Kit {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut CacheConfig)) -> Self {
        let folder = tempfile::tempdir().expect("temp folder");
        let cache = open(folder.path(), change);
        Self { folder, cache }
    }

    /// Another process's view of the same cache.
    fn other(&self) -> Cache {
        open(self.folder.path(), |_| {})
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn partials(&self) -> Vec<PathBuf> {
        entries(&self.cache.layout().partials(&repo()))
    }

    fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.cache.layout().blob(&repo(), &file.digest)
    }

    fn staging(&self, file: &RemoteFile) -> Box<Staging> {
        ready(self.cache.stage(&repo(), file).expect("stages"))
    }
}

fn open(folder: &Path, change: impl FnOnce(&mut CacheConfig)) -> Cache {
    let mut config = CacheConfig::new(folder.join("hub"), folder.join("state"));
    config.segment_bytes = SEGMENT;
    change(&mut config);
    Cache::open(config).expect("opens")
}

fn ready(stage: Stage) -> Box<Staging> {
    match stage {
        Stage::Ready(staging) => staging,
        other => panic!("not ready: {other:?}"),
    }
}

fn repo() -> RepoId {
    "openai/whisper-tiny".parse().expect("valid")
}

fn commit_hash() -> CommitHash {
    "c".repeat(40).parse().expect("valid")
}

/// Content in which no two neighbouring pages are alike.
fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

fn lfs_file(path: &str, content: &[u8]) -> RemoteFile {
    remote(path, content, Digest::Sha256(Sha256::digest(content).into()))
}

fn git_file(path: &str, content: &[u8]) -> RemoteFile {
    let hash = Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content);
    let digest = Digest::GitSha1(hash.finalize().into());
    RemoteFile { blob_id: digest.to_string(), ..remote(path, content, digest) }
}

fn remote(path: &str, content: &[u8], digest: Digest) -> RemoteFile {
    let path = path.parse().expect("valid");
    RemoteFile { path, size: content.len() as u64, digest, blob_id: "0".repeat(40), xet_hash: None }
}

/// Writes the missing parts in pieces.
async fn fill(staging: &Staging, content: &[u8], piece: u64) {
    for range in staging.missing().segments(piece) {
        let bytes = Bytes::copy_from_slice(&content[range.start as usize..range.end as usize]);
        staging.write(range.start, bytes).await.expect("writes");
    }
}

/// The whole way to a committed and linked file.
async fn deliver(cache: &Cache, staging: Box<Staging>, content: &[u8]) {
    let file = staging.file().clone();
    fill(&staging, content, 50_000).await;
    let staged = staging.finish().await.expect("finishes");
    cache.commit_blob(verify(staged, &file).expect("sound")).expect("commits");
    cache.link(&repo(), &commit_hash(), [&file]).expect("links");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
