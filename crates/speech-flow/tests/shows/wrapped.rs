//! A command of a world, run by another program: under a tracer, or with another umask.

use std::process::{Command, Stdio};

/// The same program, arguments, environment and folder, behind the words of another command.
pub(crate) fn wrapped<S: AsRef<std::ffi::OsStr>>(words: &[S], inner: &Command) -> Command {
    let (program, first) = words.split_first().expect("a program");
    let mut outer = Command::new(program);
    outer.args(first).arg(inner.get_program()).args(inner.get_args()).env_clear();
    outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}
