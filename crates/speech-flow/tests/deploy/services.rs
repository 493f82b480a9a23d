//! Our services, started as the manifests start them, and asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use serde_json::Value;

use crate::support::World;

/// A service that listens; it is killed when the test ends.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    process: Child,
    address: String,
}

impl Service {
    pub(crate) fn start(world: &World, name: &'static str) -> Self {
        let mut command = world.command(&[]);
        command.args(name.split(' ')).args(["--listen", "127.0.0.1:0"]).env("WORKER_API_KEY", "key-of-the-test");
        command.stderr(std::process::Stdio::inherit());
        let mut process = command.spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        Self { name, process, address: url.trim().trim_start_matches("http://").to_owned() }
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Every path, by the service's own description.
    pub(crate) fn routes(&self) -> Vec<String> {
        let path = if self.name == "serve" { "/v1/openapi.json" } else { "/openapi.json" };
        let body = self.get(path).1;
        // The body may be in chunks, whose lengths stand between its lines.
        let document = &body[body.find('{').expect("JSON")..=body.rfind('}').expect("JSON")];
        let document: Value = serde_json::from_str(document).expect("JSON");
        document["paths"].as_object().expect("paths").keys().cloned().collect()
    }

    /// The names of its metrics. Counters with labels show when they have counted: a refusal is one.
    pub(crate) fn metrics(&self) -> Vec<String> {
        assert_eq!(self.ask("POST", "/v1/audio/language").0, 401);
        let text = self.get("/metrics").1;
        let name = |line: &str| line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        text.lines().filter_map(name).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
