//! Whisper behind the scheduler: every call of a transcription becomes windows in the queue.

use std::sync::Arc;

use speech_flow_speech_engine::cancel::{Cancel, CancelReason};
use speech_flow_speech_engine::ctranslate2::{Alignment, Device, GenerateOptions, Generation};
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_engine::whisper::{
    AlignRequest, Backend, Encoded, Mel, ModelFacts, Models, PromptShape, Tokenizer, WhisperModel,
};

use crate::schedule::{Client, Engine};

/// Windows that a processor encodes together.
const ENCODED_ON_CPU: usize = 1;

/// A loaded model.
pub(crate) struct WhisperEngine {
    model: WhisperModel,
}

impl WhisperEngine {
    pub(crate) fn new(model: WhisperModel) -> Self {
        Self { model }
    }
}

/// One window and what is asked of it.
pub(crate) enum Work {
    Encode(Mel),
    Detect(Encoded),
    Generate { window: Encoded, prompt: Vec<u32>, shape: PromptShape, options: Arc<GenerateOptions> },
    Align { window: Encoded, text: Vec<u32>, frames: usize, shared: Arc<Alike> },
}

/// What windows that are aligned together have in common.
#[derive(Debug, PartialEq)]
pub(crate) struct Alike {
    start_sequence: Vec<u32>,
    median_filter_width: usize,
}

/// Windows with equal keys can be computed together.
#[derive(PartialEq)]
pub(crate) enum Key {
    Encode { values: usize },
    Detect { positions: usize },
    Generate { positions: usize, shape: PromptShape, options: Arc<GenerateOptions> },
    Align { positions: usize, shared: Arc<Alike> },
}

/// What comes of a window.
pub(crate) enum Answer {
    Encoded(Encoded),
    Detected(Vec<(String, f32)>),
    Generated(Generation),
    Aligned(Alignment),
}

impl Engine for WhisperEngine {
    type Work = Work;
    type Answer = Answer;
    type Key = Key;
    type Error = Error;

    fn key(work: &Work) -> Key {
        match work {
            Work::Encode(mel) => Key::Encode { values: mel.len() },
            Work::Detect(window) => Key::Detect { positions: positions(window) },
            Work::Generate { window, shape, options, .. } => {
                Key::Generate { positions: positions(window), shape: *shape, options: Arc::clone(options) }
            }
            Work::Align { window, shared, .. } => {
                Key::Align { positions: positions(window), shared: Arc::clone(shared) }
            }
        }
    }

    fn step(work: &Work) -> &'static str {
        match work {
            Work::Encode(_) => "encode",
            Work::Detect(_) => "detect",
            Work::Generate { .. } => "generate",
            Work::Align { .. } => "align",
        }
    }

    fn rank(work: &Work) -> u8 {
        match work {
            Work::Encode(_) => 0,
            Work::Detect(_) => 1,
            Work::Generate { .. } => 2,
            Work::Align { .. } => 3,
        }
    }

    /// On a processor a batch of the encoder gains nothing: one window fills it, and the attention of each takes tens to
    /// hundreds of megabytes.
    fn most(&self, work: &Work, most: usize) -> usize {
        let is_encoder_on_cpu = matches!(work, Work::Encode(_)) && self.model.device() == Device::Cpu;
        if is_encoder_on_cpu { most.min(ENCODED_ON_CPU) } else { most }
    }

    /// The decoder's keys and values of each window.
    fn holds(work: &Work) -> bool {
        !matches!(work, Work::Encode(_))
    }

    fn run(&self, batch: &[&Work]) -> Result<Vec<Answer>, Error> {
        // What nobody waits for any more was taken out before.
        let go_on = Cancel::new();
        let windows = || batch.iter().filter_map(|work| window(work)).collect::<Vec<_>>();
        match batch.first() {
            None => Ok(Vec::new()),
            Some(Work::Encode(_)) => {
                let mels: Vec<&[f32]> = batch.iter().filter_map(|work| mel(work)).collect();
                Ok(self.model.encode_windows(&mels)?.into_iter().map(Answer::Encoded).collect())
            }
            Some(Work::Detect(_)) => {
                let detected = self.model.detect_language(&windows(), &go_on)?;
                Ok(detected.into_iter().map(Answer::Detected).collect())
            }
            Some(Work::Generate { options, .. }) => {
                let prompts: Vec<Vec<u32>> = batch.iter().filter_map(|work| prompt(work)).collect();
                let generated = self.model.generate(&windows(), &prompts, options, &go_on)?;
                Ok(generated.into_iter().map(Answer::Generated).collect())
            }
            Some(Work::Align { shared, .. }) => {
                let (text_tokens, num_frames): (Vec<Vec<u32>>, Vec<usize>) =
                    batch.iter().filter_map(|work| spoken(work)).unzip();
                let request = AlignRequest {
                    start_sequence: &shared.start_sequence,
                    text_tokens: &text_tokens,
                    num_frames: &num_frames,
                    median_filter_width: shared.median_filter_width,
                };
                let aligned = self.model.align(&windows(), &request, &go_on)?;
                Ok(aligned.into_iter().map(Answer::Aligned).collect())
            }
        }
    }

    fn stopped(reason: CancelReason) -> Error {
        Error::Canceled(reason)
    }

    fn crashed() -> Error {
        Error::Unavailable { reason: "the engine did not answer".into() }
    }
}

/// The length of a window that is encoded: those of a batch are of one length.
fn positions(window: &Encoded) -> usize {
    window.shape().get(1).copied().unwrap_or(0)
}

fn mel(work: &Work) -> Option<&[f32]> {
    match work {
        Work::Encode(mel) => Some(mel),
        _ => None,
    }
}

fn window(work: &Work) -> Option<Encoded> {
    match work {
        Work::Encode(_) => None,
        Work::Detect(window) | Work::Generate { window, .. } | Work::Align { window, .. } => Some(Arc::clone(window)),
    }
}

fn prompt(work: &Work) -> Option<Vec<u32>> {
    match work {
        Work::Generate { prompt, .. } => Some(prompt.clone()),
        _ => None,
    }
}

fn spoken(work: &Work) -> Option<(Vec<u32>, usize)> {
    match work {
        Work::Align { text, frames, .. } => Some((text.clone(), *frames)),
        _ => None,
    }
}

/// One transcription's model: the calls wait for their turn.
pub(crate) struct Scheduled {
    client: Client<WhisperEngine>,
}

impl Scheduled {
    pub(crate) fn new(client: Client<WhisperEngine>) -> Self {
        Self { client }
    }

    /// The tokenizer of the model.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.client.engine().model.tokenizer()
    }

    /// What a transcription works with.
    pub(crate) fn models<'a>(&'a self, vad: Option<&'a SileroVad>) -> Models<'a> {
        Models { backend: self, tokenizer: self.tokenizer(), vad }
    }

    /// Calls the engine and takes answers of one kind; the engine gives no others.
    fn call<T>(&self, work: Vec<Work>, cancel: &Cancel, kind: impl Fn(Answer) -> Option<T>) -> Result<Vec<T>, Error> {
        let asked = work.len();
        let answers: Vec<T> = self.client.call(work, cancel)?.into_iter().filter_map(kind).collect();
        if answers.len() == asked { Ok(answers) } else { Err(WhisperEngine::crashed()) }
    }
}

impl Backend for Scheduled {
    fn model(&self) -> &ModelFacts {
        self.client.engine().model.model()
    }

    fn encode(&self, windows: Vec<Mel>, cancel: &Cancel) -> Result<Vec<Encoded>, Error> {
        let work = windows.into_iter().map(Work::Encode).collect();
        self.call(work, cancel, |answer| if let Answer::Encoded(encoded) = answer { Some(encoded) } else { None })
    }

    fn detect_language(&self, windows: &[Encoded], cancel: &Cancel) -> Result<Vec<Vec<(String, f32)>>, Error> {
        let work = windows.iter().map(|window| Work::Detect(Arc::clone(window))).collect();
        self.call(work, cancel, |answer| if let Answer::Detected(languages) = answer { Some(languages) } else { None })
    }

    fn generate(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Generation>, Error> {
        let options = Arc::new(options.clone());
        let work = windows.iter().zip(prompts).map(|(window, prompt)| Work::Generate {
            window: Arc::clone(window),
            shape: PromptShape::of(prompt, self.tokenizer().special()),
            prompt: prompt.clone(),
            options: Arc::clone(&options),
        });
        self.call(work.collect(), cancel, |answer| if let Answer::Generated(text) = answer { Some(text) } else { None })
    }

    fn align(&self, windows: &[Encoded], request: &AlignRequest<'_>, cancel: &Cancel) -> Result<Vec<Alignment>, Error> {
        let shared = Arc::new(Alike {
            start_sequence: request.start_sequence.to_vec(),
            median_filter_width: request.median_filter_width,
        });
        let spoken = request.text_tokens.iter().zip(request.num_frames);
        let work = windows.iter().zip(spoken).map(|(window, (text, frames))| Work::Align {
            window: Arc::clone(window),
            text: text.clone(),
            frames: *frames,
            shared: Arc::clone(&shared),
        });
        self.call(work.collect(), cancel, |answer| if let Answer::Aligned(pairs) = answer { Some(pairs) } else { None })
    }
}
