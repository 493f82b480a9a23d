//! The runbook's commands, run as they stand in the text, in their order, on a demo hub; what they print is compared.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::console;
use crate::service::Service;
use crate::support::World;

/// The runbook's queries.
pub(crate) fn queries() -> Vec<(String, String)> {
    console::blocks(&console::guide("OPERATIONS.md"), "promql")
        .into_iter()
        .map(|lines| ("the runbook".to_owned(), lines.join("\n")))
        .collect()
}

/// A volume of two megabytes; `false` where this user cannot mount one.
fn mount_small_volume(world: &World) -> bool {
    let folder = world.folder().join("full");
    fs::create_dir(&folder).expect("a folder");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&folder).stderr(Stdio::null());
    let is_mounted = mount.status().is_ok_and(|status| status.success());
    let is_required = std::env::var_os("SPEECH_FLOW_REQUIRE_VOLUMES").is_some();
    assert!(is_mounted || !is_required, "no volume could be mounted");
    is_mounted
}

/// Unmounts the volume when the test ends.
struct SmallVolume<'a>(&'a World);

impl Drop for SmallVolume<'_> {
    fn drop(&mut self) {
        // It may not be mounted.
        let _ = Command::new("umount").arg(self.0.folder().join("full")).stderr(Stdio::null()).status();
    }
}

#[test]
fn the_commands_of_the_runbook_print_what_it_says() {
    let world = World::start();
    let has_small_volume = mount_small_volume(&world);
    let _unmounted = SmallVolume(&world);
    let server = Service::start(&world, &["serve"], &[]);
    let worker = Service::start(&world, &["worker", "whisper"], &[("WHISPER_COMPUTE_TYPE", "float32")]);
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_speech-flow")).parent().expect("a folder");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut blocks = console::blocks(&console::guide("OPERATIONS.md"), "console");
    blocks.retain(|block| has_small_volume || !block.iter().any(|line| line.contains("MODEL_CACHE_DIR=full")));
    let mut shell = Command::new("bash");
    let program = world.command(&[]);
    let environment = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.env_clear().envs(environment).env("PATH", &path).current_dir(world.folder());
    let replaced = [("localhost:8090", &server.address), ("localhost:8000", &worker.address)];
    let replaced = BTreeMap::from(replaced.map(|(said, really)| (said.to_owned(), really.clone())));
    let commands = console::run(&blocks, &mut shell, &replaced);
    assert!(commands > 20, "only {commands}");
}

#[test]
fn lines_are_compared_with_gaps() {
    use console::fits;
    assert!(fits("good  tiny  9c71  5 files", "good  tiny  …  5 files"));
    assert!(fits("abc", "…") && fits("abc", "a…c") && !fits("abd", "a…c") && !fits("abc", "ab"));
}
