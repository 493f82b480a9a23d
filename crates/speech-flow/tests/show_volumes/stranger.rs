//! A user whom the machine does not know, as clusters like to give one to a container.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::World;

/// A user id that no machine knows, with a group of its own and without a home folder.
pub(crate) const STRANGER: &str = "12345";

/// The command as [`STRANGER`], with its own variables and nothing else: no `HOME`, no `PATH`. Needs root.
pub(crate) fn as_stranger(world: &World, inner: &Command) -> Command {
    let set = format!("--reuid={STRANGER} --regid={STRANGER} --clear-groups");
    let mut outer = Command::new("setpriv");
    outer.args(set.split(' ')).args(["env", "-i"]);
    for (name, value) in inner.get_envs() {
        if let Some(value) = value.filter(|_| name != "HOME" && name != "PATH") {
            outer.arg(format!("{}={}", name.display(), value.display()));
        }
    }
    outer.arg(visible_program(world)).args(inner.get_args()).current_dir("/").env("PATH", "/usr/bin:/bin");
    outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

/// The program where every user can run it: the folder that it was built in may be closed to others.
fn visible_program(world: &World) -> PathBuf {
    let program = world.folder().join("speech-flow");
    if !program.exists() {
        let built = env!("CARGO_BIN_EXE_speech-flow");
        let linked = std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop));
        linked.expect("a copy of the program");
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.folder(), open).expect("opened");
    program
}
