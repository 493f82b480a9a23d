//! The Hub's protocol: what each path answers.

use crate::catalog::Hosted;
use crate::http::{Request, Response};
use crate::hub::Shared;
use crate::repository::Commit;

mod account;
mod cdn;
mod control;
mod history;
mod info;
mod paths;
mod resolve;
mod target;
mod tree;
mod wire;

pub(crate) use target::Target;

/// Answers a request truly; faults come after.
pub(crate) fn answer(shared: &Shared, request: &Request, target: &Target) -> Response {
    let is_allowed = match target {
        Target::PathsInfo { .. } => request.method == "POST",
        Target::Control(_) => true,
        _ => request.is_read(),
    };
    if !is_allowed {
        return Response::error(405, None, "the demo hub does not take this method here");
    }
    let answer = match target {
        Target::Info { repo, revision } => info::info(shared, request, repo, revision.as_deref()),
        Target::Tree { repo, revision, folder } => tree::tree(shared, request, repo, revision, folder),
        Target::PathsInfo { repo, revision } => paths::paths_info(shared, request, repo, revision),
        Target::Refs { repo } => history::refs(shared, request, repo),
        Target::Commits { repo, revision } => history::commits(shared, request, repo, revision),
        Target::Discussions { repo } => history::discussions(shared, request, repo),
        Target::AuthCheck { repo } => account::auth_check(shared, request, repo),
        Target::Whoami => account::whoami(shared, request),
        Target::Resolve { repo, revision, path, is_cached } => {
            let asked = resolve::Asked { repo, revision, path, is_cached: *is_cached };
            resolve::resolve(shared, request, asked)
        }
        Target::Cdn { repo, digest, path } => cdn::serve(shared, request, repo, digest, path),
        Target::Control(rest) => Ok(control::control(shared, request, rest)),
        Target::Home => Ok(home(shared)),
        Target::Health => Ok(Response::text(200, "text/plain; charset=utf-8", "ok\n")),
        Target::Unknown => Err(Response::error(404, None, "the demo hub has nothing at this path")),
    };
    answer.unwrap_or_else(|error| error)
}

/// The commit that a revision stands for.
fn commit_at<'a>(hosted: &'a Hosted, revision: &str) -> Result<&'a Commit, Response> {
    hosted
        .commit(revision)
        .ok_or_else(|| Response::error(404, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}")))
}

fn no_entry(commit: &Commit, path: &str) -> Response {
    Response::error(404, Some("EntryNotFound"), &format!("{path} does not exist at this revision"))
        .with("X-Repo-Commit", commit.hash.as_str())
}

/// A page for people who open the hub in a browser.
fn home(shared: &Shared) -> Response {
    let names = shared.catalog.ids();
    let text =
        format!("speech-flow demo hub\n\nset HF_ENDPOINT to this address; repositories:\n\n{}\n", names.join("\n"));
    Response::text(200, "text/plain; charset=utf-8", text)
}

/// Where the client reached this hub: absolute links must lead back the same way.
fn origin(shared: &Shared, request: &Request) -> String {
    request.header("host").map_or_else(|| shared.endpoint(), |host| format!("http://{host}"))
}

/// `Link` to the next page: the same URL with another cursor.
fn next_page(shared: &Shared, request: &Request, cursor: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
        if key != "cursor" {
            query.append_pair(&key, &value);
        }
    }
    query.append_pair("cursor", &cursor.to_string());
    format!("<{}{}?{}>; rel=\"next\"", origin(shared, request), request.path, query.finish())
}

/// The part of a list that a request asks for, and where the next one begins.
fn page<T>(shared: &Shared, request: &Request, mut items: Vec<T>) -> (Vec<T>, Option<usize>) {
    let number = |name: &str| request.parameter(name).and_then(|value| value.parse::<usize>().ok());
    let start = number("cursor").unwrap_or(0).min(items.len());
    let size = number("limit").unwrap_or(usize::MAX).min(shared.page_size).max(1);
    let end = start.saturating_add(size).min(items.len());
    let next = (end < items.len()).then_some(end);
    items.truncate(end);
    (items.split_off(start), next)
}
