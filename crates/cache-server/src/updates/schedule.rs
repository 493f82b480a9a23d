//! When it is looked for updates.

use std::time::Duration;

use jiff::Timestamp;
use speech_flow_model_manager::config::UpdatePolicy;

use super::Record;
use crate::server::Server;

/// How often another replica's run is noticed.
const LOOK: Duration = Duration::from_secs(30);
/// The first run of all waits up to this long, so that servers that start together do not ask together.
const FIRST: Duration = Duration::from_secs(60);

impl Server {
    /// Looks for updates again and again until the server stops, where the configuration says so.
    pub(crate) async fn keep_updated(&self) {
        let settings = &self.inner.settings;
        if settings.updates == UpdatePolicy::Never || settings.offline {
            return;
        }
        let mut chance: f64 = rand::random();
        loop {
            let server = self.clone();
            let read = tokio::task::spawn_blocking(move || server.read_record()).await;
            let wait = wait(&read.unwrap_or_default(), Timestamp::now(), settings.update_every, chance);
            tokio::select! {
                () = tokio::time::sleep(wait.min(LOOK)) => {}
                () = self.inner.stop.cancelled() => return,
            }
            if wait <= LOOK {
                self.update_all(Some(settings.update_every)).await;
                chance = rand::random();
            }
        }
    }
}

/// How long until the next run: an interval after the last, a tenth more or less. `chance` is from 0 to 1.
fn wait(record: &Record, now: Timestamp, every: Duration, chance: f64) -> Duration {
    let Some(last) = record.checked else { return FIRST.min(every).mul_f64(chance) };
    // A clock that went back must not keep updates away for long.
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    every.mul_f64(0.9 + 0.2 * chance).saturating_sub(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_an_interval_apart_give_or_take_a_tenth() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        let after = |seconds: i64| Record {
            checked: Timestamp::from_second(now.as_second() - seconds).ok(),
            ..Record::default()
        };
        let every = Duration::from_secs(1000);
        for (record, chance, expected) in [
            (Record::default(), 0.5, 30),
            (after(0), 0.0, 900),
            (after(0), 1.0, 1100),
            (after(600), 0.5, 400),
            (after(5000), 0.5, 0),
            (after(-5000), 0.5, 1000),
        ] {
            assert_eq!(wait(&record, now, every, chance).as_secs(), expected);
        }
        assert_eq!(wait(&Record::default(), now, Duration::from_secs(10), 1.0), Duration::from_secs(10));
    }
}
