//! What an encoder gives: numbers that stay on the device of the model.

use std::borrow::Borrow;
use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::library::Library;
use crate::model::Device;
use crate::raw::{Call, Tensors};

/// The output of an encoder, on the device and in the float type of its model: `[batch, frames, width]`.
///
/// It is immutable and needs its model no longer. Calls read it; where they take several, these move into one batch, which
/// is cheap beside any inference.
pub struct Tensor {
    library: Arc<Library>,
    handle: *mut c_void,
    device: Device,
    shape: Vec<usize>,
}

// SAFETY: the shim's tensors are not bound to a thread; their numbers never change, and where they are is guarded there.
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

    fn handle(&self) -> *const c_void {
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

/// Tensors that a call reads as one batch.
pub(crate) struct Batch<'a> {
    handles: Vec<*const c_void>,
    shape: Vec<usize>,
    tensors: PhantomData<&'a Tensor>,
}

impl<'a> Batch<'a> {
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where there are none, or they differ in another dimension than the first, in device or
    /// in library.
    pub(crate) fn of<T: Borrow<Tensor>>(tensors: &'a [T]) -> Result<Self, Error> {
        // Once, as the same tensors must be checked and used.
        let tensors: Vec<&Tensor> = tensors.iter().map(Borrow::borrow).collect();
        let Some(first) = tensors.first() else {
            return Err(Error::InvalidInput { reason: "no tensors to join".to_owned() });
        };
        let mut shape = first.shape.clone();
        for other in &tensors[1..] {
            let fits = other.device == first.device
                && other.shape.get(1..) == first.shape.get(1..)
                && Arc::ptr_eq(&other.library, &first.library);
            if !fits {
                return Err(Error::InvalidInput {
                    reason: format!(
                        "a tensor of shape {:?} on `{}` does not join one of {:?} on `{}`",
                        other.shape, other.device, first.shape, first.device
                    ),
                });
            }
            shape.iter_mut().zip(&other.shape).take(1).for_each(|(rows, more)| *rows += more);
        }
        let handles = tensors.iter().map(|tensor| tensor.handle()).collect();
        Ok(Self { handles, shape, tensors: PhantomData })
    }

    /// Size of each dimension; the first is the batch.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn raw(&self) -> Tensors<'_> {
        Tensors::new(&self.handles)
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
