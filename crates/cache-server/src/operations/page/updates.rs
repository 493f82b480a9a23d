//! What the looks for updates found, as the page shows it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::text::{escape, moment, prose};
use crate::updates::{ModelView, View};

/// Nothing, where updates are off and none was ever looked for.
pub(super) fn updates(page: &mut String, view: &View, now: Timestamp) {
    if view.policy == "never" && view.models.is_empty() {
        return;
    }
    let when = |time: &str| time.parse().map_or_else(|_| escape(time), |time| moment(time, now));
    let what = match view.policy {
        "apply" => "newer commits are fetched, validated and taken",
        "report" => "newer commits are fetched and validated; the lockfile stays",
        _ => "switched off",
    };
    let _ = write!(
        page,
        "<section id=\"updates\" aria-labelledby=\"updates-title\"><h2 id=\"updates-title\">Updates</h2>\
         <p class=\"quiet\">Last looked: {}; {what}.</p><table><thead><tr><th>Model</th><th>Locked</th>\
         <th>On the hub</th><th>State</th><th>Since</th></tr></thead><tbody>",
        view.last_run.as_deref().map_or_else(|| "never yet".to_owned(), when),
    );
    for model in &view.models {
        row(page, model, &when(&model.since));
    }
    if view.models.is_empty() {
        page.push_str("<tr><td colspan=\"5\" class=\"quiet\">Nothing yet.</td></tr>");
    }
    page.push_str("</tbody></table></section>\n");
}

fn row(page: &mut String, model: &ModelView, since: &str) {
    let short = |commit: &str| escape(commit.get(..8).unwrap_or(commit));
    let _ = write!(
        page,
        "<tr><th scope=\"row\">{}@{}</th><td data-label=\"Locked\"><code>{}</code></td>\
         <td data-label=\"On the hub\"><code>{}</code></td><td data-label=\"State\">{}{}</td>\
         <td data-label=\"Since\">{since}</td></tr>",
        escape(&model.model),
        escape(&model.revision),
        short(&model.locked),
        short(model.found.as_deref().unwrap_or("–")),
        model.state.label(),
        model.error.as_ref().map(|error| format!(": {}", prose(error))).unwrap_or_default(),
    );
}
