//! Listings, page by page.

use super::wire::{Detail, TreeEntry};
use super::{commit_at, next_page, no_entry, page};
use crate::catalog::Want;
use crate::http::{Request, Response};
use crate::hub::Shared;
use crate::repository::Commit;

/// `/api/models/{repo}/tree/{revision}/{folder}`.
pub(super) fn tree(
    shared: &Shared,
    request: &Request,
    repo: &str,
    revision: &str,
    folder: &str,
) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, repo, Want::Listing)?;
    let commit = commit_at(&hosted, revision)?;
    if !folder.is_empty() && !commit.folders.contains_key(folder) {
        return Err(no_entry(commit, folder));
    }
    let detail = Detail { repository: &hosted.repository, commit, expand: request.switched_on("expand") };
    let entries = entries(commit, folder, request.switched_on("recursive"), detail);
    let (entries, next) = page(shared, request, entries);
    let mut response = Response::json(200, &entries);
    if let Some(cursor) = next {
        response.set("Link", next_page(shared, request, cursor));
    }
    Ok(response)
}

/// Files and folders below `folder`, sorted by path.
fn entries(commit: &Commit, folder: &str, recursive: bool, detail: Detail<'_>) -> Vec<TreeEntry> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let is_listed = |path: &str| {
        path.strip_prefix(&prefix).is_some_and(|rest| !path.is_empty() && (recursive || !rest.contains('/')))
    };
    let files = commit.files.iter().filter(|(path, _)| is_listed(path)).map(|(path, entry)| detail.file(path, entry));
    let folders = commit.folders.keys().filter(|path| is_listed(path)).filter_map(|path| detail.folder(path));
    let mut entries: Vec<_> = files.chain(folders).collect();
    entries.sort_by(|one, other| one.path().cmp(other.path()));
    entries
}
