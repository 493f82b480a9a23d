//! The dashboard: what Grafana takes without a word and shows wrong.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::monitoring;

/// The dashboard.
pub(crate) fn read() -> Value {
    let text = fs::read_to_string(monitoring().join("dashboards/speech-flow.json")).expect("reads");
    serde_json::from_str(&text).expect("JSON")
}

/// Its panels.
pub(crate) fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("panels")
}

/// Every expression of the dashboard, with where it stands; the variables have values.
pub(crate) fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let targets = panels(dashboard).iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        panel["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .map(move |target| (format!("panel `{title}`"), &target["expr"]))
    });
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    let annotations = annotations.map(|annotation| ("annotation".to_owned(), &annotation["expr"]));
    let found = targets.chain(annotations).map(|(at, expression)| {
        let expression = expression.as_str().unwrap_or_else(|| panic!("{at} has no expression"));
        (at, filled(expression))
    });
    found.collect()
}

/// With the values that the variables have by default.
fn filled(expression: &str) -> String {
    let mut filled = expression.replace("$__rate_interval", "1m");
    for variable in ["$namespace", "$pod", "$model"] {
        filled = filled.replace(variable, ".*");
    }
    assert!(!filled.contains('$'), "an unknown variable in `{expression}`");
    filled
}

#[test]
fn it_has_the_rows_and_variables_that_people_look_for() {
    let dashboard = read();
    let rows = panels(&dashboard).iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().expect("a title")).collect();
    assert_eq!(rows, ["Overview", "Cache server", "Workers", "Models and versions", "Disk"]);
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let variables: Vec<_> = variables.map(|variable| variable["name"].as_str().expect("a name")).collect();
    assert_eq!(variables, ["datasource", "namespace", "pod", "model"]);
    for variable in ["$namespace", "$pod", "$model"] {
        let uses = panels(&dashboard).iter().filter(|panel| panel["targets"].to_string().contains(variable));
        assert!(uses.count() > 0, "{variable} changes nothing");
    }
}

#[test]
fn every_panel_says_its_unit_source_and_meaning() {
    let dashboard = read();
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "the id of `{title}` is taken");
        assert!(titles.insert(title), "two panels are called `{title}`");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "`{title}` is not described");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "`{title}`");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(defaults["unit"].is_string() && defaults["thresholds"]["steps"][0].is_object(), "`{title}`");
        let targets = panel["targets"].as_array().expect("targets");
        let references: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().expect("an id")).collect();
        assert_eq!(references.len(), targets.len(), "`{title}` has two targets of one name");
        assert!(targets.iter().all(|target| target["datasource"]["uid"] == "${datasource}"), "`{title}`");
    }
    assert!(ids.len() > 30);
}

#[test]
fn panels_do_not_overlap() {
    let dashboard = read();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(side("x") + side("w") <= 24, "{}", panel["title"]);
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(taken.insert((x, y)), "{} stands on another panel", panel["title"]);
            }
        }
    }
}
