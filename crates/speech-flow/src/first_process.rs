//! What process 1 of a container owes it. The image has no other program that would do this.
//!
//! - The kernel gives process 1 no default for signals: SIGTERM does nothing to it unless it listens. Most commands
//!   listen (see [`crate::signals`]); for the rest, and until they do, this ends the process.
//! - Processes whose parent has gone become its children (those of a shell that was opened into the container, for
//!   example). Nobody else can take their status, and each that is left takes a place in the process table.
//!
//! A child of our own belongs to the code that started it, which waits for it at once. So only what two looks find
//! dead is taken.

use std::collections::BTreeSet;
use std::fs;
use std::process::exit;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::printer::Printer;
use crate::signals::{Signals, is_listened_to};

/// Between the death of a child and the first look, and between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Does these things from now on, if this is process 1. Any other process starts no thread.
pub(crate) fn start(printer: &Printer) {
    if std::process::id() != 1 {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let started = runtime.and_then(|runtime| {
        // The signals are taken before the command begins.
        let duties = {
            let _in = runtime.enter();
            Duties::take()?
        };
        thread::Builder::new().name("first-process".to_owned()).spawn(move || runtime.block_on(duties.run()))
    });
    if let Err(error) = started {
        printer.warning(format_args!("the duties of process 1 are not done: {error}"));
    }
}

struct Duties {
    signals: Signals,
    children: tokio::signal::unix::Signal,
    dead: BTreeSet<i32>,
}

impl Duties {
    fn take() -> std::io::Result<Self> {
        let children = signal(SignalKind::child())?;
        Ok(Self { signals: Signals::overhear()?, children, dead: BTreeSet::new() })
    }

    async fn run(mut self) {
        let mut look_at = None;
        loop {
            let look = async move {
                match look_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                number = self.signals.next() => {
                    if !is_listened_to() {
                        exit(128 + number);
                    }
                }
                _ = self.children.recv() => {
                    look_at.get_or_insert_with(|| Instant::now() + BETWEEN_LOOKS);
                }
                () = look => look_at = self.look().then(|| Instant::now() + BETWEEN_LOOKS),
            }
        }
    }

    /// Takes the status of whoever was dead at the last look, too. Returns whether to look again.
    fn look(&mut self) -> bool {
        let now = dead_children();
        for pid in now.intersection(&self.dead) {
            if let Some(pid) = Pid::from_raw(*pid) {
                // An error means that somebody else was faster.
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        self.dead = now.difference(&self.dead).copied().collect();
        !self.dead.is_empty()
    }
}

/// Children of process 1 that have ended and whose status nobody took.
fn dead_children() -> BTreeSet<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_dead_child(&stat)))
        .collect()
}

/// Whether a line of `/proc/PID/stat` is of a dead child of process 1. The name in it may hold anything.
fn is_dead_child(stat: &str) -> bool {
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    fields.is_some_and(|fields| fields.starts_with("Z 1 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dead_child_of_process_1_is_one() {
        #[track_caller]
        fn check(stat: &str, expected: bool) {
            assert_eq!(is_dead_child(stat), expected, "{stat:?}");
        }
        check("12 (sleep) Z 1 12 12 0 -1", true);
        check("12 (a) Z 1 (b) Z 1 12 12 0", true);
        check("12 (a) Z 1 ) S 1 12 12 0", false);
        check("12 (sleep) S 1 12 12 0 -1", false);
        check("12 (sleep) Z 17 12 12 0 -1", false);
        check("", false);
    }
}
