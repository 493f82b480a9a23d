//! The status page: made here as a whole, so that it reads without a script; a script only keeps it fresh.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use speech_flow_model_types::ByteSize;

use crate::answer::Refusal;
use crate::operations::status::Status;
use crate::server::Server;
use crate::updates::View;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
/// Nothing from elsewhere, and no script in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn page(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let models = server.models(caller.clone(), None).await?;
    let taken = tokio::task::spawn_blocking(move || server.status(&caller)).await;
    let status = taken.map_err(|_| Refusal::internal("the status could not be taken"))?;
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    Ok((headers, render(&status, &models)).into_response())
}

/// `GET /v1/page.js`.
pub(crate) async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

fn render(status: &Status, models: &[Value]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>speech-flow cache</title>\
         <style>{STYLE}</style><script src=\"/v1/page.js\" defer></script></head><body>\
         <a class=\"skip\" href=\"#models\">Skip to the models</a>\
         <header><h1>speech-flow cache</h1><p id=\"upstream\">{}</p></header><main>",
        if status.offline {
            "asks no hub: serves what it has".to_owned()
        } else {
            format!("in front of <b>{}</b>", escape(&status.upstream))
        }
    );
    numbers(&mut page, status);
    fetching(&mut page, status);
    cached(&mut page, models);
    updates(&mut page, &status.updates);
    problems(&mut page, status);
    let (version, started) = (escape(status.version), escape(&status.started));
    // Writing to a `String` cannot fail, here and below.
    let _ = writeln!(
        page,
        "</main><footer>speech-flow {version}, running since <time>{started}</time> · \
         <a href=\"/metrics\">metrics</a> · <a href=\"/v1/models\">models as JSON</a> · \
         <a href=\"/v1/openapi.json\">API</a></footer></body></html>"
    );
    page
}

fn numbers(page: &mut String, status: &Status) {
    let ratio = status.hit_ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
    let _ = write!(
        page,
        "<section aria-label=\"Numbers\" class=\"numbers\">\
         <div><b id=\"hit-ratio\">{ratio}</b><span>of files were here</span></div>\
         <div><b id=\"from-cache\">{}</b><span>sent from the cache</span></div>\
         <div><b id=\"from-hub\">{}</b><span>fetched from the hub</span></div>\
         <div><b id=\"in-flight\">{}</b><span>requests now</span></div>",
        bytes(status.bytes_from_cache),
        bytes(status.upstream_bytes),
        status.requests_in_flight,
    );
    for disk in &status.disks {
        let used = disk.total_bytes.saturating_sub(disk.free_bytes);
        let _ = write!(
            page,
            "<div><b>{}</b><span>free of {} ({} cache)</span>\
             <meter min=\"0\" max=\"{}\" high=\"{}\" value=\"{used}\">{used}</meter></div>",
            bytes(disk.free_bytes),
            bytes(disk.total_bytes),
            disk.cache,
            disk.total_bytes,
            disk.total_bytes / 10 * 9,
        );
    }
    page.push_str("</section>");
}

fn fetching(page: &mut String, status: &Status) {
    page.push_str("<section><h2>On its way</h2><div class=\"scroll\"><table><thead><tr><th>Model</th><th>File</th><th>Progress</th></tr></thead><tbody id=\"fetching\">");
    for file in &status.fetching {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td><progress max=\"{}\" value=\"{}\"></progress> {} of {} ({})</td></tr>",
            escape(&file.model),
            escape(&file.file),
            file.bytes_total.max(1),
            file.bytes,
            bytes(file.bytes),
            bytes(file.bytes_total),
            file.state,
        );
    }
    if status.fetching.is_empty() {
        page.push_str("<tr><td colspan=\"3\" class=\"quiet\">Nothing is being fetched.</td></tr>");
    }
    page.push_str("</tbody></table></div></section>");
}

fn cached(page: &mut String, models: &[Value]) {
    page.push_str("<section id=\"models\" tabindex=\"-1\"><h2>In the cache</h2><div class=\"scroll\"><table><thead><tr><th>Model</th><th>Revision</th><th>State</th><th class=\"number\">Size</th><th>Last used</th></tr></thead><tbody>");
    let mut is_empty = true;
    for model in models {
        for revision in model["revisions"].as_array().into_iter().flatten() {
            is_empty = false;
            let text = |key: &str| revision[key].as_str().unwrap_or_default().to_owned();
            let refs: Vec<&str> = revision["refs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut state = text("state");
            if revision["pinned"] == true {
                state.push_str(", pinned");
            }
            if revision["leases"].as_u64().is_some_and(|leases| leases > 0) {
                state.push_str(", in use");
            }
            let commit = text("commit");
            let _ = write!(
                page,
                "<tr><td>{}</td><td><code title=\"{commit}\">{}</code> {}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
                escape(model["id"].as_str().unwrap_or_default()),
                escape(commit.get(..12).unwrap_or(&commit)),
                escape(&refs.join(", ")),
                escape(&state),
                bytes(revision["bytes"].as_u64().unwrap_or_default()),
                escape(revision["last_used"].as_str().unwrap_or("–").get(..16).unwrap_or("–")),
                commit = escape(&commit),
            );
        }
    }
    if is_empty {
        page.push_str("<tr><td colspan=\"5\" class=\"quiet\">Nothing yet. Set <code>HF_ENDPOINT</code> of a client to this address and download a model.</td></tr>");
    }
    page.push_str("</tbody></table></div></section>");
}

/// Nothing, where updates are off and none was ever looked for.
fn updates(page: &mut String, view: &View) {
    if view.policy == "never" && view.models.is_empty() {
        return;
    }
    let last = view.last_run.as_deref().map_or("never yet", |last| last.get(..16).unwrap_or(last));
    let what = match view.policy {
        "apply" => "newer commits are fetched, validated and taken",
        "report" => "newer commits are fetched and validated; the lockfile stays",
        _ => "switched off",
    };
    let _ = write!(
        page,
        "<section><h2>Updates</h2><p>Last looked: <time>{}</time>; {what}.</p><div class=\"scroll\"><table><thead><tr>\
         <th>Model</th><th>Locked</th><th>On the hub</th><th>State</th><th>Since</th></tr></thead><tbody>",
        escape(last)
    );
    let short = |commit: &str| escape(commit.get(..12).unwrap_or(commit));
    for model in &view.models {
        let _ = write!(
            page,
            "<tr><td>{}@{}</td><td><code>{}</code></td><td><code>{}</code></td><td>{}{}</td><td>{}</td></tr>",
            escape(&model.model),
            escape(&model.revision),
            short(&model.locked),
            short(model.found.as_deref().unwrap_or("–")),
            model.state.label(),
            model.error.as_ref().map(|error| format!(": {}", escape(error))).unwrap_or_default(),
            escape(model.since.get(..16).unwrap_or(&model.since)),
        );
    }
    if view.models.is_empty() {
        page.push_str("<tr><td colspan=\"5\" class=\"quiet\">Nothing yet.</td></tr>");
    }
    page.push_str("</tbody></table></div></section>");
}

fn problems(page: &mut String, status: &Status) {
    page.push_str("<section><h2>Recent problems</h2><ul class=\"problems\">");
    for problem in &status.problems {
        let hint = problem.hint.as_ref().map(|hint| format!("<br><span class=\"hint\">{}</span>", escape(hint)));
        let times = if problem.times > 1 { format!(" ({} times)", problem.times) } else { String::new() };
        let _ = write!(
            page,
            "<li><time>{}</time>{times} {}{}</li>",
            escape(problem.time.get(..19).unwrap_or(&problem.time)),
            escape(&problem.message),
            hint.unwrap_or_default(),
        );
    }
    if status.problems.is_empty() {
        page.push_str("<li class=\"quiet\">None.</li>");
    }
    page.push_str("</ul></section>");
}

fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// Text as it may stand in a page, also inside quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_page() {
        assert_eq!(escape("<img src='x' onerror=\"a&b\">"), "&lt;img src=&#39;x&#39; onerror=&quot;a&amp;b&quot;&gt;");
        let mut page = String::new();
        cached(
            &mut page,
            &[json!({"id": "<b>", "revisions": [{"commit": "\"><script>", "refs": ["<i>"], "bytes": 1}]})],
        );
        assert!(!page.contains("<script>") && !page.contains("<i>"), "{page}");
    }
}
