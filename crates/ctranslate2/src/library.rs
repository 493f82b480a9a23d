//! The engine's library: found, opened once, checked.

mod place;

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::model::{ComputeType, Device};
use crate::raw::{ABI, Api, Call, Entry, Outcome};
use crate::wait_policy;

/// The version of CTranslate2 that this crate is written for. The shim must be compiled against its headers.
pub const CTRANSLATE2_VERSION: &str = "4.8.4";

/// The engine's library, open.
///
/// It stays open until the process ends: its threads and its memory pools outlive every model.
pub struct Library {
    api: &'static Api,
    path: PathBuf,
}

/// Libraries that are open, so that each is opened once.
static OPEN: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());

impl Library {
    /// Opens the engine, or gives the one that is open.
    ///
    /// It is looked for in the first of these places that is given or exists:
    /// 1. `root`, or its folder `lib`;
    /// 2. `../lib/speech-flow` beside the executable, as an installation has it;
    /// 3. `engine/lib` in a folder above the executable, as `make engine` leaves it in `target`.
    ///
    /// With the feature `source` and no `root` it is the one that is linked into the program.
    ///
    /// The first call takes some 70 ms. OpenMP reads its settings now; where `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT`
    /// are unset, its threads are told to sleep while they wait (see the crate's `wait_policy`).
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`], [`Error::Unusable`], [`Error::WrongVersion`].
    pub fn open(root: Option<&Path>) -> Result<Arc<Self>, Error> {
        #[cfg(feature = "source")]
        if root.is_none() {
            return linked();
        }
        let path = place::find(root)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = open.iter().find(|library| library.path == path) {
            return Ok(Arc::clone(library));
        }
        let api = load(&path)?;
        let library = Arc::new(Self { api, path });
        open.push(Arc::clone(&library));
        Ok(library)
    }

    /// Version of CTranslate2, such as `4.8.4`.
    pub fn version(&self) -> &'static str {
        CTRANSLATE2_VERSION
    }

    /// The file that is open.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// GPUs that CUDA finds; 0 where there is no driver.
    pub fn cuda_device_count(&self) -> usize {
        let call = Call::run(self.api, |answer| {
            // SAFETY: the function takes any number.
            unsafe { (self.api.device_count)(1, answer) }
        });
        call.numbers().first().map_or(0, |count| usize::try_from(*count).unwrap_or(usize::MAX))
    }

    /// The number formats that `device` computes well.
    ///
    /// # Errors
    ///
    /// [`Error::NoGpu`], [`Error::Cuda`].
    pub fn supported_compute_types(&self, device: Device) -> Result<Vec<ComputeType>, Error> {
        self.check_device(device)?;
        let (kind, index) = device.raw();
        let call = Call::run(self.api, |answer| {
            // SAFETY: the function takes any numbers.
            unsafe { (self.api.compute_types)(kind, index, answer) }
        });
        self.check(&call, device)?;
        Ok(call.text().lines().filter_map(|name| name.parse().ok()).collect())
    }

    /// Refuses a GPU that is not there.
    pub(crate) fn check_device(&self, device: Device) -> Result<(), Error> {
        let Device::Cuda(index) = device else { return Ok(()) };
        let count = self.cuda_device_count();
        if (index as usize) < count { Ok(()) } else { Err(Error::NoGpu { index, count }) }
    }

    /// The error of a call that is not about the loading of a model.
    pub(crate) fn check(&self, call: &Call<'_>, device: Device) -> Result<(), Error> {
        let outcome = call.outcome();
        if outcome == Outcome::Done {
            return Ok(());
        }
        let reason = call.text();
        Err(match outcome {
            Outcome::OutOfMemory => Error::OutOfMemory { device, reason },
            _ if reason.contains("out of memory") => Error::OutOfMemory { device, reason },
            _ if is_about_cuda(&reason) => Error::Cuda { reason },
            Outcome::InvalidInput => Error::InvalidInput { reason },
            _ => Error::Failed { reason },
        })
    }

    pub(crate) fn api(&self) -> &Api {
        self.api
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish()
    }
}

/// Whether a message of CTranslate2 comes from CUDA or one of its libraries.
/// Source: `CUDA_CHECK` and `CUBLAS_CHECK` in `src/cuda/utils.h`, and `src/cuda/cublas_stub.cc`.
fn is_about_cuda(reason: &str) -> bool {
    ["CUDA", "cuda", "cuBLAS", "libcublas"].iter().any(|word| reason.contains(word))
}

/// Opens the file and checks the version of what is in it.
fn load(path: &Path) -> Result<&'static Api, Error> {
    let unusable = |source| Error::Unusable { path: path.to_owned(), source };
    wait_policy::set_passive();
    // SAFETY: opening runs the initializers of the library, of libctranslate2 and of libgomp, which have no
    // requirements. Another file under this name could do anything; the path is trusted as the executable is.
    let library = unsafe { libloading::Library::new(path) }.map_err(unusable)?;
    // Never closed: CTranslate2 keeps threads and pools whose code would be gone.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the shim declares the symbol with this type, in every version.
    let entry = unsafe { library.get::<Entry>(b"speech_flow_ct2_api\0") }.map_err(unusable)?;
    // SAFETY: the function takes any number; it gives null or a table that lives as long as the library.
    check(unsafe { entry(ABI).as_ref() }, path)
}

/// The engine that is linked into this program.
#[cfg(feature = "source")]
fn linked() -> Result<Arc<Library>, Error> {
    unsafe extern "C" {
        fn speech_flow_ct2_api(abi: u32) -> *const Api;
    }
    static LINKED: std::sync::OnceLock<Arc<Library>> = std::sync::OnceLock::new();
    if let Some(library) = LINKED.get() {
        return Ok(Arc::clone(library));
    }
    let path = std::env::current_exe().unwrap_or_default();
    // SAFETY: the function takes any number; it gives null or a constant table.
    let api = check(unsafe { speech_flow_ct2_api(ABI).as_ref() }, &path)?;
    Ok(Arc::clone(LINKED.get_or_init(|| Arc::new(Library { api, path }))))
}

/// Refuses a table of another interface or version.
fn check(api: Option<&'static Api>, path: &Path) -> Result<&'static Api, Error> {
    let wrong = |found: String| Error::WrongVersion {
        path: path.to_owned(),
        found,
        expected: format!("interface {ABI} of CTranslate2 {CTRANSLATE2_VERSION}"),
    };
    let api = api.ok_or_else(|| wrong("of another interface".to_owned()))?;
    if api.abi != ABI || api.size as usize != size_of::<Api>() {
        return Err(wrong(format!("interface {} with a table of {} bytes", api.abi, api.size)));
    }
    // SAFETY: the shim gives a constant string that ends with a zero byte.
    let version = unsafe { CStr::from_ptr(api.version) }.to_string_lossy();
    if version != CTRANSLATE2_VERSION {
        return Err(wrong(format!("CTranslate2 {version}")));
    }
    Ok(api)
}
