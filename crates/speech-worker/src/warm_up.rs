//! The first inference, before a worker is ready.

use std::time::Duration;

use speech_flow_speech_engine::audio::{Audio, SAMPLE_RATE};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::lid::IdentifyOptions;
use speech_flow_speech_engine::whisper;

use crate::engine::whisper::Scheduled;
use crate::serving::{Loaded, Serving};

/// Short, as every start waits for it.
const LENGTH: Duration = Duration::from_secs(1);
/// A hum, since silence could be skipped.
const HUM_HZ: f32 = 220.0;

/// Runs the whole way once. Says how many seconds of audio that was worth.
pub(crate) fn run(serving: &Serving) -> Result<f64, Error> {
    let audio = hum(LENGTH);
    let cancel = Cancel::new();
    match &serving.loaded {
        Loaded::Whisper(pool) => {
            let scheduled = Scheduled::new(pool.client());
            whisper::warm_up(scheduled.models(serving.vad.as_deref()), &audio, &cancel)?;
        }
        Loaded::Lid(engine) => {
            let options = IdentifyOptions { plain: true, ..IdentifyOptions::default() };
            engine.identify(&audio, &options, None, &cancel)?;
        }
    }
    Ok(LENGTH.as_secs_f64())
}

fn hum(length: Duration) -> Audio {
    let samples = (length.as_secs_f32() * SAMPLE_RATE as f32) as usize;
    let wave = |at: usize| (std::f32::consts::TAU * HUM_HZ * at as f32 / SAMPLE_RATE as f32).sin() * 0.1;
    Audio::from_f32(&(0..samples).map(wave).collect::<Vec<_>>())
}
