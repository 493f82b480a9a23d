//! What an encoder gives: numbers that stay on the device of the model.

use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::library::Library;
use crate::model::Device;
use crate::raw::Call;

/// The output of an encoder, on the device and in the float type of its model: `[batch, frames, width]`.
///
/// It is immutable and needs its model no longer. Calls read it, or copy it first, which is cheap beside any inference.
pub struct Tensor {
    library: Arc<Library>,
    handle: *mut c_void,
    device: Device,
    shape: Vec<usize>,
}

// SAFETY: the shim's tensors are immutable after they are made and not bound to a thread.
unsafe impl Send for Tensor {}
// SAFETY: as above.
unsafe impl Sync for Tensor {}

impl Tensor {
    /// Takes the tensor that `call` puts into its first argument; its shape is in the answer's numbers.
    pub(crate) fn from_call(
        library: &Arc<Library>,
        device: Device,
        call: impl FnOnce(*mut *mut c_void, &mut crate::raw::Answer),
    ) -> Result<Self, Error> {
        let mut handle = std::ptr::null_mut();
        let call = Call::run(library.api(), |answer| call(&mut handle, answer));
        library.check(&call, device)?;
        let shape = call.numbers().iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect();
        Ok(Self { library: Arc::clone(library), handle, device, shape })
    }

    pub(crate) fn handle(&self) -> *const c_void {
        self.handle
    }

    /// Size of each dimension; the first is the batch.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where the numbers are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// A copy of some rows of the batch, on the same device.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the rows are not all there or there are none, [`Error::OutOfMemory`].
    pub fn rows(&self, rows: Range<usize>) -> Result<Self, Error> {
        let batch = self.shape.first().copied().unwrap_or(0);
        if rows.start >= rows.end || rows.end > batch {
            return Err(Error::InvalidInput {
                reason: format!("rows {}..{} of a batch of {batch}", rows.start, rows.end),
            });
        }
        Self::from_call(&self.library, self.device, |handle, answer| {
            let (start, end) = (rows.start as u64, rows.end as u64);
            // SAFETY: the handle lives as long as `self`; the range is inside the batch.
            unsafe { (self.library.api().tensor_rows)(self.handle, start, end, handle, answer) }
        })
    }

    /// The batches of several tensors in one, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where there are none, or they differ in another dimension, in device or in number
    /// format; [`Error::OutOfMemory`].
    pub fn concat(tensors: &[&Self]) -> Result<Self, Error> {
        let Some(first) = tensors.first() else {
            return Err(Error::InvalidInput { reason: "no tensors to join".to_owned() });
        };
        let fits = |other: &&Self| {
            other.device == first.device
                && other.shape.get(1..) == first.shape.get(1..)
                && Arc::ptr_eq(&other.library, &first.library)
        };
        if let Some(other) = tensors.iter().find(|other| !fits(other)) {
            return Err(Error::InvalidInput {
                reason: format!(
                    "a tensor of shape {:?} on `{}` does not join one of {:?} on `{}`",
                    other.shape, other.device, first.shape, first.device
                ),
            });
        }
        let handles: Vec<*const c_void> = tensors.iter().map(|tensor| tensor.handle()).collect();
        Self::from_call(&first.library, first.device, |handle, answer| {
            // SAFETY: the handles live as long as `tensors`, and come from this library.
            unsafe { (first.library.api().tensor_concat)(handles.as_ptr(), handles.len(), handle, answer) }
        })
    }

    /// The numbers, row by row, as 32-bit floats on the CPU.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Cuda`].
    pub fn to_vec(&self) -> Result<Vec<f32>, Error> {
        let mut numbers = vec![0.0; self.shape.iter().product()];
        let call = Call::run(self.library.api(), |answer| {
            // SAFETY: the handle lives as long as `self`; the shim writes at most the given number of floats, and
            // refuses where the tensor has another number.
            unsafe { (self.library.api().tensor_read)(self.handle, numbers.as_mut_ptr(), numbers.len(), answer) }
        });
        self.library.check(&call, self.device)?;
        Ok(numbers)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("shape", &self.shape).field("device", &self.device).finish()
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: the handle came from this library and is freed once.
        unsafe { (self.library.api().tensor_free)(self.handle) }
    }
}
