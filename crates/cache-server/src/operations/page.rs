//! The status page: made here as a whole, so that it reads without a script; a script only keeps it fresh.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::answer::Refusal;
use crate::operations::status::{Disk, Fetching, Status};
use crate::server::Server;

mod text;
mod updates;

use text::{ago, bytes, escape, moment, prose};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
/// Three lines on a tile; given here, so that no browser asks for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' \
                    height='16' rx='4' fill='%230b62c4'/%3E%3Cpath d='M4 5h8M4 8h8M4 11h5' stroke='%23fff' \
                    stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E";
/// Nothing from elsewhere, and no script in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn page(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let models = server.models(caller.clone(), None).await?;
    let taken = tokio::task::spawn_blocking(move || server.status(&caller)).await;
    let status = taken.map_err(|_| Refusal::internal("the status could not be taken"))?;
    let page = render(&status, &models, Timestamp::now());
    Ok((headers_of("text/html; charset=utf-8"), [(CONTENT_SECURITY_POLICY, POLICY)], page).into_response())
}

/// `GET /v1/page.js`.
pub(crate) async fn script() -> Response {
    (headers_of("text/javascript; charset=utf-8"), SCRIPT).into_response()
}

/// What is shown belongs to this moment and to this server's version.
fn headers_of(kind: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ]
}

// Writing to a `String` cannot fail, here and below.

fn render(status: &Status, models: &[Value], now: Timestamp) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>speech-flow cache</title>\
         <link rel=\"icon\" href=\"{ICON}\"><style>{STYLE}</style><script src=\"/v1/page.js\" defer></script></head>\n\
         <body><a class=\"skip\" href=\"#models\">Skip to the models</a>\
         <header><div><h1>speech-flow cache</h1><p>{}</p></div>\
         <p id=\"live\" role=\"status\">As of {}</p></header>\n<main>",
        if status.offline {
            "asks no hub: serves what it has".to_owned()
        } else {
            format!("in front of <b>{}</b>", escape(&status.upstream))
        },
        moment(now, now),
    );
    numbers(&mut page, status);
    disks(&mut page, &status.disks);
    fetching(&mut page, &status.fetching);
    problems(&mut page, status, now);
    cached(&mut page, models, now);
    updates::updates(&mut page, &status.updates, now);
    let started = status.started.parse().map_or_else(|_| escape(&status.started), |started| moment(started, now));
    let _ = writeln!(
        page,
        "</main>\n<footer><p>speech-flow {}, started {started}</p><p><a href=\"/metrics\">Metrics</a> \
         <a href=\"/v1/models\">Models as JSON</a> <a href=\"/v1/status\">Status as JSON</a> \
         <a href=\"/v1/openapi.json\">API</a></p></footer></body></html>",
        escape(status.version),
    );
    page
}

fn numbers(page: &mut String, status: &Status) {
    let ratio = status.hit_ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
    let _ = writeln!(
        page,
        "<section aria-label=\"Numbers\" class=\"numbers\">\
         <p><b id=\"hit-ratio\">{ratio}</b> of files were here</p>\
         <p><b id=\"from-cache\">{}</b> sent from the cache</p>\
         <p><b id=\"from-hub\">{}</b> fetched from the hub</p>\
         <p><b id=\"in-flight\">{}</b> requests now</p></section>",
        bytes(status.bytes_from_cache),
        bytes(status.upstream_bytes),
        status.requests_in_flight,
    );
}

fn disks(page: &mut String, disks: &[Disk]) {
    page.push_str("<section id=\"disks\" aria-label=\"Disks\" class=\"numbers\">");
    for disk in disks {
        let used = disk.total_bytes.saturating_sub(disk.free_bytes);
        let percent = used as f64 * 100.0 / disk.total_bytes.max(1) as f64;
        let _ = write!(
            page,
            "<p class=\"disk{}\">{} cache: <b>{}</b> free of {}\
             <progress max=\"100\" value=\"{percent:.1}\" aria-label=\"{} cache: {percent:.0} % in use\"></progress></p>",
            // The clean-up keeps the disk below this.
            if percent > 92.0 { " full" } else { "" },
            if disk.cache == "whisper" { "Whisper" } else { "Hub" },
            bytes(disk.free_bytes),
            bytes(disk.total_bytes),
            disk.cache,
        );
    }
    page.push_str("</section>\n");
}

fn fetching(page: &mut String, files: &[Fetching]) {
    page.push_str(
        "<section aria-labelledby=\"fetching-title\"><h2 id=\"fetching-title\">On its way</h2><table><thead><tr>\
         <th>Model</th><th>File</th><th>Progress</th></tr></thead><tbody id=\"fetching\">",
    );
    for file in files {
        let _ = write!(
            page,
            "<tr><th scope=\"row\">{}</th><td data-label=\"File\">{}</td><td data-label=\"Progress\">\
             <progress max=\"{}\" value=\"{}\" aria-label=\"{1}\"></progress> {} of {}{}</td></tr>",
            escape(&file.model),
            escape(&file.file),
            file.bytes_total.max(1),
            file.bytes,
            bytes(file.bytes),
            bytes(file.bytes_total),
            if file.state == "fetching" { String::new() } else { format!(", {}", file.state) },
        );
    }
    if files.is_empty() {
        page.push_str("<tr><td colspan=\"3\" class=\"quiet\">Nothing is being fetched.</td></tr>");
    }
    page.push_str("</tbody></table></section>\n");
}

fn problems(page: &mut String, status: &Status, now: Timestamp) {
    page.push_str(
        "<section id=\"problems\" aria-labelledby=\"problems-title\"><h2 id=\"problems-title\">Recent problems</h2>",
    );
    if status.problems.is_empty() {
        page.push_str("<p class=\"quiet\">None.</p></section>\n");
        return;
    }
    page.push_str("<ul>");
    for problem in &status.problems {
        let when = problem.time.parse().map_or_else(|_| escape(&problem.time), |time| moment(time, now));
        let times = if problem.times > 1 { format!(", {} times", problem.times) } else { String::new() };
        let _ = write!(page, "<li><p><b>{}</b></p>", prose(&problem.message));
        if let Some(hint) = &problem.hint {
            let _ = write!(page, "<p>What to do: {}</p>", prose(hint));
        }
        let _ = write!(page, "<p class=\"quiet\">{when}{times}</p></li>");
    }
    page.push_str("</ul></section>\n");
}

fn cached(page: &mut String, models: &[Value], now: Timestamp) {
    let revisions = |model: &Value| model["revisions"].as_array().cloned().unwrap_or_default();
    let mut models: Vec<&Value> = models.iter().filter(|model| !revisions(model).is_empty()).collect();
    models.sort_by_key(|model| model["id"].as_str().map(str::to_lowercase));
    let size: u64 = models.iter().filter_map(|model| model["bytes"].as_u64()).sum();
    page.push_str(
        "<section id=\"models\" tabindex=\"-1\" aria-labelledby=\"models-title\"><h2 id=\"models-title\">In the cache",
    );
    match models.len() {
        0 => {}
        1 => page.push_str(&format!(" <span>1 model, {}</span>", bytes(size))),
        count => page.push_str(&format!(" <span>{count} models, {}</span>", bytes(size))),
    }
    let is_empty = models.is_empty();
    page.push_str(
        "</h2><table><thead><tr><th>Model</th><th>Revision</th><th>State</th><th class=\"number\">Size</th>\
         <th>Last used</th><th>License</th></tr></thead><tbody>",
    );
    for model in models {
        for revision in revisions(model) {
            row(page, model, &revision, now);
        }
    }
    if is_empty {
        page.push_str(
            "<tr><td colspan=\"6\" class=\"quiet\">Nothing yet. Set <code>HF_ENDPOINT</code> of a client to this \
             address and download a model.</td></tr>",
        );
    }
    page.push_str("</tbody></table></section>\n");
}

fn row(page: &mut String, model: &Value, revision: &Value, now: Timestamp) {
    let text = |key: &str| revision[key].as_str().unwrap_or_default();
    let (commit, state) = (text("commit"), text("state"));
    let refs = revision["refs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let refs: String = refs.map(|name| format!("{} ", escape(name))).collect();
    let mut marks = String::new();
    if revision["pinned"] == true {
        marks.push_str(" <span class=\"mark\">pinned</span>");
    }
    if revision["leases"].as_u64().is_some_and(|leases| leases > 0) {
        marks.push_str(" <span class=\"mark\">in use</span>");
    }
    let used: Option<Timestamp> = text("last_used").parse().ok();
    let _ = write!(
        page,
        "<tr><th scope=\"row\">{}</th><td data-label=\"Revision\">{refs}<code title=\"{}\">{}</code></td>\
         <td data-label=\"State\"><span class=\"mark {}\">{}</span>{marks}</td>\
         <td data-label=\"Size\" class=\"number\">{}</td><td data-label=\"Last used\">{}</td>\
         <td data-label=\"License\">{}</td></tr>",
        escape(model["id"].as_str().unwrap_or_default()),
        escape(commit),
        escape(commit.get(..8).unwrap_or(commit)),
        // The states are this program's own words.
        escape(state),
        escape(&said(state, revision["missing_files"].as_u64())),
        bytes(revision["bytes"].as_u64().unwrap_or_default()),
        used.map_or_else(|| "–".to_owned(), |used| ago(used, now)),
        revision["license"].as_str().map_or_else(|| "–".to_owned(), escape),
    );
}

/// A state in words that need no manual.
fn said(state: &str, missing: Option<u64>) -> String {
    match (state, missing) {
        ("incomplete", Some(1)) => "1 file not asked for yet".to_owned(),
        ("incomplete", Some(missing)) => format!("{missing} files not asked for yet"),
        _ => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_page() {
        let mut page = String::new();
        let hostile = json!({"id": "<b>", "revisions": [{
            "commit": "\"><script>", "refs": ["<i>"], "bytes": 1, "state": "'><u>", "license": "<s>",
        }]});
        cached(&mut page, &[hostile], Timestamp::UNIX_EPOCH);
        let file = Fetching {
            model: "<b>".to_owned(),
            file: "\"><script>".to_owned(),
            bytes: 1,
            bytes_total: 2,
            seconds: 1.0,
            state: "fetching",
        };
        fetching(&mut page, &[file]);
        for tag in ["<script>", "<i>", "<b>", "<u>", "<s>"] {
            assert!(!page.contains(tag), "{tag} in {page}");
        }
    }
}
