//! The runbook's commands, run as they stand in the text, in their order, on a demo hub; what they print is compared.

use std::fs;
use std::process::{Command, Stdio};

use crate::root;
use crate::service::Service;
use crate::support::World;

/// What differs from run to run, in the text.
const ANYTHING: char = '…';
/// Comes before each command's output.
const MARK: &str = "\u{1}";

/// The blocks of a language, without their indent.
fn blocks(language: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the runbook");
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<String>)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        open = match open {
            Some((_, lines)) if line.trim() == "```" => {
                blocks.push(lines);
                None
            }
            Some((by, mut lines)) => {
                lines.push(line.get(by..).unwrap_or_default().to_owned());
                Some((by, lines))
            }
            None => (line.trim() == format!("```{language}")).then_some((indent, Vec::new())),
        };
    }
    assert!(!blocks.is_empty(), "no block of {language}");
    blocks
}

/// The runbook's queries.
pub(crate) fn queries() -> Vec<(String, String)> {
    blocks("promql").into_iter().map(|lines| ("the runbook".to_owned(), lines.join("\n"))).collect()
}

/// Commands of a block with the lines that they print.
fn steps(block: &[String]) -> Vec<(&str, Vec<&str>)> {
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command, Vec::new())),
            (None, Some((_, printed))) => printed.push(line),
            (None, None) => panic!("a block begins with `{line}`"),
        }
    }
    steps
}

/// Whether a line is what the text says.
fn fits(line: &str, said: &str) -> bool {
    let parts: Vec<&str> = said.split(ANYTHING).collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return line == said;
    }
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
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
    let mut commands = 0;
    for block in blocks("console") {
        if !has_small_volume && block.iter().any(|line| line.contains("MODEL_CACHE_DIR=full")) {
            continue;
        }
        let steps = steps(&block);
        let mut script = "exec 2>&1\ncode=0\n".to_owned();
        for (command, _) in &steps {
            script.push_str(&format!("printf '{MARK}\\n'\n(exit $code)\n{command}\ncode=$?\n"));
        }
        script = script.replace("localhost:8090", &server.address).replace("localhost:8000", &worker.address);
        let mut shell = world.command(&[]);
        let environment: Vec<_> =
            shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        shell = Command::new("bash");
        shell.args(["-c", &script]).env_clear().envs(environment).env("PATH", &path).current_dir(world.folder());
        let output = shell.stdin(Stdio::null()).output().expect("bash starts");
        let printed = String::from_utf8(output.stdout).expect("text");
        let outputs: Vec<&str> = printed.split(&format!("{MARK}\n")).skip(1).collect();
        assert_eq!(outputs.len(), steps.len(), "{printed}");
        for ((command, said), output) in steps.iter().zip(outputs) {
            commands += 1;
            let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            let is_same =
                lines.len() == said.len() && lines.iter().zip(said).all(|(line, said)| fits(line, said.trim_end()));
            assert!(is_same, "`{command}` prints\n{output}\nand not\n{}", said.join("\n"));
        }
    }
    assert!(commands > 20, "only {commands}");
}

#[test]
fn lines_are_compared_with_gaps() {
    assert!(fits("good  tiny  9c71  5 files", "good  tiny  …  5 files"));
    assert!(fits("abc", "…") && fits("abc", "a…c") && !fits("abd", "a…c") && !fits("abc", "ab"));
}
