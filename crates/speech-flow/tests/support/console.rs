//! The `console` blocks of a guide: run from top to bottom in one shell, and what they print compared with the text.
//!
//! A line with `$ ` is a command, the lines below it are all that it prints; `…` stands for what differs from run to run.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What differs from run to run, in the text.
const ANYTHING: char = '…';
/// Comes before each command's output.
const MARK: &str = "\u{1}";

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The text of a guide in `docs`.
pub(crate) fn guide(name: &str) -> String {
    let path = workspace().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a language, without their indent.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<Vec<String>> {
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

/// Runs the blocks in a shell that is set up as `shell` says, with other text in place of some; gives how many commands
/// there were. What they leave running is ended.
#[track_caller]
pub(crate) fn run(blocks: &[Vec<String>], shell: &mut Command, replaced: &BTreeMap<String, String>) -> usize {
    let steps: Vec<_> = blocks.iter().flat_map(|block| steps(block)).collect();
    let mut script = "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\ncode=0\n".to_owned();
    for (command, _) in &steps {
        script.push_str(&format!("printf '{MARK}\\n'\n(exit $code)\n{command}\ncode=$?\n"));
    }
    // What ends afterwards belongs to no command.
    script.push_str(&format!("printf '{MARK}\\n'\n"));
    let really = |text: &str| replaced.iter().fold(text.to_owned(), |text, (said, really)| text.replace(said, really));
    script = really(&script);
    let output = shell.args(["-c", &script]).stdin(Stdio::null()).output().expect("bash starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let outputs: Vec<&str> = printed.split(&format!("{MARK}\n")).skip(1).collect();
    assert_eq!(outputs.len(), steps.len() + 1, "{printed}");
    for ((command, said), output) in steps.iter().zip(outputs) {
        let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let is_same =
            lines.len() == said.len() && lines.iter().zip(said).all(|(line, said)| fits(line, really(said).trim_end()));
        assert!(is_same, "`{command}` prints\n{output}\nand not\n{}", said.join("\n"));
    }
    steps.len()
}

/// A free port in place of each that a text names on loopback. Another process may be faster than who takes it.
pub(crate) fn free_ports(text: &str) -> BTreeMap<String, String> {
    let named = text.split("127.0.0.1:").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then(|| format!("127.0.0.1:{digits}"))
    });
    // All are held until each has its own.
    let held: BTreeMap<String, TcpListener> =
        named.map(|named| (named, TcpListener::bind("127.0.0.1:0").expect("a port"))).collect();
    let free = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
    held.iter().map(|(named, listener)| (named.clone(), free(listener))).collect()
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
pub(crate) fn fits(line: &str, said: &str) -> bool {
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
