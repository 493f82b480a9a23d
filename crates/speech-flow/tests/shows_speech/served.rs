//! The workers as their clients see them: the official `openai` client, and schemathesis on the API's description.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Client, answer, root, text};
use crate::support::{Run, WHISPER, World};

/// A worker that is ready; it is killed when the test ends.
pub(super) struct Worker {
    process: Child,
    url: String,
}

impl Worker {
    pub(super) fn start(world: &World, kind: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = world.command(&["worker", kind, "--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().copied()).env("WHISPER_COMPUTE_TYPE", "float32").stderr(Stdio::inherit());
        let mut process = command.spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        let worker = Self { process, url: url.trim().to_owned() };
        let started = Instant::now();
        while !worker.is_ready() {
            assert!(started.elapsed() < Duration::from_secs(60), "the worker does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        worker
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    pub(super) fn metrics(&self) -> String {
        self.get("/metrics").expect("an answer")
    }

    /// The answer with its head; none where nobody answers.
    fn get(&self, path: &str) -> Option<String> {
        let address = self.address();
        let mut stream = TcpStream::connect(address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_official_openai_client_gets_every_format_and_every_error() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let worker = Worker::start(&world, "whisper", &[("WORKER_API_KEY", "secret-of-the-test")]);
    let clip = root().join("fixtures/audio/en05.wav");
    let said = "The green key is under the table.";
    let arguments = [&worker.url, WHISPER, text(&clip), said, "--key", "secret-of-the-test"];
    let answer = answer(&mut client.script(&world, "openai_client.py", &arguments));
    assert_eq!(answer["refused"]["key"][0], 401, "{answer}");
}

/// Lets schemathesis ask whatever the description allows, and more.
#[track_caller]
fn no_server_error(kind: &str) {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let worker = Worker::start(&world, kind, &[]);
    let mut command: Command = client.command(&world, &client.beside("schemathesis"));
    command.args(["run", &format!("{}/openapi.json", worker.url), "--checks", "not_a_server_error"]);
    command.args(["--max-examples", "20", "--seed", "1", "--phases", "examples,coverage,fuzzing"]);
    // Reloading while requests run is tested apart; 503 is the right answer to a second reload.
    command.args(["--exclude-path", "/v1/models/reload", "--suppress-health-check", "all"]);
    let run = Run::new(command.output().expect("schemathesis starts"));
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout(), run.stderr());
    assert!(worker.is_ready(), "the worker survives");
}

#[test]
fn schemathesis_finds_no_server_error_in_the_whisper_worker() {
    no_server_error("whisper");
}

#[test]
fn schemathesis_finds_no_server_error_in_the_lid_worker() {
    no_server_error("lid");
}
