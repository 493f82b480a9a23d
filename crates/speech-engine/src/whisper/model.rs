//! A Whisper model, loaded from its folder.

mod folder;

use std::path::Path;
use std::sync::Arc;

use speech_flow_ctranslate2::{
    Alignment, ComputeType, Device, GenerateOptions, Generation, Library, ModelConfig, ModelFiles, Whisper,
};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::LogMel;
use crate::whisper::{AlignRequest, Backend, Encoded, Mel, ModelFacts, Tokenizer};

/// Tokens of a prompt and of what is generated after it.
const MAX_LENGTH: usize = 448;

/// A Whisper model with its tokenizer, ready to run.
#[derive(Debug)]
pub struct WhisperModel {
    engine: Whisper,
    tokenizer: Tokenizer,
    facts: ModelFacts,
}

impl WhisperModel {
    /// Loads the model in `folder`, a folder as CTranslate2 and faster-whisper have it.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] for a file that is missing, damaged or does not fit the others; [`Error::Engine`].
    pub fn load(folder: &Path, library: &Arc<Library>, config: &ModelConfig) -> Result<Self, Error> {
        Self::load_with(folder, &folder.to_path_buf(), library, config)
    }

    /// Loads the model in `folder`, of which the engine reads its files through `files`: weights that are prepared in
    /// another place, say.
    ///
    /// The tokenizer is read on another thread beside the weights.
    ///
    /// # Errors
    ///
    /// As [`WhisperModel::load`].
    pub fn load_with(
        folder: &Path,
        files: &dyn ModelFiles,
        library: &Arc<Library>,
        config: &ModelConfig,
    ) -> Result<Self, Error> {
        let (engine, texts) = std::thread::scope(|scope| {
            let texts = scope.spawn(|| folder::read(folder));
            let engine = Whisper::load(library, files, config);
            (engine, texts.join())
        });
        let texts = texts.unwrap_or_else(|_| Err(Error::model_file(folder, "reading it failed")))?;
        let engine = engine.map_err(|source| Error::Engine { step: "load the model", source })?;
        texts.check_against(folder, &engine)?;
        let facts = ModelFacts {
            mel: Arc::new(LogMel::new(engine.n_mels())),
            is_multilingual: engine.is_multilingual(),
            max_length: MAX_LENGTH.min(engine.max_positions()),
            chunk_length: texts.chunk_length,
        };
        Ok(Self { engine, tokenizer: texts.tokenizer, facts })
    }

    /// The tokenizer of the model.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Languages that it knows.
    pub fn num_languages(&self) -> usize {
        self.engine.num_languages()
    }

    /// Encodes windows of the same length as one batch, one result for each.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`].
    pub fn encode_windows(&self, windows: &[&[f32]]) -> Result<Vec<Encoded>, Error> {
        let encode = |mel: &[f32]| self.engine.encode(mel, windows.len()).map_err(failed("encode audio"));
        match windows {
            [] => Ok(Vec::new()),
            [window] => Ok(vec![Arc::new(encode(window)?)]),
            windows => {
                let batch = encode(&windows.concat())?;
                let row = |row: usize| batch.rows(row..row + 1).map(Arc::new).map_err(failed("encode audio"));
                (0..windows.len()).map(row).collect()
            }
        }
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.engine.device()
    }

    /// The number format that it has.
    pub fn compute_type(&self) -> ComputeType {
        self.engine.compute_type()
    }
}

impl Backend for WhisperModel {
    fn model(&self) -> &ModelFacts {
        &self.facts
    }

    fn encode(&self, windows: Vec<Mel>, cancel: &Cancel) -> Result<Vec<Encoded>, Error> {
        check(cancel)?;
        let windows: Vec<&[f32]> = windows.iter().map(Vec::as_slice).collect();
        self.encode_windows(&windows)
    }

    fn detect_language(&self, windows: &[Encoded], cancel: &Cancel) -> Result<Vec<Vec<(String, f32)>>, Error> {
        call(windows, cancel, "detect the language", || self.engine.detect_language(windows))
    }

    fn generate(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Generation>, Error> {
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        call(windows, cancel, "generate text", || self.engine.generate(windows, &prompts, options))
    }

    fn align(&self, windows: &[Encoded], request: &AlignRequest<'_>, cancel: &Cancel) -> Result<Vec<Alignment>, Error> {
        let texts: Vec<&[u32]> = request.text_tokens.iter().map(Vec::as_slice).collect();
        let AlignRequest { start_sequence, num_frames, median_filter_width, .. } = *request;
        call(windows, cancel, "align words", || {
            self.engine.align(windows, start_sequence, &texts, num_frames, median_filter_width)
        })
    }
}

/// Stops canceled work before it costs time.
fn check(cancel: &Cancel) -> Result<(), Error> {
    cancel.reason().map_or(Ok(()), |reason| Err(Error::Canceled(reason)))
}

/// Runs `step` unless it is canceled; no windows give nothing.
fn call<T>(
    windows: &[Encoded],
    cancel: &Cancel,
    name: &'static str,
    step: impl FnOnce() -> Result<Vec<T>, speech_flow_ctranslate2::Error>,
) -> Result<Vec<T>, Error> {
    check(cancel)?;
    if windows.is_empty() { Ok(Vec::new()) } else { step().map_err(failed(name)) }
}

fn failed(step: &'static str) -> impl Fn(speech_flow_ctranslate2::Error) -> Error {
    move |source| Error::Engine { step, source }
}
