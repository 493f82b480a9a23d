//! The program as process 1, which it is in a container: signals, and processes that lost their parent.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

#[path = "support/support.rs"]
mod support;
#[path = "show_volumes/volume.rs"]
#[expect(dead_code, reason = "only its way of skipping is used")]
mod volume;

use support::{Run, World, wait_until};
use volume::{is_root, skipped};

/// The program as process 1 of a process namespace of its own.
struct Container {
    unshare: Child,
    /// Its number outside.
    pid: u32,
}

impl Container {
    /// `None` where namespaces cannot be made.
    fn start(world: &World, arguments: &[&str]) -> Option<Self> {
        if !is_root() {
            return skipped("only root makes a process namespace");
        }
        let inner = world.command(arguments);
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child"]).arg(inner.get_program()).args(arguments);
        command.env_clear().current_dir(world.folder());
        for (name, value) in inner.get_envs() {
            command.env(name, value.expect("a value"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut unshare = command.spawn().expect("unshare starts");
        let pid = loop {
            if let Some(pid) = children(unshare.id()).first() {
                break *pid;
            }
            if unshare.try_wait().expect("a state").is_some() {
                return skipped("this machine makes no process namespace");
            }
        };
        wait_until("unshare has become the program", || command_name(pid) == "speech-flow");
        Some(Self { unshare, pid })
    }

    /// Runs a shell inside, which ends while its child still runs.
    fn leave_an_orphan(&self) {
        let pid = self.pid.to_string();
        let script = "sleep 0.3 & exit 0";
        let done = Command::new("nsenter").args(["-t", &pid, "-p", "sh", "-c", script]).stdout(Stdio::null()).status();
        assert!(done.expect("nsenter starts").success());
    }

    /// Waits for the line that a service prints when it listens.
    fn wait_for_address(&mut self) {
        let stdout = self.unshare.stdout.as_mut().expect("piped");
        let mut byte = [0];
        while byte != *b"\n" {
            stdout.read_exact(&mut byte).expect("it says its address");
        }
    }

    fn end(self, signal: &str) -> Run {
        let status = Command::new("kill").args(["-s", signal, &self.pid.to_string()]).status().expect("kill starts");
        assert!(status.success());
        Run::new(self.unshare.wait_with_output().expect("it ends"))
    }
}

/// Numbers of the children that a process has, dead ones too.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn command_name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Whether the process listens to SIGTERM by now.
fn catches_terminate(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim();
    u64::from_str_radix(caught, 16).is_ok_and(|caught| caught & (1 << 14) != 0)
}

#[test]
fn a_process_that_lost_its_parent_is_adopted_and_taken_when_it_ends() {
    let world = World::start();
    let Some(mut container) = Container::start(&world, &["demo-hub"]) else { return };
    container.wait_for_address();
    container.leave_an_orphan();
    wait_until("it is adopted", || children(container.pid).iter().any(|child| command_name(*child) == "sleep"));
    wait_until("its status is taken", || children(container.pid).is_empty());
    container.end("TERM").exits(0);
}

#[test]
fn a_command_that_does_not_listen_ends_by_a_signal_as_anywhere_else() {
    let world = World::start();
    let pipe = world.folder().join("speech-flow.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // It waits for somebody to write its configuration.
        let Some(container) = Container::start(&world, &["config", "--config", "speech-flow.toml"]) else { return };
        wait_until("it listens to signals", || catches_terminate(container.pid));
        container.end(signal).exits(code);
    }
}

#[test]
fn a_service_ends_well() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let Some(mut container) = Container::start(&world, &["serve", "--listen", "127.0.0.1:0"]) else { return };
    // It catches signals before, as process 1, but a service's own way to end begins with its address.
    container.wait_for_address();
    container.end("TERM").exits(0);
}
