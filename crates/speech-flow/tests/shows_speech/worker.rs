//! A running worker.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::World;

/// A worker that is ready; it is killed when the test ends.
pub(crate) struct Worker {
    process: Child,
    pub(crate) url: String,
}

impl Worker {
    pub(crate) fn start(world: &World, kind: &str, variables: &[(&str, &str)]) -> Self {
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

    pub(crate) fn is_ready(&self) -> bool {
        let Ok(stream) = TcpStream::connect(self.address()) else { return false };
        self.ask(stream, "GET /readyz", &[]).starts_with("HTTP/1.1 200")
    }

    /// The body of an answer.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        let stream = TcpStream::connect(self.address()).expect("connects");
        let answer = self.ask(stream, &format!("GET {path}"), &[]);
        answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
    }

    /// The answer to a clip, as JSON.
    #[track_caller]
    pub(crate) fn post_clip(&self, path: &str, clip: &Path) -> String {
        self.post(path, &std::fs::read(clip).expect("reads"), &[])
    }

    /// The answer to a clip and fields, with its head.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, clip: &[u8], fields: &[(&str, &str)]) -> String {
        let mut form = Vec::new();
        for (name, value) in fields {
            let part = format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            form.extend(part.into_bytes());
        }
        form.extend(b"--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"clip.wav\"\r\n\r\n");
        form.extend(clip);
        form.extend(b"\r\n--limit--\r\n");
        let stream = TcpStream::connect(self.address()).expect("connects");
        self.ask(stream, &format!("POST {path}"), &form)
    }

    fn ask(&self, mut stream: TcpStream, what: &str, form: &[u8]) -> String {
        let (address, length) = (self.address(), form.len());
        let head = format!(
            "{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: multipart/form-data; boundary=limit\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut answer = String::new();
        // A worker that is about to listen may end a connection; that is no answer.
        let asked = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(form));
        let _ = asked.and_then(|()| stream.read_to_string(&mut answer));
        answer
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
