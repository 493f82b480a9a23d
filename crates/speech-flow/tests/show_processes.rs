//! Eight processes on one empty cache at once: with locks that work, with locks that lie, and with one that dies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultId, FaultRule};

#[path = "support/audit.rs"]
mod audit;
#[path = "support/payload.rs"]
mod payload;
#[path = "support/support.rs"]
mod support;

use audit::audit;
use payload::Payload;
use support::{Run, World, wait_until};

const REPO: &str = "org/shared";
const FILES: [(&str, usize); 4] =
    [("weights.bin", 8 << 20), ("table.dat", 3 << 20), ("words.txt", 200_000), ("notes.md", 700)];
const PROCESSES: usize = 8;
const SEGMENT: u64 = 128 << 10;

/// A hub that sends slowly until a test is told that everybody is there.
struct Crowd {
    world: World,
    payload: Payload,
    slow: FaultId,
}

impl Crowd {
    fn gather() -> Self {
        let payload = Payload::new(REPO, &FILES);
        let world = World::with(DemoHub::builder().repository(payload.repository()));
        // Slow enough that nobody ends before the last one has come, however busy the machine is.
        let slow = FaultRule::new(Action::Slow { bytes_per_second: 128 << 10 }).repo(REPO);
        let slow = world.hub.add_fault(slow).expect("a fault");
        Self { world, payload, slow }
    }

    fn command(&self) -> Command {
        let mut command = self.world.command(&["preload", REPO, "--json"]);
        command.env("SPEECH_FLOW_SEGMENT_SIZE", SEGMENT.to_string());
        command
    }

    fn start(&self, mut change: impl FnMut(&mut Command)) -> Vec<Child> {
        let start = |_| {
            let mut command = self.command();
            change(&mut command);
            command.spawn().expect("the program starts")
        };
        (0..PROCESSES).map(start).collect()
    }

    /// Waits until every process has asked the hub what there is, so that all of them have seen an empty cache.
    fn wait_for_all(&self) {
        let asked = || self.world.hub.requests().iter().filter(|request| request.endpoint == Endpoint::Info).count();
        wait_until("all processes have asked for the revision", || asked() >= PROCESSES);
        assert!(!self.payload.is_whole(&self.cache()), "somebody was done before the last one came");
    }

    fn speed_up(&self) {
        assert!(self.world.hub.remove_fault(self.slow));
    }

    fn cache(&self) -> PathBuf {
        self.world.hub_cache()
    }

    fn fetched(&self) -> u64 {
        self.payload.fetched_in_all(&self.world.hub.requests())
    }

    /// All end well, and what they leave is right.
    fn assert_end_well(&self, processes: Vec<Child>) {
        for process in processes {
            let document = Run::new(process.wait_with_output().expect("it ends")).exits(0).json();
            assert_eq!(document["models"][0]["repo"], REPO);
        }
        assert_eq!(audit(&self.cache()), FILES.len());
        self.payload.assert_complete(&self.cache());
        assert!(audit::quarantined(&self.world.cache_dir().join(".speech-flow")).is_empty());
        let partials = self.payload.partials(&self.cache());
        assert!(partials.is_empty(), "{partials:?}");
    }
}

#[test]
fn eight_processes_with_working_locks_fetch_each_byte_once() {
    let crowd = Crowd::gather();
    let processes = crowd.start(|_| {});
    crowd.wait_for_all();
    crowd.speed_up();
    crowd.assert_end_well(processes);
    for file in crowd.payload.files() {
        let fetched = crowd.payload.fetched(&crowd.world.hub.requests(), file);
        assert_eq!(fetched, file.size(), "bytes of {}", file.path);
    }
}

#[test]
fn eight_processes_whose_locks_lie_all_end_right() {
    let crowd = Crowd::gather();
    let library = build_no_flock(crowd.world.folder());
    let calls = crowd.world.folder().join("calls");
    let processes = crowd.start(|command| {
        command.env("LD_PRELOAD", &library).env("NO_FLOCK_LOG", &calls);
    });
    // Each has a partial of its own of the first file: nobody is kept out.
    let weights = &crowd.payload.files()[0];
    let writers = || {
        let partials = crowd.payload.partials(&crowd.cache());
        partials.iter().filter(|partial| partial.display().to_string().contains(&weights.digest)).count()
    };
    wait_until("all processes write the same blob", || writers() == PROCESSES);
    crowd.speed_up();
    crowd.assert_end_well(processes);
    let calls = fs::metadata(&calls).expect("the library was called").len();
    assert!(calls >= PROCESSES as u64, "flock was called {calls} times");
    assert!(crowd.fetched() > crowd.payload.total(), "the locks worked");
}

#[test]
fn seven_of_eight_processes_end_right_when_the_one_that_downloads_is_killed() {
    let crowd = Crowd::gather();
    let mut processes = crowd.start(|_| {});
    crowd.wait_for_all();
    let weights = &crowd.payload.files()[0];
    let arrived = || crowd.payload.arrived(&crowd.cache(), weights);
    wait_until("some segments have arrived", || arrived() >= 6 * SEGMENT);
    let writer = writer_of(&crowd, &weights.digest);
    let victim = processes.iter().position(|process| process.id() == writer).expect("one of ours writes");
    let mut victim = processes.swap_remove(victim);
    // Stopped first, so that what is on disk and what is asked from now on can be told from what comes after.
    stop(&victim);
    let left = weights.size() - arrived();
    crowd.world.hub.clear_requests();
    victim.kill().expect("it can be killed");
    crowd.speed_up();
    crowd.assert_end_well(processes);
    let fetched = crowd.payload.fetched(&crowd.world.hub.requests(), weights);
    assert!(fetched <= left + 2 * SEGMENT, "the heir fetched {fetched} bytes, and {left} were left");
    assert_eq!(Run::new(victim.wait_with_output().expect("it ended")).code(), 128 + 9);
}

/// The process that writes a blob.
fn writer_of(crowd: &Crowd, digest: &str) -> u32 {
    let partials = crowd.payload.partials(&crowd.cache());
    let of_blob: Vec<_> = partials.iter().filter(|partial| partial.display().to_string().contains(digest)).collect();
    assert_eq!(of_blob.len(), 1, "with working locks one process writes: {of_blob:?}");
    let owner = fs::read(of_blob[0].join("owner.json")).expect("an owner");
    let owner: serde_json::Value = serde_json::from_slice(&owner).expect("JSON");
    owner["owner"]["pid"].as_u64().expect("a process number") as u32
}

/// Stops a process with all its threads.
fn stop(process: &Child) {
    let pid = process.id().to_string();
    let sent = Command::new("kill").args(["-s", "STOP", &pid]).status().expect("kill starts");
    assert!(sent.success());
    let state = |task: PathBuf| fs::read_to_string(task.join("stat")).is_ok_and(|stat| stat.contains(") T "));
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    wait_until("all threads are stopped", || audit::entries(&tasks).into_iter().all(state));
}

/// Compiles the library whose `flock` does nothing.
fn build_no_flock(folder: &Path) -> PathBuf {
    let library = folder.join("no_flock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/no_flock.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-Wall", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.expect("cc starts: it comes with `build-essential`").success());
    library
}
