//! A hub that does everything wrong, through the real program: what can be mended is mended, what cannot is named,
//! and nothing wrong ever stands under a final name.
//!
//! How long each wait is, is asserted on a paused clock by the tests of the crates below. Here a wait is seen only by
//! its lower bound in the hub's log.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use speech_flow_demo_hub::{Action, DemoHub, DemoHubBuilder, Endpoint, FaultRule, RequestRecord, RetryAfter};

#[path = "support/audit.rs"]
mod audit;
#[path = "support/payload.rs"]
mod payload;
#[path = "support/support.rs"]
mod support;

use audit::{audit, quarantined};
use payload::Payload;
use support::{Run, World};

const REPO: &str = "org/faulty";
const WEIGHTS: &str = "weights.bin";
const SIZE: usize = 3 << 20;
const FILES: [(&str, usize); 3] = [(WEIGHTS, SIZE), ("words.txt", 50_000), ("notes.md", 700)];

struct Faulty {
    world: World,
    payload: Payload,
}

impl Faulty {
    fn new(rules: impl IntoIterator<Item = FaultRule>) -> Self {
        Self::with(DemoHub::builder(), rules)
    }

    fn with(builder: DemoHubBuilder, rules: impl IntoIterator<Item = FaultRule>) -> Self {
        let payload = Payload::new(REPO, &FILES);
        let world =
            World::with(rules.into_iter().fold(builder.repository(payload.repository()), DemoHubBuilder::fault));
        Self { world, payload }
    }

    fn command(&self) -> Command {
        let mut command = self.world.command(&["preload", REPO, "--json"]);
        command.env("SPEECH_FLOW_SEGMENT_SIZE", "512KiB").env("MODEL_DOWNLOAD_RETRY_DELAY", "1ms");
        command
    }

    fn run(&self) -> Run {
        self.world.finish(&mut self.command())
    }

    /// The model is there, whole and right, and nothing else.
    #[track_caller]
    fn assert_right(&self, run: Run) -> Run {
        let run = run.exits(0);
        assert_eq!(run.json()["models"][0]["repo"], REPO);
        let cache = self.world.hub_cache();
        assert_eq!(audit(&cache), FILES.len());
        self.payload.assert_complete(&cache);
        assert!(self.quarantined().is_empty(), "{:?}", self.quarantined());
        run
    }

    /// The run failed with these words, the weights have no blob, and no ref names what is not whole.
    #[track_caller]
    fn assert_refused(&self, run: Run, words: &[&str]) -> Run {
        let run = run.exits(1);
        let stderr = run.stderr();
        for word in words {
            assert!(stderr.contains(word), "{word:?} is not in\n{stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(run.json()["failed"][0]["exit_code"], 1);
        let cache = self.world.hub_cache();
        audit(&cache);
        let folder = self.payload.folder(&cache);
        assert!(!folder.join("blobs").join(&self.payload.files()[0].digest).exists(), "the weights have a blob");
        assert!(!folder.join("refs/main").exists(), "a ref names an incomplete snapshot");
        let linked = support::files_below(&folder.join("snapshots"));
        assert!(!linked.iter().any(|link| link.ends_with(WEIGHTS)), "{linked:?}");
        run
    }

    fn quarantined(&self) -> Vec<(PathBuf, serde_json::Value)> {
        quarantined(&self.world.cache_dir().join(".speech-flow"))
    }

    /// How often the hub made a fault happen.
    fn happened(&self) -> u32 {
        self.world.hub.faults().iter().map(|fault| fault.happened).sum()
    }

    /// Requests for the weights' bytes.
    fn requests_for_weights(&self) -> Vec<RequestRecord> {
        let requests = self.world.hub.requests().into_iter();
        requests.filter(|request| request.file.as_deref() == Some(WEIGHTS) && request.method == "GET").collect()
    }
}

/// An address where nobody listens any more.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// A fault of the weights' bytes, wherever they come from.
fn of_weights(action: Action) -> FaultRule {
    FaultRule::new(action).path(WEIGHTS)
}

/// The fault happens as often as the rules say, and the model arrives all the same.
#[track_caller]
fn recovers(rules: impl IntoIterator<Item = FaultRule>, times: u32) -> Faulty {
    let faulty = Faulty::new(rules);
    faulty.assert_right(faulty.run());
    assert_eq!(faulty.happened(), times, "faults that happened");
    faulty
}

/// The fault stays, and the run fails with these words and without a quarantine.
#[track_caller]
fn is_refused(rule: FaultRule, words: &[&str]) {
    let faulty = Faulty::new([rule]);
    faulty.assert_refused(faulty.run(), words);
    assert!(faulty.happened() > 0, "the fault did not happen");
    assert!(faulty.quarantined().is_empty(), "{:?}", faulty.quarantined());
    // Nothing that stays behind is in the way of a hub that has come to its senses.
    faulty.world.hub.clear_faults();
    faulty.assert_right(faulty.run());
}

#[test]
fn a_flipped_byte_is_fetched_twice_then_refused_quarantined_and_named() {
    let faulty = Faulty::new([of_weights(Action::FlipByte { offset: 1_234_567 })]);
    let run = faulty.assert_refused(faulty.run(), &[WEIGHTS, REPO, "damaged twice", "hint: "]);
    let quarantined = faulty.quarantined();
    let [(entry, reason)] = &quarantined[..] else { panic!("{quarantined:?}") };
    assert!(run.stderr().contains(&entry.display().to_string()), "{}", run.stderr());
    let digest = &faulty.payload.files()[0].digest;
    assert!(reason["expected"].as_str().expect("text").contains(digest.as_str()), "{reason}");
    assert_ne!(reason["actual"], reason["expected"]);
    assert_eq!((&reason["repo"], &reason["file"]), (&REPO.into(), &WEIGHTS.into()));
    assert_eq!((&reason["expected_size"], &reason["actual_size"]), (&SIZE.into(), &SIZE.into()));
    // What is kept is what came: the file with one byte changed.
    let kept = fs::read(entry.join("data")).expect("the bytes are kept");
    let differing = kept.iter().zip(faulty.payload.files()[0].content).filter(|(kept, sent)| kept != sent).count();
    assert_eq!((kept.len(), differing), (SIZE, 1));
    assert_eq!(faulty.payload.fetched(&faulty.world.hub.requests(), &faulty.payload.files()[0]), 2 * SIZE as u64);

    faulty.world.hub.clear_faults();
    faulty.run().exits(0);
    faulty.payload.assert_complete(&faulty.world.hub_cache());
}

#[test]
fn a_byte_that_is_flipped_once_is_fetched_again() {
    recovers([of_weights(Action::FlipByte { offset: 10 }).first(1)], 1);
    let small = FaultRule::new(Action::FlipByte { offset: 10 }).path("words.txt").first(1);
    recovers([small], 1);
}

#[test]
fn truncated_bodies_go_on_from_their_last_byte() {
    let faulty = recovers([of_weights(Action::CutAfter { bytes: 100_000 }).first(3)], 3);
    let fetched = faulty.payload.fetched(&faulty.world.hub.requests(), &faulty.payload.files()[0]);
    assert_eq!(fetched, SIZE as u64, "bytes that had come were fetched again");
}

#[test]
fn a_body_that_always_ends_early_is_refused() {
    is_refused(of_weights(Action::CutAfter { bytes: 0 }), &[WEIGHTS]);
}

#[test]
fn a_stalled_body_is_asked_for_anew_from_its_last_byte() {
    // It ends at last, so that a client that does not see the stall fails here and does not hang.
    let rule = of_weights(Action::StallAfter { bytes: 100_000, resume_after_ms: Some(20_000) }).first(1);
    let faulty = Faulty::new([rule]);
    faulty.assert_right(faulty.world.finish(faulty.command().env("HF_HUB_DOWNLOAD_TIMEOUT", "1")));
    assert_eq!(faulty.happened(), 1);
    let stalled = faulty.requests_for_weights().into_iter().find(|request| request.fault.is_some());
    assert_eq!(stalled.expect("logged").bytes_sent, 100_000);
}

#[test]
fn a_hub_that_fails_for_a_while_is_asked_again() {
    for endpoint in [Endpoint::Info, Endpoint::Tree, Endpoint::Resolve, Endpoint::Cdn] {
        for status in [500, 503, 408] {
            recovers([FaultRule::new(Action::status(status)).on(endpoint).first(2)], 2);
        }
    }
}

#[test]
fn a_hub_that_fails_for_good_is_named_with_its_status() {
    is_refused(of_weights(Action::status(500)), &[REPO, "500", "request `"]);
}

#[test]
fn dropped_connections_are_made_anew() {
    for endpoint in [Endpoint::Info, Endpoint::Tree, Endpoint::Resolve, Endpoint::Cdn] {
        recovers([FaultRule::new(Action::Drop).on(endpoint).first(2)], 2);
    }
}

#[test]
fn too_many_requests_are_followed_by_the_wait_that_the_hub_asks_for() {
    let asked = Duration::from_secs(1);
    for action in [Action::too_many_requests(RetryAfter::Seconds(1)), Action::rate_limited(1)] {
        let faulty = recovers([FaultRule::new(action).on(Endpoint::Info).first(1)], 1);
        let requests = faulty.world.hub.requests();
        let mut asked_for = requests.iter().filter(|request| request.endpoint == Endpoint::Info);
        let (refused, next) = (asked_for.next().expect("refused"), asked_for.next().expect("asked again"));
        assert_eq!(refused.status, 429);
        let waited = next.when.duration_since(refused.when).expect("in order");
        assert!(waited >= asked, "it came back after {waited:?}");
    }
    // A date says only whole seconds, so of the two asked for one is sure.
    let dated = Action::too_many_requests(RetryAfter::DateIn(2));
    let faulty = recovers([of_weights(dated).on(Endpoint::Resolve).first(1)], 1);
    let requests = faulty.requests_for_weights();
    let refused = requests.iter().find(|request| request.status == 429).expect("refused");
    let next = requests
        .iter()
        .filter(|request| request.range == refused.range && request.when > refused.when)
        .min_by_key(|request| request.when);
    let waited = next.expect("asked again").when.duration_since(refused.when).expect("in order");
    assert!(waited >= asked, "it came back after {waited:?}");
}

#[test]
fn an_etag_that_changes_starts_the_file_over_and_one_that_stays_is_refused() {
    recovers([of_weights(Action::ChangedEtag { etag: None }).on(Endpoint::Resolve).first(1)], 1);
    is_refused(of_weights(Action::ChangedEtag { etag: None }).on(Endpoint::Resolve), &[WEIGHTS, "ETag"]);
}

#[test]
fn a_hub_that_ignores_ranges_is_read_from_the_start() {
    let faulty = Faulty::new([of_weights(Action::IgnoreRange)]);
    faulty.assert_right(faulty.run());
    assert!(faulty.requests_for_weights().iter().any(|request| request.range.is_some() && request.status == 200));
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    recovers([of_weights(Action::WrongRange { shift: 512 << 10 }).on(Endpoint::Cdn).nth(2)], 1);
    is_refused(of_weights(Action::WrongRange { shift: 512 << 10 }), &[REPO, "was asked for bytes"]);
}

#[test]
fn a_wrong_length_is_mended_or_refused() {
    for by in [-1000, 1000] {
        recovers([of_weights(Action::WrongLength { by }).first(2)], 2);
    }
    is_refused(of_weights(Action::WrongLength { by: 1000 }), &[WEIGHTS]);
}

#[test]
fn what_stands_in_the_place_of_weights_is_named_as_what_it_is() {
    is_refused(of_weights(Action::HtmlPage), &[WEIGHTS, "an HTML page", "hint: a proxy or a login page"]);
    is_refused(of_weights(Action::LfsPointer), &[WEIGHTS, "a Git LFS pointer", "hint: the mirror"]);
    is_refused(of_weights(Action::EmptyBody), &[WEIGHTS, "an empty body", "hint: check the mirror"]);
}

#[test]
fn another_host_is_followed_without_the_token() {
    let token = "hf_secretofthistest";
    let elsewhere = World::with(DemoHub::builder().cdn(false).repository(Payload::new(REPO, &FILES).repository()));
    let redirect = FaultRule::new(Action::Redirect { to: elsewhere.hub.endpoint() }).on(Endpoint::Resolve);
    let faulty = Faulty::with(DemoHub::builder().token(token, [REPO]), [redirect]);
    let run = faulty.assert_right(faulty.world.finish(faulty.command().env("HF_TOKEN", token)));
    let ours = faulty.world.hub.requests();
    assert!(ours.iter().all(|request| request.had_authorization), "the token is for the hub");
    let theirs = elsewhere.hub.requests();
    assert!(!theirs.is_empty() && !theirs.iter().any(|request| request.had_authorization), "{theirs:?}");
    assert!(!run.stderr().contains(token) && !run.stdout().contains(token));
}

#[test]
fn a_complete_snapshot_is_a_hit_with_a_warning_when_the_hub_is_down() {
    let faulty = Faulty::new([]);
    faulty.assert_right(faulty.run());
    let run = faulty.assert_right(faulty.world.finish(faulty.command().env("HF_ENDPOINT", nobody())));
    assert_eq!(run.json()["models"][0]["outcome"], "hit");
    assert!(run.stderr().contains("the copy on disk is used"), "{}", run.stderr());
    // The same for a hub that is there and cannot answer.
    faulty.world.hub.add_fault(FaultRule::new(Action::status(503))).expect("a fault");
    let run = faulty.assert_right(faulty.run());
    assert!(run.stderr().contains("the copy on disk is used") && run.stderr().contains("503"), "{}", run.stderr());
}

#[test]
fn an_incomplete_snapshot_is_refused_with_what_is_missing_when_the_hub_is_down() {
    let faulty = Faulty::new([]);
    faulty.assert_right(faulty.run());
    let folder = faulty.payload.folder(&faulty.world.hub_cache());
    for file in &faulty.payload.files()[..2] {
        fs::remove_file(folder.join("blobs").join(&file.digest)).expect("removed");
    }
    let commit = faulty.world.hub.commit(REPO, "main").expect("a commit");
    let by_commit = faulty.world.command(&["preload", &format!("{REPO}@{commit}")]);
    let with_hub_down = [faulty.command(), by_commit].map(|mut command| {
        command.env("HF_ENDPOINT", nobody());
        command
    });
    let mut offline = faulty.command();
    offline.arg("--offline");
    for mut command in with_hub_down.into_iter().chain([offline]) {
        let run = faulty.world.finish(&mut command).exits(1);
        let stderr = run.stderr();
        assert!(stderr.contains(&format!("`{WEIGHTS}`")) && stderr.contains("`words.txt`"), "{stderr}");
        assert!(!stderr.contains("`notes.md`"), "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}
