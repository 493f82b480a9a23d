//! How the process behaves: signals, closed pipes, color, quiet, no home folder.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, DemoHub, FaultRule, Repository};

#[path = "support/support.rs"]
mod support;

use support::{LID, Run, World, wait_until};

const SIZE: u64 = 48 << 20;
const LARGE: &str = "org/large";

/// A hub with one large file that comes slowly until the faults are cleared.
fn slow_world() -> World {
    let large = Repository::builder(LARGE).generated("weights.dat", SIZE, 7).build().expect("a repository");
    let world = World::with(DemoHub::builder().repository(large));
    world.hub.add_fault(FaultRule::new(Action::Slow { bytes_per_second: 8 << 20 }).path("*.dat")).expect("a fault");
    world
}

/// Starts a download, sends a signal when half of it arrived, and gives how it ended.
fn interrupted(world: &World, signal: &str) -> Run {
    let mut command = world.command(&["preload", LARGE]);
    command.env("SPEECH_FLOW_SEGMENT_SIZE", "1MiB");
    let child = command.spawn().expect("the program starts");
    wait_until("half has arrived", || world.file_bytes() > SIZE / 2);
    kill(child.id(), signal);
    Run::new(child.wait_with_output().expect("the program ends"))
}

/// Whether the unfinished download says that nobody works on it any more.
fn is_let_go(world: &World) -> bool {
    let repo = world.hub_cache().join("models--org--large/.partial");
    let partials = std::fs::read_dir(repo).expect("a folder").flatten().map(|entry| entry.path().join("owner.json"));
    let mut owners = partials.filter_map(|owner| std::fs::read(owner).ok());
    let owner: serde_json::Value = serde_json::from_slice(&owners.next().expect("a partial")).expect("JSON");
    owner["released"] == true
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().expect("kill starts");
    assert!(status.success());
}

#[test]
fn ctrl_c_keeps_what_has_arrived_says_so_and_the_next_run_goes_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let world = slow_world();
        let run = interrupted(&world, signal).exits(code);
        assert!(run.stderr().contains("what has arrived is kept"), "{}", run.stderr());
        assert_eq!(run.stdout(), "");
        assert!(is_let_go(&world), "another machine would have to wait until the owner counts as dead");
        world.hub.clear_faults();
        world.hub.clear_requests();
        let mut again = world.command(&["preload", LARGE, "--json"]);
        again.env("SPEECH_FLOW_SEGMENT_SIZE", "1MiB");
        let document = world.finish(&mut again).exits(0).json();
        let fetched = document["models"][0]["bytes_downloaded"].as_u64().expect("bytes");
        assert!(fetched <= SIZE / 2 + (8 << 20), "{fetched} of {SIZE} were fetched again after SIG{signal}");
    }
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    for arguments in [&["list", "--json"][..], &["config"], &["completions", "bash"], &["man"], &["preload", "--help"]]
    {
        let mut child = world.command(arguments).spawn().expect("the program starts");
        drop(child.stdout.take());
        let run = Run::new(child.wait_with_output().expect("the program ends")).exits(0);
        assert!(!run.stderr().contains("panicked") && !run.stderr().contains("roken pipe"), "{}", run.stderr());
    }
}

/// Runs a command on a terminal of its own, made by `script` of util-linux.
fn on_a_terminal(world: &World, variables: &[(&str, &str)], arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_speech-flow");
    let inner = world.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{program} {arguments}"), "/dev/null"]).env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command.env("TERM", "xterm").envs(variables.iter().copied()).current_dir(world.folder()).stdin(Stdio::null());
    let output = command.output().expect("script starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn color_needs_a_terminal_that_wants_it() {
    let world = World::start();
    let escape = '\u{1b}';
    assert!(on_a_terminal(&world, &[], "config").contains(escape));
    assert!(!on_a_terminal(&world, &[("NO_COLOR", "1")], "config").contains(escape));
    assert!(!on_a_terminal(&world, &[("TERM", "dumb")], "config").contains(escape));
    let run = world.run(&["preload", "--all"]).exits(0);
    assert!(!run.stdout().contains(escape) && !run.stderr().contains(escape));
}

#[test]
fn a_bar_is_drawn_on_a_terminal_only_and_not_against_the_users_will() {
    let world = slow_world();
    world.hub.clear_faults();
    world.hub.add_fault(FaultRule::new(Action::Slow { bytes_per_second: 20 << 20 }).path("*.dat")).expect("a fault");
    let drawn = on_a_terminal(&world, &[], &format!("preload {LARGE}"));
    assert!(drawn.contains("/s, ") && drawn.contains("left") && drawn.contains('>'), "{drawn:?}");
    world.run(&["clear", LARGE, "--yes"]).exits(0);
    let hidden = on_a_terminal(&world, &[], &format!("preload {LARGE} --no-progress"));
    assert!(!hidden.contains("left"), "{hidden:?}");
}

#[test]
fn quiet_prints_errors_only() {
    let world = World::start();
    let run = world.run(&["preload", "--lid", "--quiet"]).exits(0);
    assert_eq!(run.stderr(), "");
    let run = world.run(&["preload", "demo/nothing", "-q"]).exits(1);
    assert!(run.stderr().starts_with("error: "), "{}", run.stderr());
}

#[test]
fn log_lines_go_to_stderr_as_text_or_json() {
    let world = World::start();
    let run = world.run(&["-v", "preload", "--lid", "--json"]).exits(0);
    assert!(run.stderr().contains("INFO"), "{}", run.stderr());
    run.json();
    let mut command = world.command(&["preload", "--lid", "--json", "--revision", "v1"]);
    command.env("SPEECH_FLOW_LOG", "speech_flow=debug").env("SPEECH_FLOW_LOG_FORMAT", "json");
    let run = world.finish(&mut command).exits(0);
    run.json();
    let line = run.stderr().lines().find(|line| line.starts_with('{')).expect("a JSON line").to_owned();
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(event["level"].is_string() && event["message"].is_string(), "{line}");
}

#[test]
fn an_arbitrary_user_without_a_home_can_preload() {
    let world = World::start();
    std::fs::create_dir(world.cache_dir()).expect("made");
    let as_nobody = is_root();
    if as_nobody {
        use std::os::unix::fs::PermissionsExt;
        for folder in [world.folder().to_owned(), world.cache_dir()] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).expect("opened");
        }
    }
    // The program may stand where another user cannot look.
    let program = world.folder().join("speech-flow");
    std::fs::copy(env!("CARGO_BIN_EXE_speech-flow"), &program).expect("copied");
    let mut command = Command::new(&program);
    for (name, value) in world.command(&[]).get_envs().filter(|(name, _)| *name != "HOME") {
        command.env(name, value.expect("a value"));
    }
    command.args(["preload", "--lid", "--json"]).env_remove("HOME").current_dir("/").stdin(Stdio::null());
    if as_nobody {
        command.uid(1_234_567).gid(0);
    }
    let run = world.finish(&mut command).exits(0);
    assert_eq!(run.json()["models"][0]["outcome"], "downloaded");
}

/// Whether this is root, who alone may become somebody else.
fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id starts");
    output.stdout == b"0\n"
}

#[test]
fn without_a_home_and_a_setting_there_is_no_place_for_a_cache() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speech-flow"));
    command.args(["list"]).env_clear().current_dir("/").stdin(Stdio::null());
    let run = Run::new(command.output().expect("the program starts"));
    if std::path::Path::new("/models").is_dir() {
        run.exits(0);
    } else {
        let run = run.exits(2);
        assert!(run.stderr().contains("hint: set `MODEL_CACHE_DIR`"), "{}", run.stderr());
    }
}

#[test]
fn the_hub_of_the_demo_listens_until_it_is_told_to_end() {
    let world = World::with(DemoHub::builder());
    let mut child = world.command(&["demo-hub", "--json"]).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("piped");
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        assert_eq!(stdout.read(&mut byte).expect("read"), 1, "it ended");
        line.push(byte[0]);
    }
    let document: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
    let mut command = world.command(&["preload", LID, "--json"]);
    command.env("HF_ENDPOINT", document["endpoint"].as_str().expect("text"));
    world.finish(&mut command).exits(0);
    kill(child.id(), "TERM");
    Run::new(child.wait_with_output().expect("it ends")).exits(0);
}

#[test]
fn the_demo_shows_what_it_says() {
    let world = World::with(DemoHub::builder());
    let started = Instant::now();
    let run = world.run(&["demo", "--keep", &world.folder().join("kept").display().to_string()]).exits(0);
    let stdout = run.stdout();
    for part in ["two models preloaded", "moved 0 bytes", "was killed at", "step with Python clients was skipped"] {
        assert!(stdout.contains(part), "{part:?} is not in\n{stdout}\n{}", run.stderr());
    }
    assert!(world.folder().join("kept/speech-flow.lock").is_file());
    assert!(started.elapsed() < Duration::from_secs(60));
}
