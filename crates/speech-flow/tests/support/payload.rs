//! A repository whose every byte the test knows, so that it can look into a download from outside.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use speech_flow_demo_hub::{Repository, RequestRecord};

/// Bytes that are compared at once. A block that arrived only in part counts as not arrived.
const BLOCK: usize = 4 << 10;

/// A repository of random files.
pub(crate) struct Payload {
    repo: &'static str,
    files: Vec<PayloadFile>,
    repository: Repository,
}

/// One of its files.
pub(crate) struct PayloadFile {
    /// Path in the repository.
    pub(crate) path: &'static str,
    /// All its bytes.
    pub(crate) content: &'static [u8],
    /// Name of its blob.
    pub(crate) digest: String,
}

impl Payload {
    /// Files of these sizes. They live as long as the test's process, as everything that serves them does.
    pub(crate) fn new(repo: &'static str, sizes: &[(&'static str, usize)]) -> Self {
        let contents = sizes.iter().zip(1..).map(|((path, size), seed)| {
            let content: &'static [u8] = Box::leak(random_bytes(*size, seed).into_boxed_slice());
            (*path, content)
        });
        let contents: Vec<_> = contents.collect();
        // Files that are no weights keep git's SHA-1 at any size: both kinds of digests are met.
        let builder = Repository::builder(repo).lfs_above(u64::MAX);
        let builder = contents.iter().fold(builder, |builder, (path, content)| builder.file(*path, *content));
        let repository = builder.build().expect("a repository");
        let listed = repository.files("main");
        let files = contents.into_iter().map(|(path, content)| {
            let digest = listed.iter().find(|file| file.path == path).expect("listed").digest.to_string();
            PayloadFile { path, content, digest }
        });
        Self { repo, files: files.collect(), repository }
    }

    /// What a hub serves.
    pub(crate) fn repository(&self) -> Repository {
        self.repository.clone()
    }

    /// The repository's name.
    pub(crate) fn repo(&self) -> &'static str {
        self.repo
    }

    /// The files.
    pub(crate) fn files(&self) -> &[PayloadFile] {
        &self.files
    }

    /// Bytes of all files.
    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(PayloadFile::size).sum()
    }

    /// The repository's folder in a cache.
    pub(crate) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.repo.replace('/', "--")))
    }

    /// The partials of the repository in a cache.
    pub(crate) fn partials(&self, cache: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder(cache).join(".partial")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.join("data").exists()).collect()
    }

    /// Whether a cache has every blob.
    pub(crate) fn is_whole(&self, cache: &Path) -> bool {
        let blobs = self.folder(cache).join("blobs");
        self.files.iter().all(|file| blobs.join(&file.digest).exists())
    }

    /// Fails unless the snapshot of `main` has every file with its true bytes.
    #[track_caller]
    pub(crate) fn assert_complete(&self, cache: &Path) {
        let commit = self.repository.commit("main").expect("a commit");
        let snapshot = self.folder(cache).join("snapshots").join(commit.as_str());
        for file in &self.files {
            let read = fs::read(snapshot.join(file.path)).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            assert!(read == file.content, "{} is not what the hub has", file.path);
        }
        let named = fs::read_to_string(self.folder(cache).join("refs/main")).expect("the ref");
        assert_eq!(named.trim(), commit.as_str());
    }

    /// Bytes of a file that are in a cache, in its blob or in the fullest of its partials. This looks at the bytes
    /// themselves: whether a journal knows of them is another matter.
    pub(crate) fn arrived(&self, cache: &Path, file: &PayloadFile) -> u64 {
        if self.folder(cache).join("blobs").join(&file.digest).exists() {
            return file.size();
        }
        let prefix = format!("{}.", file.digest);
        let is_of_file = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        };
        let partials = self.partials(cache).into_iter().filter(is_of_file);
        partials
            .map(|partial| fs::read(partial.join("data")).map_or(0, |data| file.agreement(&data)))
            .max()
            .unwrap_or(0)
    }

    /// Body bytes that a hub sent of a file.
    pub(crate) fn fetched(&self, requests: &[RequestRecord], file: &PayloadFile) -> u64 {
        let bodies = requests.iter().filter(|request| {
            let is_file = request.repo.as_deref() == Some(self.repo) && request.file.as_deref() == Some(file.path);
            is_file && request.method == "GET" && matches!(request.status, 200 | 206)
        });
        bodies.map(|request| request.bytes_sent).sum()
    }

    /// Body bytes that a hub sent of all files.
    pub(crate) fn fetched_in_all(&self, requests: &[RequestRecord]) -> u64 {
        self.files.iter().map(|file| self.fetched(requests, file)).sum()
    }
}

impl PayloadFile {
    /// Its length.
    pub(crate) fn size(&self) -> u64 {
        self.content.len() as u64
    }

    /// Bytes of the blocks that are the file's own. What was allocated and not written is zeros, which no block is.
    fn agreement(&self, data: &[u8]) -> u64 {
        let blocks = self.content.chunks(BLOCK).zip(data.chunks(BLOCK));
        blocks.filter(|(true_block, block)| true_block == block).map(|(block, _)| block.len() as u64).sum()
    }
}

/// Bytes of a linear congruential generator: enough that no two blocks are equal.
fn random_bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = (0..size.div_ceil(8)).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state ^ (state >> 32)).to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.collect();
    bytes.truncate(size);
    bytes
}
