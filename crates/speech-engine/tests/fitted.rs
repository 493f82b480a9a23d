//! Windows that are fitted to their sound: the text, the encoder's input, and how often it is asked.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::path::PathBuf;
use std::sync::Mutex;

use speech_flow_ctranslate2::{Alignment, ComputeType, GenerateOptions, Generation, Library, ModelConfig};
use speech_flow_speech_engine::audio::{Audio, DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::whisper::{
    AlignRequest, Backend, Encoded, Event, Mel, ModelFacts, Models, TranscribeOptions, WhisperModel, transcribe,
    transcribe_batched, warm_up,
};

/// The model, with a list of the frames of all windows that it encoded.
struct Counting {
    model: WhisperModel,
    frames: Mutex<Vec<usize>>,
}

impl Backend for Counting {
    fn model(&self) -> &ModelFacts {
        self.model.model()
    }

    fn encode(&self, windows: Vec<Mel>, cancel: &Cancel) -> Result<Vec<Encoded>, Error> {
        let n_mels = self.model().n_mels();
        self.frames.lock().unwrap().extend(windows.iter().map(|window| window.len() / n_mels));
        self.model.encode(windows, cancel)
    }

    fn detect_language(&self, windows: &[Encoded], cancel: &Cancel) -> Result<Vec<Vec<(String, f32)>>, Error> {
        self.model.detect_language(windows, cancel)
    }

    fn generate(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Generation>, Error> {
        self.model.generate(windows, prompts, options, cancel)
    }

    fn align(&self, windows: &[Encoded], request: &AlignRequest<'_>, cancel: &Cancel) -> Result<Vec<Alignment>, Error> {
        self.model.align(windows, request, cancel)
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn counting() -> Counting {
    let library = Library::open(None).unwrap_or_else(|error| panic!("{error}"));
    let config = ModelConfig { compute_type: ComputeType::Float32, ..ModelConfig::default() };
    let model = WhisperModel::load(&fixture("tiny-whisper-ct2"), &library, &config).unwrap();
    Counting { model, frames: Mutex::default() }
}

fn clip(name: &str) -> Audio {
    decode_file(&fixture("audio").join(name), &DecodeOptions::default(), &Cancel::new()).unwrap()
}

/// The text, the language, and the frames of the windows that were encoded.
fn hear(audio: &Audio, options: &str, batch: Option<usize>) -> (String, String, Vec<usize>) {
    let backend = counting();
    let models = Models { backend: &backend, tokenizer: backend.model.tokenizer(), vad: None };
    let options: TranscribeOptions = serde_json::from_str(options).unwrap();
    let mut text = String::new();
    let mut on_event = |event| {
        if let Event::Segment(segment) = event {
            text.push_str(&segment.text);
        }
    };
    let info = match batch {
        Some(size) => transcribe_batched(models, audio, &options, size, &Cancel::new(), &mut on_event),
        None => transcribe(models, audio, &options, &Cancel::new(), &mut on_event),
    };
    (text.trim().to_owned(), info.unwrap().language, backend.frames.into_inner().unwrap())
}

#[test]
fn a_short_clip_is_encoded_once_and_in_a_short_window() {
    let (text, language, frames) = hear(&clip("en05.wav"), r#"{"encoder_window": "fitted"}"#, None);
    assert_eq!((text.as_str(), language.as_str(), frames), ("The green key is under the table.", "en", vec![1000]));
}

#[test]
fn a_full_window_is_the_default_and_is_heard_twice_for_its_language() {
    let (text, _, frames) = hear(&clip("en05.wav"), "{}", None);
    assert_eq!((text.as_str(), frames), ("The green key is under the table.", vec![3000, 3000]));
}

#[test]
fn the_last_window_of_a_long_clip_is_the_short_one() {
    let audio = Audio::from_samples(clip("en05.wav").samples().repeat(14));
    let options = r#"{"language": "en", "encoder_window": "fitted", "temperature": 0, "without_timestamps": true}"#;
    let (_, _, frames) = hear(&audio, options, None);
    let (last, before) = frames.split_last().unwrap();
    assert!(*last < 3000 && before.iter().all(|frames| *frames == 3000), "{frames:?}");
}

#[test]
fn words_of_a_short_window_lie_in_the_clip() {
    let audio = clip("en05.wav");
    let backend = counting();
    let models = Models { backend: &backend, tokenizer: backend.model.tokenizer(), vad: None };
    let options = serde_json::from_str(r#"{"encoder_window": "fitted", "word_timestamps": true}"#).unwrap();
    let mut words = Vec::new();
    let mut on_event = |event| {
        if let Event::Segment(segment) = event {
            words.extend(segment.words.unwrap_or_default());
        }
    };
    transcribe(models, &audio, &options, &Cancel::new(), &mut on_event).unwrap();
    let duration = audio.samples().len() as f64 / 16_000.0;
    assert_eq!(words.len(), 7);
    assert!(words.iter().all(|word| 0.0 <= word.start && word.start <= word.end && word.end <= duration), "{words:?}");
}

#[test]
fn pieces_of_a_batch_share_the_length_of_the_longest() {
    let audio = Audio::from_samples([clip("en05.wav").samples(), clip("en04.flac").samples()].concat());
    let options = r#"{"language": "en", "encoder_window": "fitted", "vad_filter": false,
        "clip_timestamps": [0, 2.5, 2.5, 5.4]}"#;
    let (text, _, frames) = hear(&audio, options, Some(2));
    assert_eq!(frames, [1000, 1000]);
    assert!(text.starts_with("The green key is under the table."), "{text}");
}

#[test]
fn a_warm_up_encodes_its_sound_once_and_no_silence() {
    let backend = counting();
    let models = Models { backend: &backend, tokenizer: backend.model.tokenizer(), vad: None };
    warm_up(models, &Audio::from_samples(vec![1000; 16_000]), &Cancel::new()).unwrap();
    assert_eq!(backend.frames.into_inner().unwrap(), [100]);
}
