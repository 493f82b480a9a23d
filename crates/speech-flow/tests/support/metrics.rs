//! Metrics as Prometheus' own tool judges them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::Run;

/// Fails unless `promtool check metrics` accepts a text, which must hold a metric that shows that it is the right one.
#[track_caller]
pub(crate) fn lint(text: &str, metric: &str) {
    assert!(text.contains(metric), "`{metric}` is missing in\n{text}");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("`scripts/setup.sh test` installs promtool");
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads all");
    let run = Run::new(promtool.wait_with_output().expect("it ends")).exits(0);
    assert_eq!(run.stdout() + &run.stderr(), "");
}
