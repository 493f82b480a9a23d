//! The files of a model, as the engine reads them.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::raw::Files;

/// One file of a model, read once from its start to its end.
pub struct ModelFile {
    /// Bytes that `reader` gives. The engine allocates nothing larger than what is left of it.
    pub length: u64,
    /// The bytes. Reads that fail or end before `length` fail the load.
    pub reader: Box<dyn Read + Send>,
}

/// A folder of a model, real or computed while it is read.
///
/// The engine asks for `model.bin`, `config.json`, `vocabulary.json` and `vocabulary.txt`. Each is streamed into the
/// weights without a second copy, so a model of another format can be converted on the way.
pub trait ModelFiles: Send + Sync {
    /// Opens the file `name`, or answers `None` where the model has no such file.
    ///
    /// # Errors
    ///
    /// The file is there but cannot be opened.
    fn open(&self, name: &str) -> io::Result<Option<ModelFile>>;

    /// How the model is called in messages.
    fn name(&self) -> String;
}

/// A folder on disk.
impl ModelFiles for PathBuf {
    fn open(&self, name: &str) -> io::Result<Option<ModelFile>> {
        let file = match File::open(self.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        Ok(Some(ModelFile { length, reader: Box::new(file) }))
    }

    fn name(&self) -> String {
        self.display().to_string()
    }
}

/// Lends `files` to the shim while `load` runs, and tells what went wrong with them where the load fails.
pub(crate) struct Lent<'a> {
    files: &'a dyn ModelFiles,
    name: String,
    trouble: Arc<Mutex<Trouble>>,
}

#[derive(Default)]
struct Trouble {
    /// The first failure, with the file's name.
    failed: Option<(String, io::Error)>,
    missing: Vec<String>,
}

struct Stream {
    name: String,
    reader: Box<dyn Read + Send>,
    left: u64,
    trouble: Arc<Mutex<Trouble>>,
}

impl<'a> Lent<'a> {
    pub(crate) fn new(files: &'a dyn ModelFiles) -> Self {
        Self { files, name: files.name(), trouble: Arc::default() }
    }

    /// The callbacks. They may be used as long as `self` stays where it is.
    pub(crate) fn raw(&self) -> Files {
        Files {
            context: std::ptr::from_ref(self).cast_mut().cast(),
            open,
            read,
            close,
            name: self.name.as_ptr().cast(),
            name_len: self.name.len(),
        }
    }

    /// What is wrong with the files, if that is why the load failed; `reason` is what the engine says.
    pub(crate) fn into_error(self, reason: &str) -> Option<Error> {
        let mut trouble = lock(&self.trouble);
        if let Some((file, source)) = trouble.failed.take() {
            return Some(Error::ReadFile { model: self.name.clone(), file, source });
        }
        let missing = |name: &str| trouble.missing.iter().any(|missing| missing == name);
        let file = if missing("model.bin") {
            "model.bin"
        } else if missing("vocabulary.json") && missing("vocabulary.txt") {
            "vocabulary.json"
        } else if missing("config.json") && reason.contains("config.json") {
            "config.json"
        } else {
            return None;
        };
        Some(Error::MissingFile { model: self.name.clone(), file: file.to_owned() })
    }
}

/// Answers 1 with a stream, 0 where there is no such file, -1 where it cannot be opened.
///
/// # Safety
///
/// `context` is that of [`Lent::raw`]; `name` has `name_len` bytes; the two others may be written.
unsafe extern "C" fn open(
    context: *mut c_void,
    name: *const c_char,
    name_len: usize,
    stream: *mut *mut c_void,
    length: *mut u64,
) -> i32 {
    // SAFETY: the shim hands back the context that it got, while `Lent` is borrowed by the load.
    let lent = unsafe { &*context.cast_const().cast::<Lent<'_>>() };
    // SAFETY: the shim gives a name with its length.
    let name = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(name.cast::<u8>(), name_len) });
    let opened = catch_unwind(AssertUnwindSafe(|| lent.files.open(&name))).unwrap_or_else(|_| Err(panicked()));
    let mut trouble = lock(&lent.trouble);
    match opened {
        Ok(Some(file)) => {
            let trouble = Arc::clone(&lent.trouble);
            let name = name.into_owned();
            let opened = Box::new(Stream { name, reader: file.reader, left: file.length, trouble });
            // SAFETY: the shim gives two places to write to.
            unsafe {
                length.write(file.length);
                stream.write(Box::into_raw(opened).cast());
            }
            1
        }
        Ok(None) => {
            trouble.missing.push(name.into_owned());
            0
        }
        Err(error) => {
            trouble.failed.get_or_insert((name.into_owned(), error));
            -1
        }
    }
}

/// Answers the number of bytes read, 0 at the end, -1 for a failure.
///
/// # Safety
///
/// `stream` came from [`open`] and is not closed; `into` has room for `room` bytes.
unsafe extern "C" fn read(stream: *mut c_void, into: *mut u8, room: usize) -> i64 {
    // SAFETY: the shim uses a stream from one thread at a time.
    let stream = unsafe { &mut *stream.cast::<Stream>() };
    // SAFETY: the shim gives a place with its size. It holds any bytes: `u8` has no invalid values, and the memory is
    // allocated. A reader must not look at them.
    let into = unsafe { std::slice::from_raw_parts_mut(into, room) };
    let room = usize::try_from(stream.left).map_or(room, |left| room.min(left));
    if room == 0 {
        return 0;
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        loop {
            match stream.reader.read(&mut into[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }));
    let result = result.unwrap_or_else(|_| Err(panicked())).and_then(|count| match count {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} bytes are missing", stream.left))),
        count if count > room => Err(io::Error::other("the reader gave more bytes than asked for")),
        count => Ok(count),
    });
    match result {
        Ok(count) => {
            stream.left -= count as u64;
            i64::try_from(count).unwrap_or(i64::MAX)
        }
        Err(error) => {
            lock(&stream.trouble).failed.get_or_insert((stream.name.clone(), error));
            -1
        }
    }
}

/// # Safety
///
/// `stream` came from [`open`] and is closed once.
unsafe extern "C" fn close(stream: *mut c_void) {
    // SAFETY: the box that `open` gave away.
    let stream = unsafe { Box::from_raw(stream.cast::<Stream>()) };
    // A reader whose drop panics must not unwind into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(stream)));
}

fn panicked() -> io::Error {
    io::Error::other("the reader panicked")
}

fn lock(trouble: &Mutex<Trouble>) -> MutexGuard<'_, Trouble> {
    trouble.lock().unwrap_or_else(PoisonError::into_inner)
}
