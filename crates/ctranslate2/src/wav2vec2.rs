//! Wav2Vec2 encoders of the shape of MMS-LID.

use std::ffi::c_void;
use std::sync::Arc;

use crate::allocator;
use crate::error::Error;
use crate::files::ModelFiles;
use crate::library::Library;
use crate::model::{ComputeType, Device, ModelConfig};
use crate::tensor::Tensor;
use crate::whisper::load;

/// A Wav2Vec2 encoder, loaded: feature extractor, projection, positional convolution, pre-norm layers, final norm.
///
/// The files are those of CTranslate2's `Wav2Vec2Spec`, revision 3, with `encoder/return_hidden` semantics: the output
/// is the last hidden state. See the crate's documentation for threads.
pub struct Wav2Vec2 {
    library: Arc<Library>,
    handle: *mut c_void,
    device: Device,
    compute_type: ComputeType,
}

// SAFETY: the shim's models take calls from any thread.
unsafe impl Send for Wav2Vec2 {}
// SAFETY: as above.
unsafe impl Sync for Wav2Vec2 {}

impl Wav2Vec2 {
    /// Reads the weights and puts them on the device.
    ///
    /// # Errors
    ///
    /// As [`crate::Whisper::load`].
    pub fn load(library: &Arc<Library>, files: &dyn ModelFiles, config: &ModelConfig) -> Result<Self, Error> {
        let loaded = load(library, files, config, library.api().wav2vec2_load)?;
        Ok(Self {
            library: Arc::clone(library),
            handle: loaded.handle,
            device: config.device,
            compute_type: loaded.compute_type,
        })
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format that it has.
    pub fn compute_type(&self) -> ComputeType {
        self.compute_type
    }

    /// The last hidden state `[batch, frames, width]` of normalized 16 kHz samples, `batch` clips of one length one
    /// after another. The convolutions need at least 400 samples, and give a frame for each 320.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the samples are no such batch, [`Error::OutOfMemory`], [`Error::Cuda`].
    pub fn encode(&self, samples: &[f32], batch: usize) -> Result<Tensor, Error> {
        let length = samples.len().checked_div(batch).unwrap_or(0);
        if length < MIN_SAMPLES || length * batch != samples.len() {
            let reason = format!(
                "{} samples are no batch of {batch} clips with {MIN_SAMPLES} or more samples each",
                samples.len()
            );
            return Err(Error::InvalidInput { reason });
        }
        Tensor::from_call(&self.library, self.device, |tensor, answer| {
            // SAFETY: the handle lives as long as `self`; there are `batch * length` samples.
            unsafe {
                (self.library.api().wav2vec2_encode)(
                    self.handle,
                    samples.as_ptr(),
                    batch as u64,
                    length as u64,
                    tensor,
                    answer,
                )
            }
        })
    }
}

/// Samples of the first frame: the receptive field of kernels 10, 3, 3, 3, 3, 2, 2 with strides 5, 2, 2, 2, 2, 2, 2.
const MIN_SAMPLES: usize = 400;

impl std::fmt::Debug for Wav2Vec2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wav2Vec2").field("device", &self.device).field("compute_type", &self.compute_type).finish()
    }
}

impl Drop for Wav2Vec2 {
    fn drop(&mut self) {
        // SAFETY: the handle came from this library and is freed once.
        unsafe { (self.library.api().wav2vec2_free)(self.handle) }
        allocator::give_back();
    }
}
