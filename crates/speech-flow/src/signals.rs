//! Ctrl-C and SIGTERM: the first lets the work end in a state that can go on later, the second ends at once.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::printer::Printer;
use crate::report::Failure;

/// How long the work may take to end after the first signal. Killed then, it loses nothing either.
const GRACE: Duration = Duration::from_secs(10);
/// How long threads of the runtime may take to end: those of a download sync and record its last bytes, and
/// let go of it, so that another machine can go on at once.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Runs asynchronous work on a runtime of its own until it is done or a signal comes.
///
/// `interrupted` is what people are told on a signal.
pub(crate) fn run<T, Work: Future<Output = Result<T, Failure>>>(
    printer: &Printer,
    interrupted: &str,
    work: impl FnOnce(CancellationToken) -> Work,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected("cannot start", error))?;
    let mut patience = SHUTDOWN;
    let done = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Failure::unexpected("cannot listen for signals", error))?;
        let cancel = CancellationToken::new();
        let mut work = pin!(work(cancel.clone()));
        let number = tokio::select! {
            done = &mut work => return done,
            number = signals.next() => number,
        };
        cancel.cancel();
        printer.error_line(interrupted);
        tokio::select! {
            // What was done when the signal came is done.
            done = &mut work => done.map_err(|_| Failure::signal(number)),
            number = signals.next() => {
                patience = Duration::ZERO;
                Err(Failure::signal(number))
            }
            () = tokio::time::sleep(GRACE) => Err(Failure::signal(number)),
        }
    });
    runtime.shutdown_timeout(patience);
    done
}

/// Runs a service until it ends or is told to. The first signal cancels `stop`, so that the service finishes what it
/// has taken, and is a good end; the second ends at once. `told` hears of the first.
pub(crate) async fn serve<T, E>(
    signals: &mut Signals,
    stop: &CancellationToken,
    told: impl FnOnce(),
    service: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let mut service = pin!(service);
    tokio::select! {
        ended = &mut service => return Ok(ended?),
        _ = signals.next() => stop.cancel(),
    }
    told();
    tokio::select! {
        ended = &mut service => Ok(ended?),
        number = signals.next() => Err(Failure::signal(number)),
    }
}

/// Calls back at every `SIGHUP`; must be called on a runtime, and lasts as long as that.
pub(crate) fn on_hang_up(told: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let mut hang_ups =
        signal(SignalKind::hangup()).map_err(|error| Failure::unexpected("cannot listen for signals", error))?;
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            told();
        }
    });
    Ok(())
}

/// The signals that ask a process to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    listening: Option<Listening>,
}

/// How many commands take the signals themselves, those included that took one and are about to end.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// Counts as a listener until it is dropped.
struct Listening;

impl Listening {
    fn begin() -> Self {
        LISTENERS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Counts for good: whoever took a signal ends by itself, perhaps before others have heard of that signal.
    fn stay(self) {
        std::mem::forget(self);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a command takes the signals itself, or took one.
pub(crate) fn is_listened_to() -> bool {
    LISTENERS.load(Ordering::Relaxed) > 0
}

impl Signals {
    /// Takes the signals from now on; must be called on a runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { listening: Some(Listening::begin()), ..Self::overhear()? })
    }

    /// Hears the signals, too, without being the one who takes them.
    pub(crate) fn overhear() -> std::io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, listening: None })
    }

    /// Number of the next signal.
    pub(crate) async fn next(&mut self) -> i32 {
        let number = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        };
        if let Some(listening) = self.listening.take() {
            listening.stay();
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn who_took_a_signal_counts_as_a_listener_after_it_has_gone() {
        drop(Signals::listen().unwrap());
        assert!(!is_listened_to(), "it took none");
        let mut signals = Signals::listen().unwrap();
        let mut late = Signals::overhear().unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(signals.next().await, 15);
        drop(signals);
        assert_eq!((late.next().await, is_listened_to()), (15, true));
    }
}
