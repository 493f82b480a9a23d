use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

/// Doubles numbers; `0` fails, and a number that is held waits until the test lets it go.
struct Doubling {
    gate: Mutex<mpsc::Receiver<()>>,
    batches: Arc<Mutex<Vec<Vec<u32>>>>,
}

impl Engine for Doubling {
    type Work = u32;
    type Answer = u32;
    type Key = bool;
    type Error = String;

    fn key(work: &u32) -> bool {
        *work >= 1000
    }

    fn step(work: &u32) -> &'static str {
        if Self::key(work) { "large" } else { "small" }
    }

    fn rank(_: &u32) -> u8 {
        0
    }

    fn most(&self, _: &u32, most: usize) -> usize {
        most
    }

    fn holds(work: &u32) -> bool {
        Self::key(work)
    }

    fn run(&self, batch: &[&u32]) -> Result<Vec<u32>, String> {
        let batch: Vec<u32> = batch.iter().map(|number| **number).collect();
        self.batches.lock().expect("no panic").push(batch.clone());
        if batch.iter().any(|number| [HELD, LARGE_AND_HELD].contains(number)) {
            self.gate.lock().expect("no panic").recv().expect("the test lets it go");
        }
        assert!(!batch.contains(&13), "thirteen");
        if batch.contains(&0) { Err("zero".to_owned()) } else { Ok(batch.iter().map(|number| number * 2).collect()) }
    }

    fn stopped(reason: CancelReason) -> String {
        format!("{reason:?}")
    }

    fn crashed() -> String {
        "crashed".to_owned()
    }
}

#[derive(Default)]
struct Counted {
    windows: AtomicUsize,
    waits: AtomicUsize,
}

impl PoolEvents for Counted {
    fn waited(&self, _: Duration) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    fn computed(&self, _: &'static str, windows: usize, _: Duration) {
        self.windows.fetch_add(windows, Ordering::Relaxed);
    }
}

/// A pool whose engine is busy with a held number until the sender sends.
struct Scene {
    pool: Pool<Doubling>,
    go: mpsc::Sender<()>,
    batches: Arc<Mutex<Vec<Vec<u32>>>>,
    counted: Arc<Counted>,
}

const HELD: u32 = 7;
const LARGE_AND_HELD: u32 = 1007;

impl Scene {
    fn new() -> Self {
        Self::with(PoolConfig { replicas: 1, max_batch: 4 })
    }

    fn with(config: PoolConfig) -> Self {
        let (go, gate) = mpsc::channel();
        let batches = Arc::<Mutex<Vec<Vec<u32>>>>::default();
        let engine = Doubling { gate: Mutex::new(gate), batches: Arc::clone(&batches) };
        let counted = Arc::<Counted>::default();
        let pool = Pool::start(engine, config, Arc::clone(&counted) as _).expect("starts");
        Self { pool, go, batches, counted }
    }

    fn call(&self, windows: Vec<u32>, cancel: &Cancel) -> std::thread::JoinHandle<Result<Vec<u32>, String>> {
        let (client, cancel) = (self.pool.client(), cancel.clone());
        std::thread::spawn(move || client.call(windows, &cancel))
    }

    /// Waits until so many windows stand in the queue.
    fn until_waiting(&self, windows: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.pool.waiting() != windows {
            assert!(Instant::now() < deadline, "{} windows wait, not {windows}", self.pool.waiting());
            std::thread::yield_now();
        }
    }

    /// Keeps a thread of the engine busy.
    fn hold(&self) -> std::thread::JoinHandle<Result<Vec<u32>, String>> {
        self.hold_with(vec![HELD])
    }

    fn hold_with(&self, windows: Vec<u32>) -> std::thread::JoinHandle<Result<Vec<u32>, String>> {
        let held = self.call(windows, &Cancel::new());
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.batches().is_empty() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        held
    }

    fn batches(&self) -> Vec<Vec<u32>> {
        self.batches.lock().expect("no panic").clone()
    }
}

#[test]
fn calls_of_several_requests_share_a_batch_and_each_gets_its_own_answers() {
    let scene = Scene::new();
    let held = scene.hold();
    let first = scene.call(vec![1, 2], &Cancel::new());
    scene.until_waiting(2);
    let second = scene.call(vec![3], &Cancel::new());
    scene.until_waiting(3);
    scene.go.send(()).expect("held");
    assert_eq!(held.join().expect("no panic"), Ok(vec![14]));
    assert_eq!(first.join().expect("no panic"), Ok(vec![2, 4]));
    assert_eq!(second.join().expect("no panic"), Ok(vec![6]));
    assert_eq!(scene.batches(), [vec![7], vec![1, 3, 2]]);
    assert_eq!(scene.counted.waits.load(Ordering::Relaxed), 4);
    assert_eq!(scene.counted.windows.load(Ordering::Relaxed), 4);
}

#[test]
fn a_bad_window_does_not_fail_the_requests_beside_it() {
    let scene = Scene::new();
    let held = scene.hold();
    let good = scene.call(vec![1], &Cancel::new());
    let bad = scene.call(vec![0], &Cancel::new());
    let awful = scene.call(vec![13], &Cancel::new());
    scene.until_waiting(3);
    scene.go.send(()).expect("held");
    assert_eq!(good.join().expect("no panic"), Ok(vec![2]));
    assert_eq!(bad.join().expect("no panic"), Err("zero".to_owned()));
    assert_eq!(awful.join().expect("no panic"), Err("crashed".to_owned()));
    assert!(held.join().expect("no panic").is_ok());
}

#[test]
fn windows_whose_caller_has_gone_are_never_computed() {
    let scene = Scene::new();
    let held = scene.hold();
    let cancel = Cancel::new();
    let gone = scene.call(vec![21, 22], &cancel);
    let stays = scene.call(vec![1], &Cancel::new());
    scene.until_waiting(3);
    cancel.cancel();
    assert_eq!(gone.join().expect("no panic"), Err("Canceled".to_owned()));
    scene.go.send(()).expect("held");
    assert_eq!(stays.join().expect("no panic"), Ok(vec![2]));
    assert!(held.join().expect("no panic").is_ok());
    assert_eq!(scene.batches(), [vec![7], vec![1]]);
}

#[test]
fn a_deadline_ends_the_wait() {
    let scene = Scene::new();
    let held = scene.hold();
    let late = scene.call(vec![1], &Cancel::with_deadline(Instant::now() + Duration::from_millis(20)));
    assert_eq!(late.join().expect("no panic"), Err("DeadlinePassed".to_owned()));
    scene.go.send(()).expect("held");
    assert!(held.join().expect("no panic").is_ok());
}

#[test]
fn it_says_how_long_a_batch_has_been_computed() {
    let scene = Scene::new();
    assert_eq!(scene.pool.longest_running(), None);
    let held = scene.hold();
    std::thread::sleep(Duration::from_millis(20));
    assert!(scene.pool.longest_running() >= Some(Duration::from_millis(20)));
    scene.go.send(()).expect("held");
    assert!(held.join().expect("no panic").is_ok());
}

#[test]
fn all_threads_together_hold_no_more_windows_than_a_batch_may_have() {
    let scene = Scene::with(PoolConfig { replicas: 2, max_batch: 2 });
    let held = scene.hold_with(vec![LARGE_AND_HELD, 1008]);
    let waits = scene.call(vec![1009], &Cancel::new());
    scene.until_waiting(1);
    let small = scene.call(vec![1], &Cancel::new());
    assert_eq!(small.join().expect("no panic"), Ok(vec![2]), "the other thread has work that holds nothing");
    assert_eq!(scene.batches(), [vec![LARGE_AND_HELD, 1008], vec![1]]);
    scene.go.send(()).expect("held");
    assert_eq!(waits.join().expect("no panic"), Ok(vec![2018]));
    assert_eq!(held.join().expect("no panic"), Ok(vec![2014, 2016]));
}

#[test]
fn as_many_windows_as_threads_may_be_held() {
    let scene = Scene::with(PoolConfig { replicas: 2, max_batch: 1 });
    let held = scene.hold_with(vec![LARGE_AND_HELD]);
    let other = scene.call(vec![1008], &Cancel::new());
    assert_eq!(other.join().expect("no panic"), Ok(vec![2016]));
    scene.go.send(()).expect("held");
    assert_eq!(held.join().expect("no panic"), Ok(vec![2014]));
}
