//! How far a transcription is, in seconds of the recording: a bar on a terminal, elsewhere a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::{Printer, Progress as Shown};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows one recording's progress, and nothing more once it is dropped.
pub(super) struct Progress<'a> {
    printer: &'a Printer,
    name: String,
    started: Instant,
    line: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(printer: &'a Printer, name: String) -> Self {
        let now = Instant::now();
        Self { printer, name, started: now, line: now, bar: None }
    }

    /// `done` of `total` seconds are transcribed.
    pub(super) fn moved(&mut self, done: f64, total: f64) {
        match self.printer.progress() {
            Shown::Hidden => {}
            Shown::Bar => {
                let bar = self.bar.get_or_insert_with(|| {
                    let bar = bar(&self.name, total);
                    self.printer.set_bar(Some(bar.clone()));
                    bar
                });
                bar.set_position(milliseconds(done));
                bar.set_message(said(done, total, self.started.elapsed()));
            }
            Shown::Lines if self.line.elapsed() >= LINE_EVERY => {
                self.line = Instant::now();
                self.printer.note(format_args!("{}: {}", self.name, said(done, total, self.started.elapsed())));
            }
            Shown::Lines => {}
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            self.printer.set_bar(None);
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &str, total: f64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(milliseconds(total)), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}")
        .expect("the template is a constant, and a test draws it")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.set_prefix(name.to_owned());
    bar
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}

/// How much, and how many times faster than it was spoken.
fn said(done: f64, total: f64, took: Duration) -> String {
    let percent = if total > 0.0 { (done / total * 100.0).min(100.0) } else { 100.0 };
    let speed = done / took.as_secs_f64().max(0.001);
    format!("{done:.0} of {total:.0} s ({percent:.0} %), {speed:.1} times real time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        assert_eq!(said(30.0, 120.0, Duration::from_secs(10)), "30 of 120 s (25 %), 3.0 times real time");
        assert!(said(0.0, 0.0, Duration::from_secs(1)).starts_with("0 of 0 s (100 %)"));
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        let bar = bar("a.wav", 2.5);
        bar.set_position(milliseconds(1.25));
        assert_eq!((bar.position(), bar.length()), (1_250, Some(2_500)));
    }
}
