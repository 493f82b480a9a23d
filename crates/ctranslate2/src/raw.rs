//! The shim's interface, as declared in `shim/api.h`: a table of functions and the structs that they take.
//!
//! Rules of the interface, which every safety comment of this crate rests on:
//! - pointers that go in are read only during the call, and so are the callbacks of [`Files`];
//! - a handle that comes out is owned by the caller, who gives it back once to the `free` of its kind;
//! - functions may be called from any thread at any time, with handles that are not yet freed;
//! - an [`Answer`] is filled by the call and stays valid until `release`.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;

use crate::running::Running;
use crate::tensor::Tensor;

/// Number of this interface. It grows with each change of `shim/api.h`; both sides refuse another number.
pub(crate) const ABI: u32 = 2;

/// What a call gives back: numbers, floats and text, whose meaning is that of the function.
#[repr(C)]
pub(crate) struct Answer {
    owner: *mut c_void,
    outcome: i32,
    numbers: *const u64,
    numbers_len: usize,
    floats: *const f32,
    floats_len: usize,
    text: *const c_char,
    text_len: usize,
}

/// How a call ended. Source: `enum sf_outcome` in `shim/api.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    InvalidInput,
    InvalidModel,
    OutOfMemory,
    Failed,
}

/// The callbacks through which the shim reads the files of a model.
#[repr(C)]
pub(crate) struct Files {
    pub(crate) context: *mut c_void,
    pub(crate) open: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *mut *mut c_void, *mut u64) -> i32,
    pub(crate) read: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> i64,
    pub(crate) close: unsafe extern "C" fn(*mut c_void),
    pub(crate) name: *const c_char,
    pub(crate) name_len: usize,
}

/// [`crate::ModelConfig`] for the shim.
#[repr(C)]
pub(crate) struct Config {
    pub(crate) device: i32,
    pub(crate) device_index: i32,
    pub(crate) compute_type: i32,
    pub(crate) intra_threads: u64,
    pub(crate) replicas: u64,
}

/// Lists of tokens one after another: `counts[i]` tokens of each, all in `tokens`.
#[repr(C)]
pub(crate) struct Tokens<'a> {
    tokens: *const u32,
    counts: *const usize,
    len: usize,
    lists: PhantomData<&'a [u32]>,
}

impl<'a> Tokens<'a> {
    /// Counts and tokens of `lists`, which the caller keeps while the value is used.
    pub(crate) fn flatten(lists: &[&[u32]]) -> (Vec<u32>, Vec<usize>) {
        (lists.concat(), lists.iter().map(|list| list.len()).collect())
    }

    pub(crate) fn new((tokens, counts): &'a (Vec<u32>, Vec<usize>)) -> Self {
        Self { tokens: tokens.as_ptr(), counts: counts.as_ptr(), len: counts.len(), lists: PhantomData }
    }
}

/// Tensors whose batches are read as one.
#[repr(C)]
pub(crate) struct Tensors<'a> {
    handles: *const *const c_void,
    len: usize,
    tensors: PhantomData<&'a Tensor>,
}

impl<'a> Tensors<'a> {
    /// The caller keeps `handles` and the tensors that they are of while the value is used.
    pub(crate) fn new(handles: &'a [*const c_void]) -> Self {
        Self { handles: handles.as_ptr(), len: handles.len(), tensors: PhantomData }
    }
}

/// [`crate::GenerateOptions`] for the shim.
#[repr(C)]
pub(crate) struct Options {
    pub(crate) beam_size: u64,
    pub(crate) patience: f32,
    pub(crate) length_penalty: f32,
    pub(crate) repetition_penalty: f32,
    pub(crate) sampling_temperature: f32,
    pub(crate) no_repeat_ngram_size: u64,
    pub(crate) max_length: u64,
    pub(crate) sampling_topk: u64,
    pub(crate) num_hypotheses: u64,
    pub(crate) max_initial_timestamp_index: u64,
    pub(crate) suppress_tokens: *const i32,
    pub(crate) suppress_tokens_len: usize,
    pub(crate) suppress_blank: u8,
    pub(crate) return_no_speech_prob: u8,
}

type Free = unsafe extern "C" fn(*mut c_void);
type Load = unsafe extern "C" fn(*const Files, *const Config, *mut *mut c_void, *mut Answer);

/// The table of functions. Its fields are those of `struct sf_api` in `shim/api.h`, in the same order.
#[repr(C)]
pub(crate) struct Api {
    pub(crate) abi: u32,
    /// Bytes of the table.
    pub(crate) size: u32,
    /// Version of the headers that the shim was compiled against, such as `4.8.4`; ends with a zero byte.
    pub(crate) version: *const c_char,
    pub(crate) release: unsafe extern "C" fn(*mut Answer),
    pub(crate) device_count: unsafe extern "C" fn(i32, *mut Answer),
    pub(crate) compute_types: unsafe extern "C" fn(i32, i32, *mut Answer),
    pub(crate) whisper_load: Load,
    pub(crate) whisper_free: Free,
    pub(crate) whisper_encode: unsafe extern "C" fn(*mut c_void, *const f32, u64, u64, *mut *mut c_void, *mut Answer),
    pub(crate) whisper_detect_language: unsafe extern "C" fn(*mut c_void, *const Tensors<'_>, *mut Answer),
    pub(crate) whisper_generate:
        unsafe extern "C" fn(*mut c_void, *const Tensors<'_>, *const Tokens<'_>, *const Options, *mut Answer),
    pub(crate) whisper_align: unsafe extern "C" fn(
        *mut c_void,
        *const Tensors<'_>,
        *const Tokens<'_>,
        *const Tokens<'_>,
        *const usize,
        u64,
        *mut Answer,
    ),
    pub(crate) wav2vec2_load: Load,
    pub(crate) wav2vec2_free: Free,
    pub(crate) wav2vec2_encode: unsafe extern "C" fn(*mut c_void, *const f32, u64, u64, *mut *mut c_void, *mut Answer),
    pub(crate) tensor_free: Free,
    pub(crate) tensor_rows: unsafe extern "C" fn(*const c_void, u64, u64, *mut *mut c_void, *mut Answer),
    pub(crate) tensor_read: unsafe extern "C" fn(*const c_void, *mut f32, usize, *mut Answer),
}

// SAFETY: the table is constant data of the shim, which is never unloaded, and its functions may be called from any
// thread.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

/// The one symbol of the shim: the table for the interface of that number, or null.
pub(crate) type Entry = unsafe extern "C" fn(u32) -> *const Api;

/// An [`Answer`] that is released when it is dropped.
pub(crate) struct Call<'a> {
    api: &'a Api,
    answer: Answer,
}

impl<'a> Call<'a> {
    /// Runs `call` with an empty answer.
    pub(crate) fn run(api: &'a Api, call: impl FnOnce(&mut Answer)) -> Self {
        let mut answer = Answer {
            owner: std::ptr::null_mut(),
            outcome: 0,
            numbers: std::ptr::null(),
            numbers_len: 0,
            floats: std::ptr::null(),
            floats_len: 0,
            text: std::ptr::null(),
            text_len: 0,
        };
        let running = Running::begin();
        call(&mut answer);
        drop(running);
        Self { api, answer }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.answer.outcome {
            0 => Outcome::Done,
            1 => Outcome::InvalidInput,
            2 => Outcome::InvalidModel,
            3 => Outcome::OutOfMemory,
            _ => Outcome::Failed,
        }
    }

    pub(crate) fn numbers(&self) -> &[u64] {
        // SAFETY: the call filled pointer and length together, or left null; the answer is released after `self`.
        unsafe { slice(self.answer.numbers, self.answer.numbers_len) }
    }

    pub(crate) fn floats(&self) -> &[f32] {
        // SAFETY: as in `numbers`.
        unsafe { slice(self.answer.floats, self.answer.floats_len) }
    }

    pub(crate) fn text(&self) -> String {
        // SAFETY: as in `numbers`.
        let bytes = unsafe { slice(self.answer.text.cast::<u8>(), self.answer.text_len) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // SAFETY: the answer was filled by a call of this table or is empty, and is released once.
        unsafe { (self.api.release)(&mut self.answer) }
    }
}

/// # Safety
///
/// `pointer` is null or points to `len` values that live as long as the result.
unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> &'a [T] {
    if pointer.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}
