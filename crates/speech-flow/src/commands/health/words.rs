//! What a probe's answer means, in a few words.

use std::io;

use serde_json::Value;

use super::ask::Answer;

/// Longest part of an answer that is repeated, in characters.
const MAX_WORDS: usize = 200;

pub(super) fn of_answer(answer: &Answer) -> String {
    let body = &answer.body;
    let said = of_worker(body).or_else(|| of_server(body));
    match said {
        Some(said) => said.chars().take(MAX_WORDS).collect(),
        None if answer.is_well() => "well".to_owned(),
        None => format!("answered {}", answer.status),
    }
}

pub(super) fn of_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "does not answer in time".to_owned(),
        _ => error.to_string(),
    }
}

fn of_worker(body: &Value) -> Option<String> {
    let mut said = body["status"].as_str()?.to_owned();
    if let Some(phase) = body["phase"].as_str() {
        said.push_str(&format!(", {phase}"));
    }
    if let Some(part) = body["progress"].as_f64() {
        said.push_str(&format!(" {:.0} %", part * 100.0));
    }
    Some(said)
}

fn of_server(body: &Value) -> Option<String> {
    if body["ready"].as_bool()? {
        return Some("ready".to_owned());
    }
    if body["draining"] == true {
        return Some("draining".to_owned());
    }
    let caches = body["caches"].as_array()?;
    let caches: Vec<String> = caches
        .iter()
        .filter_map(|cache| Some(format!("`{}` is {}", cache["path"].as_str()?, cache["state"].as_str()?)))
        .collect();
    Some(format!("not ready: {}", caches.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_said_in_a_few_words() {
        #[track_caller]
        fn check(status: u16, body: Value, words: &str) {
            assert_eq!(of_answer(&Answer { status, body }), words);
        }
        check(200, json!({ "status": "ready", "phase": null }), "ready");
        check(503, json!({ "status": "starting", "phase": "ensure", "progress": 0.25 }), "starting, ensure 25 %");
        check(503, json!({ "status": "starting", "phase": "load", "progress": null }), "starting, load");
        check(200, json!({ "ready": true, "draining": false, "caches": [] }), "ready");
        check(503, json!({ "ready": false, "draining": true, "caches": [] }), "draining");
        let caches = json!([{ "path": "/models/whisper", "state": "read-only" }]);
        check(503, json!({ "ready": false, "caches": caches }), "not ready: `/models/whisper` is read-only");
        check(404, Value::Null, "answered 404");
        check(200, json!(["what?"]), "well");
        check(200, json!({ "status": "x".repeat(1000) }), &"x".repeat(MAX_WORDS));
    }
}
