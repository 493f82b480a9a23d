//! SIGKILL of the real process at random moments: nothing unverified is ever visible, and what had arrived before
//! is not fetched again.
//!
//! What had arrived is read from the bytes on disk, not from the journal whose promise is tested: every block of a
//! partial's data that holds the file's true bytes had arrived. It is a lower bound, since a kill also loses bytes
//! that were read from a socket and not written yet; the hub's own count would be an upper one, since it counts what
//! the kernel still holds. The lower bound makes the claim no weaker in what it forbids: a run that fetches bytes
//! again that were on disk, beyond two segments of each file, fails.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, DemoHub, FaultRule};

#[path = "support/audit.rs"]
mod audit;
#[path = "support/payload.rs"]
mod payload;
#[path = "support/random.rs"]
mod random;
#[path = "support/support.rs"]
mod support;

use audit::audit;
use payload::Payload;
use random::{Random, note};
use support::{Run, World, wait_until};

const REPO: &str = "org/killed";
/// `.bin` is named by SHA-256, the others by git's SHA-1; the last two are kept in memory until they are whole.
const FILES: [(&str, usize); 4] =
    [("weights.bin", 20 << 20), ("table.dat", 6 << 20), ("words.txt", 200_000), ("notes.md", 700)];

/// Kills in `make test`.
const KILLS: u64 = 20;
/// How many there are in `make soak`, where the variable says.
const SOAK_RUNS: &str = "SPEECH_FLOW_SOAK_RUNS";

/// When a process is killed: at something that can be seen, and a random time after it.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Start,
    Sent(u64),
    FirstBlob,
    LastByte,
}

/// How many kills met which state.
#[derive(Debug, Default)]
struct Met {
    nothing: u64,
    part: u64,
    every_byte: u64,
    ended: u64,
    /// Most bytes of one file that were on disk and fetched again, in segments for each kill.
    most_again: f64,
}

#[test]
fn a_killed_download_shows_nothing_unverified_and_goes_on_from_there() {
    kill_and_resume(KILLS);
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn soak_killed_downloads_go_on() {
    let runs = std::env::var(SOAK_RUNS).map_or(200, |runs| runs.parse().expect("a number of runs"));
    kill_and_resume(runs);
}

fn kill_and_resume(kills: u64) {
    let mut random = Random::start();
    let payload = Payload::new(REPO, &FILES);
    let mut met = Met::default();
    let mut done = 0;
    while done < kills {
        // Some downloads are killed twice before they may end.
        let times = (kills - done).min(1 + random.below(4) / 3);
        Round::begin(&mut random, &payload).run(times, done, &mut met);
        done += times;
    }
    note(format_args!("{kills} kills: {met:?}"));
    assert!(met.part >= kills / 4, "too few kills met a download half done: {met:?}");
    assert!(met.every_byte + met.ended > 0, "no kill met the end of a download: {met:?}");
}

/// One download from an empty cache to its end.
struct Round<'a> {
    world: World,
    payload: &'a Payload,
    random: &'a mut Random,
    segment: u64,
}

impl<'a> Round<'a> {
    fn begin(random: &'a mut Random, payload: &'a Payload) -> Self {
        let world = World::with(DemoHub::builder().repository(payload.repository()));
        let segment = random.one_of(&[256 << 10, 512 << 10, 1 << 20]);
        Self { world, payload, random, segment }
    }

    fn run(mut self, times: u64, number: u64, met: &mut Met) {
        for time in 0..times {
            // The kinds of moments take turns, so that each is met in a short run as well.
            let moment = match (number + time) % 5 {
                0 => Moment::Start,
                1 => Moment::FirstBlob,
                2 => Moment::LastByte,
                _ => Moment::Sent(self.random.below(self.payload.total())),
            };
            let rate = self.random.one_of(&[6 << 20, 12 << 20, 32 << 20]);
            self.world.hub.clear_faults();
            let slow = FaultRule::new(Action::Slow { bytes_per_second: rate }).repo(REPO);
            self.world.hub.add_fault(slow).expect("a fault");
            let was_killed = self.kill_at(moment);
            let arrived = self.check(moment);
            match arrived {
                _ if !was_killed => met.ended += 1,
                0 => met.nothing += 1,
                all if all == self.payload.total() => met.every_byte += 1,
                _ => met.part += 1,
            }
        }
        met.most_again = met.most_again.max(self.resume(times));
    }

    fn command(&self) -> std::process::Command {
        let mut command = self.world.command(&["preload", REPO, "--json"]);
        command.env("SPEECH_FLOW_SEGMENT_SIZE", self.segment.to_string());
        command
    }

    /// Starts the process and kills it; `false` when it had ended before.
    fn kill_at(&mut self, moment: Moment) -> bool {
        let longest = match moment {
            Moment::Start => Duration::from_millis(150),
            Moment::Sent(_) => Duration::from_millis(20),
            Moment::FirstBlob => Duration::from_millis(30),
            Moment::LastByte => Duration::from_millis(100),
        };
        let then = self.random.shorter_than(longest);
        let before = self.sent();
        let mut child = self.command().spawn().expect("the program starts");
        self.await_moment(moment, before, &mut child);
        thread::sleep(then);
        child.kill().expect("the process can be killed");
        let run = child.wait_with_output().expect("it ended");
        match run.status.signal() {
            Some(signal) => assert_eq!(signal, 9, "{:?}", String::from_utf8_lossy(&run.stderr)),
            None => drop(Run::new(run.clone()).exits(0)),
        }
        run.status.signal().is_some()
    }

    fn await_moment(&self, moment: Moment, before: u64, child: &mut Child) {
        let blobs = self.payload.folder(&self.world.hub_cache()).join("blobs");
        let started = Instant::now();
        let left = self.payload.total() - self.arrived();
        loop {
            let has_come = match moment {
                Moment::Start => true,
                // Of what is left, when the download was killed before.
                Moment::Sent(bytes) => self.sent() - before > bytes.min(left * 9 / 10),
                Moment::FirstBlob => !audit::entries(&blobs).is_empty(),
                Moment::LastByte => self.sent() - before >= left,
            };
            if has_come || child.try_wait().expect("a child").is_some() {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{moment:?} has not come (seed {})",
                self.random.seed()
            );
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn sent(&self) -> u64 {
        self.payload.fetched_in_all(&self.world.hub.requests())
    }

    fn arrived(&self) -> u64 {
        let cache = self.world.hub_cache();
        self.payload.files().iter().map(|file| self.payload.arrived(&cache, file)).sum()
    }

    /// What holds after every kill. Gives the bytes on disk.
    fn check(&self, moment: Moment) -> u64 {
        let cache = self.world.hub_cache();
        audit(&cache);
        if self.payload.folder(&cache).join("refs/main").exists() {
            self.payload.assert_complete(&cache);
        }
        assert_eq!(audit::quarantined(&self.world.cache_dir().join(".speech-flow")).len(), 0);
        let arrived = self.arrived();
        note(format_args!("killed at {moment:?} with {arrived} bytes on disk and segments of {}", self.segment));
        arrived
    }

    /// The next run ends well and fetches what was left, and for each kill at most two segments of each file again:
    /// what one kill cost may still lie on disk, unrecorded, when the next one comes. Gives how many it were for each.
    fn resume(self, kills: u64) -> f64 {
        let Self { world, payload, random, segment } = &self;
        let cache = world.hub_cache();
        wait_until("the hub has seen its client go", || world.hub.requests().iter().all(|request| request.finished));
        world.hub.clear_requests();
        world.hub.clear_faults();
        let arrived: Vec<u64> = payload.files().iter().map(|file| payload.arrived(&cache, file)).collect();
        let document = world.finish(&mut self.command()).exits(0).json();
        let requests = world.hub.requests();
        let mut most_again = 0;
        for (file, arrived) in payload.files().iter().zip(arrived) {
            let fetched = payload.fetched(&requests, file);
            let left = file.size() - arrived;
            let again = fetched.saturating_sub(left);
            most_again = most_again.max(again);
            assert!(
                again <= kills * 2 * segment,
                "{} lacked {left} of {} bytes, and {fetched} were fetched with segments of {segment}; seed {}",
                file.path,
                file.size(),
                random.seed(),
            );
        }
        let told = document["models"][0]["bytes_downloaded"].as_u64();
        assert_eq!(told, Some(payload.fetched_in_all(&requests)), "the process says otherwise than the hub");
        audit(&cache);
        payload.assert_complete(&cache);
        // A small file that was killed just before its rename may leave its folder, without a record of whose it is:
        // `gc` and `clear` remove it once it has been silent. What can be resumed is resumed, and then gone.
        let is_large = |partial: &PathBuf| fs::metadata(partial.join("data")).is_ok_and(|data| data.len() >= 1 << 20);
        let left: Vec<PathBuf> = payload.partials(&cache).into_iter().filter(is_large).collect();
        assert!(left.is_empty(), "the download has ended and left {left:?}; seed {}", random.seed());
        most_again as f64 / (kills * segment) as f64
    }
}
