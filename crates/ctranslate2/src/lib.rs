//! CTranslate2 for the speech engine: Whisper and Wav2Vec2 models, loaded and run.
//!
//! The engine is a C++ library that is not linked: [`Library::open`] opens it when an engine is first used, so that
//! commands without inference neither need it nor pay for it. Between it and this crate stands a small shim
//! (`shim/`), compiled against the headers of the same version by `make engine`. The shim catches every C++
//! exception and hands out one table of functions; this crate checks the table's number and wraps it.
//!
//! # Threads
//!
//! Every type here is `Send + Sync`, every call blocks its thread until the result is there, and every method may be
//! called from any number of threads at once.
//! - [`Whisper`] and [`Wav2Vec2`]: a call waits for a free replica ([`ModelConfig::replicas`]); each replica has one
//!   thread of its own, which computes with [`ModelConfig::intra_threads`] OpenMP threads. So a loaded model never
//!   uses more than `replicas * intra_threads` cores, however many threads call it.
//! - [`Tensor`]: immutable; reading, cutting and joining happen on the calling thread.
//! - Loading converts the weights on the calling thread with `intra_threads` OpenMP threads.
//! - The files of a model are read on the thread that loads it, one after another.
//!
//! A process that may end while a call runs on another thread calls [`end_calls`] first.
//!
//! None of this may run on a thread of an async runtime.

mod allocator;
mod error;
mod files;
mod library;
mod model;
mod raw;
mod running;
mod tensor;
mod wait_policy;
mod wav2vec2;
mod whisper;

pub use allocator::keep_large_blocks;
pub use error::Error;
pub use files::{ModelFile, ModelFiles};
pub use library::{CTRANSLATE2_VERSION, Library};
pub use model::{ComputeType, Device, InvalidComputeType, ModelConfig};
pub use running::{end_calls, wait_for_calls};
pub use tensor::Tensor;
pub use wav2vec2::Wav2Vec2;
pub use whisper::{Alignment, GenerateOptions, Generation, Hypothesis, Whisper};
