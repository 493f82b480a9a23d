//! Signs of life: one thread per process touches the files by which others see that it lives.
//!
//! The thread starts with the first registration and ends with the last one. Each beat sets the file's
//! modification time to the *server's* now (`utimensat` with `UTIME_NOW`), by path and not by an open
//! file: when another process took the claim away (renamed the folder, removed the lease) the path is
//! gone, and [`Heartbeat::is_held`] says so. A process that was stopped or suspended for longer than
//! [`SILENT_AFTER`](crate::owner::SILENT_AFTER) finds out the same way, before it does harm: ask
//! `is_held` before a step that must belong to the owner.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};

/// Time between two beats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps one file's heartbeat going until it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    beat: Arc<Beat>,
    keeper: Arc<Keeper>,
}

#[derive(Debug)]
struct Beat {
    path: PathBuf,
    lost: AtomicBool,
}

impl Heartbeat {
    /// Touches the file now and from then on every [`HEARTBEAT_INTERVAL`]. The file must exist.
    ///
    /// Never fails: what cannot be touched is reported by [`Heartbeat::is_held`] when it is gone, and
    /// tried again at the next beat otherwise.
    pub fn start(path: impl Into<PathBuf>) -> Self {
        static KEEPER: OnceLock<Arc<Keeper>> = OnceLock::new();
        Self::start_with(KEEPER.get_or_init(|| Keeper::new(HEARTBEAT_INTERVAL)), path.into())
    }

    fn start_with(keeper: &Arc<Keeper>, path: PathBuf) -> Self {
        let beat = Arc::new(Beat { path, lost: AtomicBool::new(false) });
        beat.touch();
        keeper.register(&beat);
        Self { beat, keeper: Arc::clone(keeper) }
    }

    /// The file that is kept alive.
    pub fn path(&self) -> &Path {
        &self.beat.path
    }

    /// Whether the claim is still this process's: touches the file now and looks whether it is there.
    ///
    /// Once it is `false` it stays so, even if a file appears under that name again.
    pub fn is_held(&self) -> bool {
        self.beat.touch();
        !self.beat.lost.load(Ordering::Acquire)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.keeper.unregister(&self.beat);
    }
}

impl Beat {
    fn touch(&self) {
        if self.lost.load(Ordering::Acquire) {
            return;
        }
        match touch(&self.path) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.lost.store(true, Ordering::Release);
                tracing::warn!(path = %self.path.display(), "a claim on the cache was taken by another process");
            }
            // A server that is away for a while: the next beat tries again.
            Err(error) => tracing::debug!(path = %self.path.display(), %error, "a heartbeat could not be written"),
        }
    }
}

/// Sets a file's access and modification times to now, by the clock of its volume.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[derive(Debug)]
struct Keeper {
    interval: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    beats: Vec<Arc<Beat>>,
    thread_runs: bool,
}

impl Keeper {
    fn new(interval: Duration) -> Arc<Self> {
        Arc::new(Self { interval, state: Mutex::default(), changed: Condvar::new() })
    }

    /// A panic cannot leave the list half changed, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(self: &Arc<Self>, beat: &Arc<Beat>) {
        let mut state = self.lock();
        state.beats.push(Arc::clone(beat));
        if !state.thread_runs {
            let keeper = Arc::clone(self);
            let spawned = std::thread::Builder::new().name("cache-heartbeat".to_owned()).spawn(move || keeper.run());
            match spawned {
                Ok(_) => state.thread_runs = true,
                // The next registration tries again; until then only `is_held` beats.
                Err(error) => tracing::warn!(%error, "the heartbeat thread could not be started"),
            }
        }
    }

    fn unregister(&self, beat: &Arc<Beat>) {
        let mut state = self.lock();
        state.beats.retain(|other| !Arc::ptr_eq(other, beat));
        if state.beats.is_empty() {
            self.changed.notify_all();
        }
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let waited = self.changed.wait_timeout_while(state, self.interval, |state| !state.beats.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.beats.is_empty() {
                state.thread_runs = false;
                return;
            }
            let beats = state.beats.clone();
            // A touch may hang on a dead server: nobody waits for it at the lock.
            drop(state);
            for beat in beats {
                beat.touch();
            }
            state = self.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Instant, SystemTime};

    use super::*;

    #[track_caller]
    fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reached() {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn claim(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let old = SystemTime::now() - Duration::from_secs(1000);
        File::create(&path).expect("creates").set_modified(old).expect("sets");
        path
    }

    fn modified(path: &Path) -> SystemTime {
        fs::metadata(path).expect("exists").modified().expect("has a time")
    }

    #[test]
    fn a_registered_file_is_touched_again_and_again() {
        let folder = tempfile::tempdir().expect("temp folder");
        let keeper = Keeper::new(Duration::from_millis(2));
        let path = claim(folder.path(), "beat");
        let before = modified(&path);
        let _heartbeat = Heartbeat::start_with(&keeper, path.clone());
        assert!(modified(&path) > before + Duration::from_secs(900), "the first beat is immediate");
        for _ in 0..2 {
            let last = modified(&path);
            wait_until("a later beat", || modified(&path) > last);
        }
    }

    #[test]
    fn the_thread_ends_with_the_last_registration_and_starts_again() {
        let folder = tempfile::tempdir().expect("temp folder");
        let keeper = Keeper::new(Duration::from_secs(3600));
        for _ in 0..2 {
            let first = Heartbeat::start_with(&keeper, claim(folder.path(), "first"));
            let second = Heartbeat::start_with(&keeper, claim(folder.path(), "second"));
            drop(first);
            assert!(keeper.lock().thread_runs);
            drop(second);
            wait_until("the end of the thread", || !keeper.lock().thread_runs);
        }
    }

    #[test]
    fn a_claim_that_was_taken_is_lost_for_good_and_the_others_go_on() {
        let folder = tempfile::tempdir().expect("temp folder");
        let keeper = Keeper::new(Duration::from_millis(2));
        let taken = Heartbeat::start_with(&keeper, claim(folder.path(), "taken"));
        let kept = Heartbeat::start_with(&keeper, claim(folder.path(), "kept"));
        assert!(taken.is_held() && kept.is_held());
        fs::rename(taken.path(), folder.path().join("by-another")).expect("renames");
        assert!(!taken.is_held(), "seen at once, without waiting for a beat");
        claim(folder.path(), "taken");
        assert!(!taken.is_held());
        let last = modified(kept.path());
        wait_until("a beat of the other claim", || modified(kept.path()) > last);
        assert!(kept.is_held());
    }

    #[test]
    fn an_error_is_no_loss() {
        let folder = tempfile::tempdir().expect("temp folder");
        let beat = Beat { path: folder.path().join("x".repeat(300)), lost: AtomicBool::new(false) };
        beat.touch();
        assert!(!beat.lost.load(Ordering::Acquire));
    }
}
