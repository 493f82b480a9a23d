//! OpenMP threads that sleep between two tasks instead of spinning.
//!
//! The threads of GNU OpenMP wait for their next piece of work in a loop that burns a core, for milliseconds, before
//! they sleep. CTranslate2 has thousands of such pieces in one inference, so on cores that others use too, spinning
//! costs most of the time. Measured with Whisper `tiny.en`, float32, beam 5, six windows, 2 threads on 2 cores that
//! other processes kept busy (load 3 to 5):
//!
//! | policy                   | wall s    | CPU s     |
//! |--------------------------|-----------|-----------|
//! | none (libgomp's default) | 48.3 51.6 | 23.8 22.3 |
//! | `OMP_WAIT_POLICY=passive`| 12.8 13.3 | 6.2 6.2   |
//! | `GOMP_SPINCOUNT=0`       | 15.2      | 6.1       |
//! | `GOMP_SPINCOUNT=1000`    | 21.1      | 7.0       |
//!
//! libgomp has no function for it: it reads the environment once, in the initializer that runs when it is loaded. So
//! the variable is set just before the engine is opened, unless somebody has chosen already.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicPtr, Ordering};

/// What is set.
const SETTING: &CStr = c"OMP_WAIT_POLICY=passive";
/// Who has one of these has chosen.
const CHOICES: [&[u8]; 2] = [b"OMP_WAIT_POLICY=", b"GOMP_SPINCOUNT="];

unsafe extern "C" {
    /// The environment of the process: pointers to `NAME=value`, then null. Source: `environ(7)`.
    static mut environ: *mut *mut c_char;
}

/// Sets the policy for the library that is opened next. The caller holds the lock under which libraries are opened.
pub(crate) fn set_passive() {
    // Not `setenv`: it may move the list while another thread, say one that resolves a name, walks it in C. Here a
    // longer copy is made whole and then put in the place of the old list, which stays as it is. Both are leaked.
    //
    // SAFETY: `environ` is a pointer of the C library, aligned, that lives as long as the process.
    let list = unsafe { AtomicPtr::from_ptr(&raw mut environ) };
    let old = list.load(Ordering::Acquire);
    let mut new = Vec::new();
    if !old.is_null() {
        // SAFETY: the list ends with null, and each pointer before it may be read. It changes only through `setenv`
        // and its kin, whose callers in Rust promise that no other thread uses the environment meanwhile.
        new.extend((0..).map(|index| unsafe { *old.add(index) }).take_while(|variable| !variable.is_null()));
    }
    let is_choice = |variable: &*mut c_char| {
        // SAFETY: a variable is a text that ends with a zero byte, and stays as long as it is in the list.
        let text = unsafe { CStr::from_ptr(*variable) }.to_bytes();
        CHOICES.iter().any(|name| text.starts_with(name))
    };
    if new.iter().any(is_choice) {
        return;
    }
    new.push(CString::from(SETTING).into_raw());
    new.push(std::ptr::null_mut());
    list.store(Box::leak(new.into_boxed_slice()).as_mut_ptr(), Ordering::Release);
}
