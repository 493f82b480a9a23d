//! The voice activity detector: a model of the configuration, or the one that comes with this program.

use speech_flow_model_types::ModelSpec;
use speech_flow_speech_engine::vad::SileroVad;
use tokio_util::sync::CancellationToken;

use crate::report::Failure;
use crate::session::Session;

/// Silero VAD v6, 1.2 MB, under the MIT license that stands beside it.
const WEIGHTS: &[u8] = include_bytes!("../../../../../fixtures/silero-vad/silero_vad_v6.onnx");

/// Loads the detector. A configured one is fetched and verified like any model.
pub(crate) async fn detector(session: &Session, cancel: &CancellationToken) -> Result<SileroVad, Failure> {
    let configured: Option<ModelSpec> = session.config.vad_model();
    match configured {
        None => Ok(SileroVad::from_bytes(WEIGHTS)?),
        Some(spec) => Ok(SileroVad::load(&super::ready(session, &spec, cancel).await?.model.path)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detector_that_comes_with_the_program_is_one() {
        SileroVad::from_bytes(WEIGHTS).expect("a detector");
    }
}
