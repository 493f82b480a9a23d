//! The rules: promtool's own checks, and that no alert is without a test, a runbook and the fields that people need.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::prometheus::Prometheus;
use crate::{files, monitoring, root};

/// Set to write what is generated.
const UPDATE: &str = "SPEECH_FLOW_UPDATE_DOCS";

#[track_caller]
fn promtool(arguments: &[&str], files: &[std::path::PathBuf]) {
    let output = Command::new("promtool").args(arguments).args(files).output();
    let output = output.expect("`promtool` starts; scripts/setup.sh test installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_finds_no_fault_in_the_rules() {
    promtool(&["check", "rules"], &files("rules", ".yaml"));
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules"], &files("tests", ".test.yaml"));
}

/// How often each alert is expected to fire, and not to, in the unit tests.
fn expectations() -> BTreeMap<String, (usize, usize)> {
    let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in files("tests", ".test.yaml") {
        let text = fs::read_to_string(file).expect("reads");
        let mut alert = "";
        for line in text.lines() {
            if let Some((_, name)) = line.split_once("alertname: ") {
                alert = name;
            }
            match line.trim() {
                "exp_alerts: []" => found.entry(alert.to_owned()).or_default().1 += 1,
                "exp_alerts:" => found.entry(alert.to_owned()).or_default().0 += 1,
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_alert_has_unit_tests_a_runbook_and_what_people_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let prometheus = Prometheus::start(folder.path(), &[]);
    let rules = prometheus.rules();
    let alerts: Vec<&Value> = rules.iter().filter(|rule| rule["type"] == "alerting").collect();
    let mut expected = expectations();
    let runbook = fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the runbook");
    let sections = sections(&runbook);
    let mut names: Vec<&str> = Vec::new();
    for alert in &alerts {
        let name = alert["name"].as_str().expect("a name");
        names.push(name);
        assert!(name.starts_with("SpeechFlow"), "{name}");
        let severity = alert["labels"]["severity"].as_str();
        assert!(severity.is_some_and(|it| ["critical", "warning", "info"].contains(&it)), "{name}: {severity:?}");
        assert!(alert["duration"].as_f64().is_some_and(|seconds| seconds >= 60.0), "{name} has no `for`");
        let annotations = &alert["annotations"];
        for text in ["summary", "description"] {
            let text = annotations[text].as_str().unwrap_or_default();
            assert!(text.ends_with('.') && text.len() > 20, "{name}: {text:?}");
        }
        let link = annotations["runbook_url"].as_str().unwrap_or_default();
        let anchor = name.to_lowercase();
        assert!(link.ends_with(&format!("/docs/OPERATIONS.md#{anchor}")), "{name}: {link}");
        let section = sections.get(name).unwrap_or_else(|| panic!("docs/OPERATIONS.md has no section on {name}"));
        for part in ["**Means.**", "**Look.**", "**Do.**", "**Verify.**"] {
            assert!(section.contains(part), "the section on {name} has no {part}");
        }
        let (fires, stays) = expected.get(name).copied().unwrap_or_default();
        assert!(fires > 0 && stays > 0, "{name} is expected to fire {fires} times and not to {stays} times");
    }
    assert!(alerts.len() > 20, "only {}", alerts.len());
    expected.retain(|name, _| !names.contains(&&**name));
    assert!(expected.is_empty(), "tests of alerts that are not there: {expected:?}");
    let obsolete = sections.keys().filter(|title| title.starts_with("SpeechFlow") && !names.contains(title));
    assert_eq!(obsolete.count(), 0, "the runbook has sections on alerts that are not there");
}

/// The text below each heading, by heading.
fn sections(markdown: &str) -> BTreeMap<&str, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut title = "";
    for line in markdown.lines() {
        match line.strip_prefix("### ").or(line.strip_prefix("## ")) {
            Some(heading) => title = heading.trim_matches('`'),
            None => writeln!(sections.entry(title).or_default(), "{line}").expect("to a string"),
        }
    }
    sections
}

#[test]
fn the_operators_objects_hold_the_same_rules() {
    let mut objects =
        "# Generated from rules/ by the tests; run them with SPEECH_FLOW_UPDATE_DOCS=1 to write it.\n".to_owned();
    for file in files("rules", ".yaml") {
        let name = file.file_stem().expect("a name").to_string_lossy();
        let rules = fs::read_to_string(&file).expect("reads");
        write!(
            objects,
            "---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: speech-flow-{name}\n  labels:\n    \
             app.kubernetes.io/name: speech-flow\n    app.kubernetes.io/component: monitoring\nspec:\n"
        )
        .expect("to a string");
        for line in rules.lines().filter(|line| !line.starts_with('#')) {
            let indent = if line.is_empty() { "" } else { "  " };
            writeln!(objects, "{indent}{line}").expect("to a string");
        }
    }
    let path = monitoring().join("prometheusrules.yaml");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &objects).expect("writes");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == objects, "prometheusrules.yaml is not what rules/ gives: run this test with {UPDATE}=1");
}
