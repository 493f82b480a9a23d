//! The first inference: proves that the model answers, and brings its pages and kernels in.

use std::time::Duration;

use speech_flow_speech_engine::audio::{Audio, SAMPLE_RATE};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::lid::IdentifyOptions;
use speech_flow_speech_engine::whisper::{TranscribeOptions, transcribe};

use crate::engine::whisper::Scheduled;
use crate::serving::{Loaded, Serving};

/// Tokens that the first inference generates at most.
const TOKENS: usize = 8;
/// Seconds of a window, which cost the same whatever is in them.
const WINDOW_S: f64 = 30.0;
/// A hum, since silence could be skipped.
const HUM_HZ: f32 = 220.0;

/// Runs the whole way once. Says how many seconds of audio that was worth.
pub(crate) fn run(serving: &Serving) -> Result<f64, Error> {
    let audio = hum(Duration::from_secs(1));
    let cancel = Cancel::new();
    match &serving.loaded {
        Loaded::Whisper(pool) => {
            let options = TranscribeOptions {
                temperature: vec![0.0],
                max_new_tokens: Some(TOKENS),
                ..TranscribeOptions::default()
            };
            let scheduled = Scheduled::new(pool.client());
            transcribe(scheduled.models(serving.vad.as_deref()), &audio, &options, &cancel, &mut |_| {})?;
            Ok(WINDOW_S)
        }
        Loaded::Lid(engine) => {
            let options = IdentifyOptions { plain: true, ..IdentifyOptions::default() };
            engine.identify(&audio, &options, None, &cancel)?;
            Ok(audio.duration().as_secs_f64())
        }
    }
}

fn hum(length: Duration) -> Audio {
    let samples = (length.as_secs_f32() * SAMPLE_RATE as f32) as usize;
    let wave = |at: usize| (std::f32::consts::TAU * HUM_HZ * at as f32 / SAMPLE_RATE as f32).sin() * 0.1;
    Audio::from_f32(&(0..samples).map(wave).collect::<Vec<_>>())
}
