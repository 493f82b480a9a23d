//! Volumes that are full: said before the first byte where it can be known, and survived where it cannot.

use std::fs;
use std::process::Child;

use speech_flow_demo_hub::{Action, DemoHub, FaultRule, Repository};

use crate::audit::{audit, entries};
use crate::support::{Run, World, files_below, wait_until};
use crate::volume::Volume;
use crate::wrapped::wrapped;

const MIB: u64 = 1 << 20;
/// Twelve files of 4 MiB, of which eight are on their way at a time.
const MANY: &str = "org/many";
const MANY_FILES: u64 = 12;
const AT_ONCE: usize = 8;
/// One file of 40 MiB.
const ONE: &str = "org/one";
const ONE_BYTES: u64 = 40 * MIB;

/// How much arrives between two records of what can be resumed.
const SEGMENT: &str = "256KiB";

/// A hub with both repositories that sends some of the files slowly until the faults are cleared.
fn slow_world(files: &str, bytes_per_second: u64) -> World {
    let many = (0..MANY_FILES).fold(Repository::builder(MANY), |builder, number| {
        builder.generated(format!("part-{number:02}.dat"), 4 * MIB, number)
    });
    let one = Repository::builder(ONE).generated("whole.dat", ONE_BYTES, 99).build().expect("a repository");
    let world = World::with(DemoHub::builder().repository(many.build().expect("a repository")).repository(one));
    world.hub.add_fault(FaultRule::new(Action::Slow { bytes_per_second }).path(files)).expect("a fault");
    world
}

fn spawn(world: &World, repo: &str) -> Child {
    let mut command = world.command(&["preload", repo]);
    command.env("SPEECH_FLOW_SEGMENT_SIZE", SEGMENT).spawn().expect("the program starts")
}

/// Waits until the room of every file that is on its way is taken.
fn wait_for_partials(world: &World, count: usize) {
    let is_data = |path: &std::path::PathBuf| path.ends_with("data");
    wait_until("the files are on their way", || {
        files_below(&world.hub_cache()).iter().filter(|path| is_data(path)).count() == count
    });
}

/// Exit code 1, what is wrong and what to do, and only whole blobs; gives how many there are.
#[track_caller]
fn check_filled_up(world: &World, run: Run) -> u64 {
    let run = run.exits(1);
    assert!(run.stderr().contains("no space is left for"), "{}", run.stderr());
    assert!(run.stderr().contains("hint: free space"), "{}", run.stderr());
    let is_ref = |path: &std::path::PathBuf| path.components().any(|part| part.as_os_str() == "refs");
    assert!(!files_below(&world.hub_cache()).iter().any(is_ref), "a ref names what is not whole");
    audit(&world.hub_cache()) as u64
}

/// The next run completes the model; gives how many bytes it fetched.
#[track_caller]
fn complete(world: &World, repo: &str) -> u64 {
    world.hub.clear_faults();
    let mut command = world.command(&["preload", repo, "--json"]);
    let document = world.finish(command.env("SPEECH_FLOW_SEGMENT_SIZE", SEGMENT)).exits(0).json();
    audit(&world.hub_cache());
    world.run(&["verify", "--full", repo]).exits(0);
    document["models"][0]["bytes_downloaded"].as_u64().expect("bytes")
}

#[test]
fn full_volume_is_said_before_the_first_byte() {
    let world = slow_world("whole.dat", MIB);
    let Some(_volume) = Volume::small(&world.cache_dir(), 48) else { return };
    let run = world.run(&["preload", ONE]).exits(1);
    // 40 MiB and the headroom, and what a new file system of 48 MiB has.
    assert!(run.stderr().contains("needs 56.0 MiB, but 4"), "{}", run.stderr());
    assert!(run.stderr().contains("MiB are free there"), "{}", run.stderr());
    assert!(run.stderr().contains("hint: free space"), "{}", run.stderr());
    assert_eq!(world.file_requests(), []);
    let partials = world.hub_cache().join("models--org--one/.partial");
    assert!(audit(&world.hub_cache()) == 0 && entries(&partials).is_empty(), "a download was begun");
}

#[test]
fn full_volume_counts_what_is_promised_to_a_running_download() {
    let world = slow_world("part-*", 64 << 10);
    let Some(_volume) = Volume::small(&world.cache_dir(), 96) else { return };
    let mut first = spawn(&world, MANY);
    wait_for_partials(&world, AT_ONCE);
    // 64 MiB are free, enough for 40 MiB and the headroom of 16 MiB; but 16 MiB more are promised.
    let run = world.run(&["preload", ONE]).exits(1);
    assert!(run.stderr().contains("16.0 MiB of them are promised to other downloads"), "{}", run.stderr());
    let asked = |repo: &str| world.file_requests().iter().any(|request| request.repo.as_deref() == Some(repo));
    assert!(asked(MANY) && !asked(ONE), "a byte was asked for before the answer");
    first.kill().expect("killed");
    first.wait().expect("ended");
    // The promise ended with its owner; what it has on disk still counts.
    world.hub.clear_faults();
    world.run(&["preload", ONE]).exits(0);
}

#[test]
fn full_volume_in_the_middle_of_a_plan_keeps_what_is_whole() {
    let world = slow_world("part-*", MIB / 2);
    let Some(volume) = Volume::small(&world.cache_dir(), 80) else { return };
    let first = spawn(&world, MANY);
    wait_for_partials(&world, AT_ONCE);
    wait_until("a part has arrived", || world.file_bytes() > 8 * MIB);
    let filler = volume.fill();
    let run = Run::new(first.wait_with_output().expect("it ends"));
    let whole = check_filled_up(&world, run);
    assert!(whole < MANY_FILES, "nothing was missing");
    fs::remove_file(filler).expect("room again");
    let fetched = complete(&world, MANY);
    assert!(fetched < (MANY_FILES - whole) * 4 * MIB, "{fetched} bytes came: of {whole} whole files and more");
}

#[test]
fn full_volume_in_the_middle_of_a_file_leaves_no_blob_and_the_next_run_resumes() {
    let world = slow_world("whole.dat", 3 * MIB);
    let Some(volume) = Volume::small(&world.cache_dir(), 64) else { return };
    // A volume that cannot promise room, as NFS before 4.2: the file's end shows when it is written.
    let log = world.folder().join("trace").display().to_string();
    let refuse = "inject=fallocate:error=EOPNOTSUPP";
    let words = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", &log, "-e", "trace=fallocate", "-e", refuse];
    let mut command = world.command(&["preload", ONE]);
    let child = wrapped(&words, command.env("SPEECH_FLOW_SEGMENT_SIZE", SEGMENT)).spawn().expect("it starts");
    wait_until("half has arrived", || world.file_bytes() > ONE_BYTES / 2);
    let filler = volume.fill();
    let run = Run::new(child.wait_with_output().expect("it ends"));
    assert_eq!(check_filled_up(&world, run), 0);
    assert!(fs::read_to_string(&log).expect("the trace").contains("(INJECTED)"), "the room was promised");
    fs::remove_file(filler).expect("room again");
    let fetched = complete(&world, ONE);
    assert!(fetched <= ONE_BYTES / 2 + 8 * MIB, "{fetched} of {ONE_BYTES} bytes were fetched again");
}
