//! `health`, asking real services.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command};

use speech_flow_demo_hub::{Action, FaultRule};

#[path = "support/support.rs"]
mod support;

use support::{World, wait_until};

/// A service of this world that listens on a port of its own; it is killed when the test ends.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut process = world.command(arguments).spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        Self { process, address: url.trim().trim_start_matches("http://").to_owned() }
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().expect("a port")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port where nothing listens. Somebody else may take it, but not within a test.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// `health` where worker and cache server are configured to listen at these ports, on every address.
fn health(world: &World, worker: impl std::fmt::Display, server: impl std::fmt::Display) -> Command {
    let mut command = world.command(&["health"]);
    command.env("WORKER_LISTEN", format!("0.0.0.0:{worker}"));
    command.env("SPEECH_FLOW_SERVER_LISTEN", format!("0.0.0.0:{server}"));
    command
}

#[test]
fn a_cache_server_is_found_at_its_configured_port_and_is_ready() {
    let world = World::start();
    let server = Service::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let run = world.finish(&mut health(&world, free_port(), server.port())).exits(0);
    assert_eq!(run.stdout(), format!("cache server at {}: ready\n", server.address));
    let run = world.run(&["health", "serve", "--live", "--listen", &server.address]).exits(0);
    assert_eq!(run.stdout(), format!("cache server at {}: well\n", server.address));
}

#[test]
fn a_worker_lives_before_it_is_ready() {
    let world = World::start();
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 64 << 10 }).path("*.safetensors");
    world.hub.add_fault(slow).expect("a fault");
    let worker = Service::start(&world, &["worker", "lid", "--listen", "127.0.0.1:0"]);
    let ready = |world: &World| world.finish(&mut health(world, worker.port(), free_port()));
    let run = ready(&world).exits(1);
    assert!(run.stdout().starts_with(&format!("worker at {}: starting", worker.address)), "{}", run.stdout());
    world.finish(health(&world, worker.port(), free_port()).args(["worker", "--live"])).exits(0);
    world.hub.clear_faults();
    wait_until("the model is loaded", || ready(&world).code() == 0);
    let run = ready(&world).exits(0);
    assert_eq!(run.stdout(), format!("worker at {}: ready\n", worker.address));
}

#[test]
fn one_unwell_service_of_two_is_unwell() {
    let world = World::start();
    let server = Service::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let worker = silent.local_addr().expect("an address").port();
    let run = world.finish(health(&world, worker, server.port()).args(["--timeout", "1s"])).exits(1);
    assert!(
        run.stdout().contains(&format!("worker at 127.0.0.1:{worker}: does not answer in time")),
        "{}",
        run.stdout()
    );
    assert!(run.stdout().contains("ready"), "{}", run.stdout());
}

#[test]
fn where_nothing_listens_it_says_where_it_asked() {
    let world = World::start();
    let (worker, server) = (free_port(), free_port());
    let run = world.finish(&mut health(&world, worker, server)).exits(1);
    let stable = run.stderr().replace(&worker.to_string(), "[WORKER]").replace(&server.to_string(), "[SERVER]");
    insta::assert_snapshot!(stable, @r"
    error: nothing listens on `127.0.0.1:[WORKER]` (worker) or `127.0.0.1:[SERVER]` (cache server)
    hint: start a service, or name its address with `--listen`
    ");
    let run = world.finish(health(&world, worker, server).arg("worker")).exits(1);
    assert_eq!(run.stdout(), format!("worker at 127.0.0.1:{worker}: nothing listens\n"));
}

#[test]
fn a_port_that_nobody_can_guess_is_wrong_usage() {
    let world = World::start();
    let run = world.finish(&mut health(&world, 0, free_port())).exits(2);
    insta::assert_snapshot!(run.stderr(), @r"
    error: the worker's address is `0.0.0.0:0`, and port 0 is a free one that only the service knows
    hint: name the address that the service printed with `--listen`
    ");
    let run = world.run(&["health", "--timeout", "0"]).exits(2);
    insta::assert_snapshot!(run.stderr(), @r"
    error: `--timeout` is 0, in which nothing can answer
    hint: it takes a time such as `3s`
    ");
}
