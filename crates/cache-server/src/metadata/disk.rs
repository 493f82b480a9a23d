//! What the server writes down of the hub's answers, and what it can say without any.
//!
//! ```text
//! STATE/server/documents/models--ORG--NAME/<revision, escaped>.<audience>.json    the hub's answer
//! ```
//!
//! Losing one costs a request. Without one, a revision is what the lockfile, the commit's name or `refs/` says,
//! with the files that `trees/` or the lockfile list.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use speech_flow_model_hub::RequestId;
use speech_flow_model_types::{CommitHash, ModelKind, RemoteFile, RepoId, Revision};

use super::{Document, Publicity};
use crate::server::Server;

/// Longest document that is read back.
const MAX_DOCUMENT: u64 = 16 << 20;

/// What is known of a revision without the hub.
pub(crate) async fn load(server: &Server, repo: &RepoId, revision: &Revision, audience: &str) -> Option<Arc<Document>> {
    let path = path_of(server, repo, revision, audience);
    let (server, repo, revision, audience) = (server.clone(), repo.clone(), revision.clone(), audience.to_owned());
    let loaded = tokio::task::spawn_blocking(move || {
        if let Some(json) = read_json(&path)
            && let Some(document) = Document::read(json)
        {
            return Some(Arc::new(document));
        }
        // Only what everybody, or everybody by configuration, is asked about can be told from the cache alone.
        let may_tell = audience == super::PUBLIC || server.inner.settings.is_shared(&repo);
        may_tell.then(|| from_cache(&server, &repo, &revision).map(Arc::new)).flatten()
    });
    loaded.await.ok().flatten()
}

/// Writes a document down. A failure is logged: it costs a request later.
pub(crate) async fn store(
    server: &Server,
    repo: &RepoId,
    revision: &Revision,
    audience: &str,
    document: &Arc<Document>,
) {
    let path = path_of(server, repo, revision, audience);
    let document = Arc::clone(document);
    let written = tokio::task::spawn_blocking(move || write_json(&path, &document.json)).await;
    if let Ok(Err(error)) = written {
        tracing::debug!(%repo, %revision, %error, "metadata could not be written down");
    }
}

/// Whether the repository is known only from answers that not everybody gets. Blocks.
pub(crate) fn is_restricted(server: &Server, repo: &RepoId) -> bool {
    let folder = server.inner.state_dir.join("documents").join(repo.folder());
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = names.filter_map(|entry| entry.file_name().into_string().ok()).peekable();
    names.peek().is_some() && !names.any(|name| name.ends_with(".public.json"))
}

/// The license that the hub's answer on a commit names. Blocks.
pub(crate) fn license(server: &Server, repo: &RepoId, commit: &CommitHash) -> Option<String> {
    let revision = Revision::from(commit.clone());
    let answers = [super::PUBLIC, super::RESTRICTED].map(|audience| path_of(server, repo, &revision, audience));
    let json = answers.iter().find_map(|path| read_json(path))?;
    let tags = json.get("tags")?.as_array()?.iter();
    tags.filter_map(Value::as_str).find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned)
}

/// The listing of a commit that some cache has.
pub(crate) async fn load_files(server: &Server, repo: &RepoId, commit: &CommitHash) -> Option<Vec<RemoteFile>> {
    let (server, repo, commit) = (server.clone(), repo.clone(), commit.clone());
    let loaded = tokio::task::spawn_blocking(move || tree_of(&server, &repo, &commit));
    loaded.await.ok().flatten()
}

/// Keeps a listing, for this server and for whoever else reads the cache.
pub(crate) async fn store_files(server: &Server, repo: &RepoId, commit: &CommitHash, files: &Arc<Vec<RemoteFile>>) {
    let (server, repo, commit, files) = (server.clone(), repo.clone(), commit.clone(), Arc::clone(files));
    let stored = tokio::task::spawn_blocking(move || {
        let cache = server.cache_of(ModelKind::detect(files.iter().map(|file| &file.path)));
        if let Err(error) = cache.write_tree(&repo, &commit, &files) {
            tracing::debug!(%repo, %commit, %error, "a listing could not be written down");
        }
    });
    let _ = stored.await;
}

/// The files that the lockfile names of a commit.
pub(crate) fn locked_files(server: &Server, repo: &RepoId, commit: &CommitHash) -> Option<Vec<RemoteFile>> {
    let lockfile = server.lockfile()?;
    let locked = lockfile.models().iter().find(|model| model.repo() == repo && model.commit() == commit)?;
    let files = locked.files().iter().map(|file| RemoteFile {
        path: file.path.clone(),
        size: file.size,
        digest: file.digest,
        blob_id: String::new(),
        xet_hash: None,
    });
    Some(files.collect())
}

fn tree_of(server: &Server, repo: &RepoId, commit: &CommitHash) -> Option<Vec<RemoteFile>> {
    let mut files = server.caches().find_map(|cache| cache.read_tree(repo, commit))?;
    files.iter_mut().for_each(|file| file.xet_hash = None);
    Some(files)
}

/// A revision as the cache knows it.
fn from_cache(server: &Server, repo: &RepoId, revision: &Revision) -> Option<Document> {
    let commit = match revision.commit() {
        Some(commit) => commit,
        None => server.caches().find_map(|cache| cache.read_ref(repo, revision))?,
    };
    let files = tree_of(server, repo, &commit).or_else(|| locked_files(server, repo, &commit))?;
    let siblings: Vec<Value> = files.iter().map(|file| json!({ "rfilename": file.path.as_str() })).collect();
    let json = json!({
        "_id": &commit.as_str()[..24], "id": repo.as_str(), "modelId": repo.as_str(),
        "author": repo.as_str().split_once('/').map(|(owner, _)| owner),
        "sha": commit.as_str(), "private": false, "gated": false, "disabled": false,
        "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
    });
    Some(Document { commit, publicity: Publicity::Unknown, json })
}

fn path_of(server: &Server, repo: &RepoId, revision: &Revision, audience: &str) -> PathBuf {
    let revision = utf8_percent_encode(revision.as_str(), NON_ALPHANUMERIC).to_string();
    // A long name would not fit a folder entry; revisions that are in use are short.
    let name: String = revision.chars().take(200).collect();
    server.inner.state_dir.join("documents").join(repo.folder()).join(format!("{name}.{audience}.json"))
}

fn read_json(path: &Path) -> Option<Value> {
    let length = std::fs::metadata(path).ok()?.len();
    if length > MAX_DOCUMENT {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write_json(path: &Path, json: &Value) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let staged = folder.join(format!(".{}.tmp", RequestId::random()));
    std::fs::write(&staged, serde_json::to_vec(json)?)?;
    std::fs::rename(&staged, path)
}
