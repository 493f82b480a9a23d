//! Voice activity: where in the audio there is speech.
//!
//! The model is Silero VAD v6 for 16 kHz, in the file `silero_vad_v6.onnx` that faster-whisper ships. Only its weights
//! are read; the forward pass is written out here, so that no ONNX runtime is needed. Probabilities are those of ONNX
//! Runtime to 1e-5, and spans are those of faster-whisper.

mod chunks;
mod network;
mod onnx;
mod spans;
mod weights;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::error::Error;

pub use chunks::{SpeechChunk, SpeechTimestampsMap, collect_chunks};
pub use network::VadStream;
pub use spans::{SpeechSpan, VadOptions, speech_timestamps};
use weights::Weights;

/// Samples in a second of the audio that the model hears.
pub const SAMPLE_RATE: usize = 16_000;

/// Samples in a window, which has one probability: 32 ms.
pub const WINDOW: usize = 512;

/// A model is 1.2 MB; nothing larger is read.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// Windows between two looks at the cancel token: 8 s of audio, some milliseconds of work.
const WINDOWS_PER_STEP: usize = 256;

/// Silero VAD v6, ready to run. Clones share the weights; every method may be called from many threads at once.
#[derive(Debug, Clone)]
pub struct SileroVad {
    weights: Arc<Weights>,
}

impl SileroVad {
    /// Name of the model's file in its folder.
    pub const FILE: &'static str = "silero_vad_v6.onnx";

    /// Reads the model from [`Self::FILE`] in `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] where the file is not there, is damaged, or is a model of another shape.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(Self::FILE);
        let unreadable = |source: std::io::Error| Error::ModelFile {
            file: path.clone(),
            problem: "it cannot be read".into(),
            source: Some(Box::new(source)),
        };
        let file = File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::model_file(path, "it is too large to be a voice activity model"));
        }
        Self::read(&bytes, &path)
    }

    /// The model in `bytes`, the content of such a file.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] where the bytes are damaged or a model of another shape.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes, Path::new(Self::FILE))
    }

    fn read(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let weights = Weights::read(bytes).map_err(|error| Error::ModelFile {
            file: path.to_owned(),
            problem: "it is not the Silero VAD v6 model".into(),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { weights: Arc::new(weights) })
    }

    /// Starts on a new clip, whose samples then come piece by piece.
    pub fn stream(&self) -> VadStream {
        VadStream::new(Arc::clone(&self.weights))
    }

    /// The speech probability of each window of a clip. There is one window more than `samples` fill: the last holds
    /// the rest and silence, or only silence.
    ///
    /// # Errors
    ///
    /// [`Error::Canceled`] when `cancel` says so.
    pub fn probabilities(&self, samples: &[i16], cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let mut stream = self.stream();
        let mut probabilities = Vec::with_capacity(samples.len() / WINDOW + 1);
        for piece in samples.chunks(WINDOWS_PER_STEP * WINDOW) {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Canceled(reason));
            }
            stream.push(piece.iter().map(|sample| f32::from(*sample) / 32768.0), &mut probabilities);
        }
        stream.finish(&mut probabilities);
        Ok(probabilities)
    }

    /// The spans of speech in a clip.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] where an option has no meaning, [`Error::Canceled`] when `cancel` says so.
    pub fn speech_timestamps(
        &self,
        samples: &[i16],
        options: &VadOptions,
        cancel: &Cancel,
    ) -> Result<Vec<SpeechSpan>, Error> {
        options.validate()?;
        Ok(speech_timestamps(&self.probabilities(samples, cancel)?, samples.len(), options))
    }
}

#[cfg(test)]
mod tests;
