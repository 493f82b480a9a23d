//! How far a download is: a bar on a terminal, elsewhere a line every few seconds.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use speech_flow_model_manager::{Event, Events};
use speech_flow_model_types::ByteSize;

use crate::printer::{Printer, Progress};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often a bar moves when nothing arrives.
const TICK: Duration = Duration::from_millis(250);
/// How far back the rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Shows events. One model is worked on at a time.
pub(crate) struct Reporter {
    printer: Arc<Printer>,
    state: Arc<Mutex<State>>,
    lines: Mutex<Option<Lines>>,
}

/// What is known of the model that is being fetched.
#[derive(Default)]
struct State {
    model: String,
    total: u64,
    done: u64,
    /// Bytes that had arrived, at times of the recent past.
    samples: Vec<(Instant, u64)>,
    received: u64,
    bar: Option<ProgressBar>,
}

/// The thread that prints lines; it ends when the sender is dropped.
struct Lines {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Reporter {
    pub(crate) fn new(printer: Arc<Printer>) -> Self {
        Self { printer, state: Arc::default(), lines: Mutex::new(None) }
    }

    /// Says what is about to be done with a model or an artifact, and shows how far it is from here on.
    pub(crate) fn begin(&self, model: String, doing: &str, files: usize, total: u64, left: u64) {
        self.finish();
        if left == 0 {
            return;
        }
        let what = format!("{model}: {doing} {} of {} in {files} files", ByteSize(left), ByteSize(total));
        self.printer.note(what);
        let mut state = lock(&self.state);
        *state = State {
            model,
            total,
            done: total.saturating_sub(left),
            samples: vec![(Instant::now(), 0)],
            ..State::default()
        };
        match self.printer.progress() {
            Progress::Hidden => {}
            Progress::Bar => {
                let bar = bar(&state);
                self.printer.set_bar(Some(bar.clone()));
                state.bar = Some(bar);
            }
            Progress::Lines => *lock(&self.lines) = self.start_lines(),
        }
    }

    fn start_lines(&self) -> Option<Lines> {
        let (stop, stopped) = mpsc::channel();
        let (printer, state) = (Arc::clone(&self.printer), Arc::clone(&self.state));
        let print = move || {
            while stopped.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
                let line = lock(&state).line();
                printer.note(line);
            }
        };
        // Without the thread the download goes on all the same.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(print).ok()?;
        Some(Lines { stop, thread })
    }

    /// Bytes are done.
    pub(crate) fn moved_on(&self, bytes: u64) {
        self.moved(|state| state.receive(bytes));
    }

    fn moved(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        if let Some(bar) = &state.bar {
            bar.set_position(state.done);
            bar.set_message(state.speed());
        }
    }

    /// Ends what is shown of the present model.
    pub(crate) fn finish(&self) {
        let lines = lock(&self.lines).take();
        if let Some(Lines { stop, thread }) = lines {
            drop(stop);
            // It prints a line at most and holds nothing that matters if it panicked.
            let _ = thread.join();
        }
        self.printer.set_bar(None);
        if let Some(bar) = lock(&self.state).bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Events for Reporter {
    fn event(&self, event: Event) {
        match event {
            Event::Planned { model, files, bytes_total, bytes_to_fetch } => {
                self.begin(model, "fetching", files, bytes_total, bytes_to_fetch);
            }
            Event::Received { bytes } => self.moved_on(bytes),
            Event::Discarded { bytes, reason } => {
                self.moved(|state| state.done = state.done.saturating_sub(bytes));
                self.printer.warning(format_args!("{} thrown away: {reason}", ByteSize(bytes)));
            }
            Event::Waiting { reason, delay } => {
                self.printer.note(format_args!("waiting {:.1} s: {reason}", delay.as_secs_f64()));
            }
            Event::WaitingForOther { path } => {
                self.printer.note(format_args!("waiting for another process that fetches `{path}`"));
            }
            Event::Warning { message } => self.printer.warning(message),
            // Too short to be worth a line; the log has them.
            _ => {}
        }
    }
}

impl State {
    fn receive(&mut self, bytes: u64) {
        let now = Instant::now();
        self.done += bytes;
        self.received += bytes;
        let is_due = self.samples.last().is_none_or(|(at, _)| now.duration_since(*at) >= TICK);
        if is_due {
            self.samples.retain(|(at, _)| now.duration_since(*at) <= RATE_WINDOW);
            self.samples.push((now, self.received));
        }
    }

    /// Bytes a second over the recent past.
    fn rate(&self, now: Instant) -> f64 {
        let Some((at, before)) = self.samples.iter().find(|(at, _)| now.duration_since(*at) <= RATE_WINDOW) else {
            return 0.0;
        };
        (self.received - before) as f64 / now.duration_since(*at).as_secs_f64().max(0.001)
    }

    fn speed(&self) -> String {
        let rate = self.rate(Instant::now());
        let left = self.total.saturating_sub(self.done) as f64;
        let rate_text = format!("{}/s", ByteSize(rate as u64));
        if rate < 1.0 { rate_text } else { format!("{rate_text}, {} left", time(left / rate)) }
    }

    fn line(&self) -> String {
        let percent = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        let (done, total) = (ByteSize(self.done), ByteSize(self.total));
        format!("{}: {done} of {total} ({percent} %), {}", self.model, self.speed())
    }
}

fn bar(state: &State) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(state.total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes} {msg}")
        .expect("the template is a constant, and the demo draws it")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.set_prefix(state.model.clone());
    bar.set_position(state.done);
    bar.enable_steady_tick(TICK);
    bar
}

/// A time to wait, in words.
fn time(seconds: f64) -> String {
    match seconds.ceil() as u64 {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5_999 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let start = Instant::now().checked_sub(Duration::from_secs(2)).expect("the machine runs for longer");
        let mut state =
            State { model: "tiny".to_owned(), total: 4 << 20, samples: vec![(start, 0)], ..State::default() };
        state.receive(1 << 20);
        let line = state.line();
        assert!(line.starts_with("tiny: 1.0 MiB of 4.0 MiB (25 %), 51"), "{line}");
        assert!(line.ends_with("KiB/s, 7 s left") || line.ends_with("KiB/s, 6 s left"), "{line}");
    }

    #[test]
    fn nothing_that_arrives_is_no_rate() {
        let state = State { model: "tiny".to_owned(), total: 10, ..State::default() };
        assert_eq!(state.line(), "tiny: 0 B of 10 B (0 %), 0 B/s");
    }

    #[test]
    fn times_are_in_fitting_units() {
        assert_eq!(time(0.2), "1 s");
        assert_eq!(time(125.0), "2 min 5 s");
        assert_eq!(time(7_260.0), "2 h 1 min");
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert_eq!(bar(&State { total: 3, done: 1, ..State::default() }).position(), 1);
    }
}
