//! A cache that cannot be written to: a hit is a hit, and not even an attempt is made to write.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stranger::as_stranger;
use crate::support::{LID, WHISPER, World};
use crate::trace::traced;
use crate::volume::{Volume, is_root, skipped};

/// Commands that only read.
const READS: [&[&str]; 7] = [
    &["preload", "--all", "--json"],
    &["preload", "--all", "--json", "--offline"],
    &["preload", "--info"],
    &["list", "--json"],
    &["info"],
    &["path", WHISPER],
    &["verify", LID],
];

/// Who reads.
#[derive(Clone, Copy)]
enum Reader {
    /// The user of the tests.
    Owner,
    /// A user that the machine does not know.
    Stranger,
}

/// Takes every right to write below a folder away, and gives it back when dropped.
struct Sealed(PathBuf);

impl Sealed {
    fn new(folder: &Path) -> Self {
        change_mode(folder, "a-w");
        Self(folder.to_owned())
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        change_mode(&self.0, "u+w");
    }
}

fn change_mode(folder: &Path, change: &str) {
    let status = Command::new("chmod").args(["-R", change]).arg(folder).status().expect("chmod starts");
    assert!(status.success());
}

/// A world whose cache holds both configured models.
fn filled() -> World {
    let world = World::start();
    world.run(&["preload", "--all"]).exits(0);
    world
}

fn command(world: &World, reader: Reader, arguments: &[&str]) -> Command {
    let command = world.command(arguments);
    match reader {
        Reader::Owner => command,
        Reader::Stranger => as_stranger(world, &command),
    }
}

/// Every command that reads succeeds, and none tries to write below the cache.
#[track_caller]
fn check_reads(world: &World, reader: Reader) {
    world.hub.clear_requests();
    for arguments in READS {
        let (run, trace) = traced(world, &command(world, reader, arguments));
        let run = run.exits(0);
        assert_eq!(trace.writes_below(&world.cache_dir()), [""; 0], "{arguments:?}");
        assert!(trace.reads_below(&world.cache_dir()) > 0, "{arguments:?}: the trace saw nothing");
        if arguments.contains(&"--all") {
            let document = run.json();
            let models = document["models"].as_array().expect("models");
            assert_eq!(models.len(), 2);
            for model in models {
                assert_eq!(model["outcome"], "hit", "{document}");
                assert_eq!(model["bytes_downloaded"], 0, "{document}");
            }
        }
    }
    assert_eq!(world.file_requests(), []);
}

/// What is not there cannot come; this is said at once, before a byte is fetched and without a try.
#[track_caller]
fn check_miss(world: &World, reader: Reader) {
    world.hub.clear_requests();
    let (run, trace) = traced(world, &command(world, reader, &["preload", "tiny"]));
    let run = run.exits(1);
    assert!(run.stderr().contains("read-only") || run.stderr().contains("permission"), "{}", run.stderr());
    assert!(run.stderr().contains("hint: "), "{}", run.stderr());
    assert_eq!(trace.writes_below(&world.cache_dir()), [""; 0]);
    assert_eq!(world.file_requests(), []);
}

#[test]
fn a_hit_on_a_volume_mounted_read_only_tries_to_write_nothing() {
    let world = filled();
    let Some(_volume) = Volume::read_only(&world.cache_dir()) else { return };
    check_reads(&world, Reader::Owner);
    check_miss(&world, Reader::Owner);
}

#[test]
fn a_stranger_without_a_home_reads_a_volume_mounted_read_only() {
    let world = filled();
    let Some(_volume) = Volume::read_only(&world.cache_dir()) else { return };
    check_reads(&world, Reader::Stranger);
    check_miss(&world, Reader::Stranger);
}

#[test]
fn a_hit_without_the_right_to_write_tries_to_write_nothing() {
    let world = filled();
    let _sealed = Sealed::new(&world.cache_dir());
    // Root may write whatever the mode says.
    let reader = if is_root() { Reader::Stranger } else { Reader::Owner };
    check_reads(&world, reader);
    check_miss(&world, reader);
}

#[test]
fn a_read_only_cache_without_any_state_of_ours_is_a_hit() {
    let world = filled();
    std::fs::remove_dir_all(world.cache_dir().join(".speech-flow")).expect("removed");
    let _sealed = Sealed::new(&world.cache_dir());
    check_reads(&world, if is_root() { Reader::Stranger } else { Reader::Owner });
}

#[test]
fn the_trace_sees_the_writes_of_a_download() {
    let world = World::start();
    let (run, trace) = traced(&world, &world.command(&["preload", "--lid"]));
    run.exits(0);
    let writes = trace.writes_below(&world.cache_dir());
    for call in ["openat", "mkdir", "rename", "symlink", "flock", "fallocate"] {
        assert!(writes.iter().any(|write| write.contains(call)), "no `{call}` in {writes:#?}");
    }
}

#[test]
fn what_a_stranger_without_a_home_writes_others_can_read() {
    if !is_root() {
        return skipped("only root can become another user").unwrap_or(());
    }
    let world = World::start();
    std::fs::create_dir(world.cache_dir()).expect("made");
    std::fs::set_permissions(world.cache_dir(), std::fs::Permissions::from_mode(0o777)).expect("opened");
    let mut written = as_stranger(&world, &world.command(&["preload", "--all", "--json"]));
    let document = world.finish(&mut written).exits(0).json();
    assert_eq!(document["models"][0]["outcome"], "downloaded");
    // Another user, who owns nothing of it, on the same volume made read-only.
    let words = ["--reuid=23456", "--regid=23456", "--clear-groups"];
    let mut sidecar = Command::new("setpriv");
    sidecar.args(words).args(written.get_args().skip(words.len())).arg("--offline").env("PATH", "/usr/bin:/bin");
    let document = world.finish(sidecar.current_dir("/")).exits(0).json();
    for model in document["models"].as_array().expect("models") {
        assert_eq!(model["outcome"], "hit", "{document}");
    }
}
