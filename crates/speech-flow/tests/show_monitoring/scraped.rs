//! A real Prometheus reads a real cache server and both workers that had work: every expression of the rules and of the
//! dashboard parses there, and asks for metrics, labels and outcomes that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::dashboard;
use crate::expressions::{Asked, Selector, read};
use crate::http::encoded;
use crate::prometheus::Prometheus;
use crate::root;
use crate::runbook;
use crate::service::Service;
use crate::support::{World, wait_until};

/// Metrics that no service of this test has, with the labels that are asked for: of the kubelet, of kube-state-metrics,
/// of Prometheus itself, and of cache servers that look for updates. Sources: kube-state-metrics, `docs/metrics`; Kubernetes, `pkg/kubelet/metrics/collectors/volume_stats.go`.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("ALERTS", &["alertname"]),
    ("kube_cronjob_spec_suspend", &["cronjob"]),
    ("kube_cronjob_status_last_successful_time", &["cronjob"]),
    ("kube_daemonset_status_number_unavailable", &["daemonset"]),
    ("kube_job_status_failed", &["job_name"]),
    ("kube_job_status_succeeded", &["job_name"]),
    ("kube_pod_container_status_waiting_reason", &["container", "reason"]),
    ("kubelet_volume_stats_available_bytes", &["persistentvolumeclaim"]),
    ("kubelet_volume_stats_capacity_bytes", &["persistentvolumeclaim"]),
    ("kubelet_volume_stats_inodes", &["persistentvolumeclaim"]),
    ("kubelet_volume_stats_inodes_free", &["persistentvolumeclaim"]),
    ("speech_flow_server_update_available", &["model"]),
    ("speech_flow_server_update_failed", &["model"]),
    ("speech_flow_server_update_last_run_timestamp_seconds", &[]),
];
/// Labels that Prometheus gives to what it reads.
const OF_TARGETS: &[&str] = &["namespace", "pod", "job", "instance"];
/// Labels whose values are closed sets of which all are there from the start.
const CLOSED: &[&str] = &["outcome", "reason", "kind"];
/// Outcomes that a metric gets with its first occurrence only.
const LATER: &[(&str, &str)] = &[("speech_flow_server_first_byte_seconds", "follow")];

/// What Prometheus has read: labels with their values, for each metric.
struct Read(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Read {
    fn of(prometheus: &Prometheus) -> Self {
        let series = format!("series?match[]={}", encoded(r#"{__name__=~".+"}"#));
        let mut metrics: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for series in prometheus.api(&series).expect("series").as_array().expect("a list") {
            let series = series.as_object().expect("labels");
            let labels = metrics.entry(text(&series["__name__"]).to_owned()).or_default();
            for (label, value) in series {
                labels.entry(label.clone()).or_default().insert(text(value).to_owned());
            }
        }
        Self(metrics)
    }

    /// What is wrong with an expression.
    fn faults(&self, asked: &Asked) -> Vec<String> {
        let mut faults: Vec<_> = asked.selectors.iter().flat_map(|selector| self.faults_of(selector)).collect();
        let others = ELSEWHERE.iter().flat_map(|(_, labels)| labels.iter().copied());
        let known: BTreeSet<&str> =
            self.0.values().flat_map(BTreeMap::keys).map(String::as_str).chain(others).chain(["limit"]).collect();
        let unknown = asked.groupings.iter().filter(|label| !known.contains(label.as_str()));
        faults.extend(unknown.map(|label| format!("nothing has the label `{label}`")));
        faults
    }

    fn faults_of(&self, selector: &Selector) -> Vec<String> {
        let Selector { metric, matchers } = selector;
        if let Some((_, labels)) = ELSEWHERE.iter().find(|(name, _)| name == metric) {
            let unknown = matchers
                .iter()
                .filter(|[label, ..]| !labels.contains(&label.as_str()) && !OF_TARGETS.contains(&label.as_str()));
            return unknown.map(|[label, ..]| format!("`{metric}` is not listed with the label `{label}`")).collect();
        }
        let Some(labels) = self.0.get(metric) else { return vec![format!("there is no `{metric}`")] };
        let mut faults = Vec::new();
        for [label, operator, value] in matchers {
            // A rule over all pods has no label of one; the dashboard's variables then take everything.
            let Some(values) = labels.get(label) else {
                faults.push(format!("`{metric}` has no label `{label}`"));
                continue;
            };
            let is_later = |wanted: &str| LATER.iter().any(|(of, one)| metric.starts_with(of) && *one == wanted);
            let is_closed = CLOSED.contains(&label.as_str()) && operator != "!=";
            let wanted = value.split('|').filter(|wanted| is_closed && !values.contains(*wanted) && !is_later(wanted));
            faults.extend(wanted.map(|wanted| format!("`{metric}` never has {label}=\"{wanted}\", only {values:?}")));
        }
        faults
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn a_real_prometheus_answers_every_expression_of_the_rules_and_the_dashboard() {
    let world = World::start();
    let store = format!("file://{}", world.folder().join("store").display());
    fs::create_dir(world.folder().join("store")).expect("a folder");
    let server = Service::start(&world, &["serve"], &[("SPEECH_FLOW_SERVER_STORE", &store)]);
    let endpoint = format!("http://{}", server.address);
    let variables = [("HF_ENDPOINT", endpoint.as_str()), ("WHISPER_COMPUTE_TYPE", "float32")];
    let whisper = Service::start(&world, &["worker", "whisper"], &variables);
    let lid = Service::start(&world, &["worker", "lid"], &variables);
    // What the workers fetched is a hit for the next one.
    let mut preload = world.command(&["preload", "--all"]);
    world.finish(preload.env("HF_ENDPOINT", &endpoint)).exits(0);
    whisper.work("transcriptions");
    whisper.work("language");
    lid.work("language");

    let targets = [
        ("speech-flow-cache-server", server.address.as_str()),
        ("speech-flow-worker-whisper", whisper.address.as_str()),
        ("speech-flow-worker-lid", lid.address.as_str()),
    ];
    let prometheus = Prometheus::start(world.folder(), &targets);
    wait_until("all three are read", || prometheus.query("sum(up) == 3").is_ok_and(|sum| !sum.is_empty()));
    // Rules over two reads have a value then, which shows that they mean what is there.
    for rule in ["job:speech_flow_backlog:ratio", "instance:speech_flow_server_disk_used:ratio"] {
        wait_until(rule, || !prometheus.query(rule).expect("parses").is_empty());
    }

    let rules = prometheus.rules();
    let dashboard = dashboard::read();
    let mut expressions = dashboard::expressions(&dashboard);
    expressions.extend(runbook::queries());
    for rule in &rules {
        assert!(rule["lastError"].is_null() && rule["health"] != "err", "{rule}");
        expressions.push((format!("rule `{}`", text(&rule["name"])), text(&rule["query"]).to_owned()));
    }
    assert!(expressions.len() > 100, "only {}", expressions.len());
    // A rule's own metric is there once it had data; that it is defined is what counts.
    let mut read_metrics = Read::of(&prometheus);
    for rule in rules.iter().filter(|rule| rule["type"] == "recording") {
        let labels = read_metrics.0.entry(text(&rule["name"]).to_owned()).or_default();
        for label in ["namespace", "job"] {
            labels.entry(label.to_owned()).or_default();
        }
    }
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (at, expression) in &expressions {
        if let Err(error) = prometheus.query(expression) {
            faults.push(format!("{at}: {error}: {expression}"));
            continue;
        }
        let asked = read(expression);
        assert!(!asked.selectors.is_empty(), "{at} asks for nothing");
        faults.extend(read_metrics.faults(&asked).into_iter().map(|fault| format!("{at}: {fault}")));
        used.extend(asked.selectors.into_iter().map(|selector| selector.metric));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let idle: Vec<_> = ELSEWHERE.iter().filter(|(name, _)| !used.contains(*name)).collect();
    assert!(idle.is_empty(), "listed as metrics of others and not asked for: {idle:?}");
    every_metric_is_described(&read_metrics);
}

/// Each metric stands in the guide of the service that has it.
#[track_caller]
fn every_metric_is_described(read: &Read) {
    let guide = |name: &str| fs::read_to_string(root().join("docs").join(name)).expect("a guide");
    let (server, workers) = (guide("CACHE_SERVER.md"), guide("WORKERS.md"));
    let names: BTreeSet<&str> =
        read.0.keys().filter(|name| name.starts_with("speech_flow_")).map(|name| base(name, read)).collect();
    let missing = names.iter().filter(|name| {
        let guide = if name.starts_with("speech_flow_server_") { &server } else { &workers };
        !guide.contains(&format!("`{name}`"))
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "the guides do not describe {missing:?}");
}

/// The name of a histogram for one of its parts.
fn base<'a>(name: &'a str, read: &Read) -> &'a str {
    let of_histogram = |ending: &str| {
        let base = name.strip_suffix(ending)?;
        read.0.contains_key(&format!("{base}_bucket")).then_some(base)
    };
    ["_bucket", "_sum", "_count"].iter().find_map(|ending| of_histogram(ending)).unwrap_or(name)
}
