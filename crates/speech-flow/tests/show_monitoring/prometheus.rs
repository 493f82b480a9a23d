//! A real Prometheus, from the distribution's package, on loopback.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files;
use crate::http::{encoded, get};

/// A Prometheus that ends with the test.
pub(crate) struct Prometheus {
    process: Child,
    address: String,
}

impl Prometheus {
    /// Starts one with all rules of `deploy/monitoring`, which reads these targets: names of jobs with `host:port`.
    #[track_caller]
    pub(crate) fn start(folder: &Path, targets: &[(&str, &str)]) -> Self {
        let config = folder.join("prometheus.yml");
        fs::write(&config, configuration(targets)).expect("writes");
        // It does not say which port it took, so one is found for it; another process may be faster.
        for attempt in 0..5 {
            let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = probe.local_addr().expect("an address").to_string();
            drop(probe);
            let log = folder.join(format!("prometheus-{attempt}.log"));
            let mut command = Command::new("prometheus");
            command.arg(format!("--config.file={}", config.display()));
            command.arg(format!("--storage.tsdb.path={}", folder.join(format!("data-{attempt}")).display()));
            command.arg(format!("--web.listen-address={address}"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("a log"));
            let process = command.spawn().expect("`prometheus` starts; scripts/setup.sh test installs it");
            let mut prometheus = Self { process, address };
            if prometheus.becomes_ready() {
                return prometheus;
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(said.contains("address already in use"), "Prometheus does not start:\n{said}");
        }
        panic!("no port was free for Prometheus");
    }

    fn becomes_ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if get(&self.address, "/-/ready").is_some_and(|(status, _)| status == 200) {
                return true;
            }
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// What a path of its API gives.
    ///
    /// # Errors
    /// What it says of a bad request.
    pub(crate) fn api(&self, path: &str) -> Result<Value, String> {
        let (_, body) = get(&self.address, &format!("/api/v1/{path}")).expect("it answers");
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer["error"].to_string()) }
    }

    /// The series that an expression gives now.
    ///
    /// # Errors
    /// What it says of an expression that is none.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.api(&format!("query?query={}", encoded(expression)))?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// All rules with their groups' names.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let data = self.api("rules").expect("rules");
        let groups = data["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(targets: &[(&str, &str)]) -> String {
    let mut text = "global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files:\n".to_owned();
    for file in files("rules", ".yaml") {
        writeln!(text, "  - {}", file.display()).expect("to a string");
    }
    text.push_str("scrape_configs:\n");
    for (job, address) in targets {
        writeln!(text, "  - {{ job_name: {job}, static_configs: [{{ targets: [\"{address}\"], labels: {{ namespace: demo, pod: {job}-0 }} }}] }}")
            .expect("to a string");
    }
    if targets.is_empty() {
        text.push_str("  []\n");
    }
    text
}
