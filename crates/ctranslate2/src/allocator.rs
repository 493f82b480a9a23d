//! Large blocks of memory that are used again instead of going back to the system after each step.
//!
//! Each layer of an encoder takes blocks of megabytes, and more than a hundred where CTranslate2 computes its attention.
//! The C library's allocator maps blocks of that size anew and unmaps them when they are freed, so in every layer the
//! kernel clears them again, page by page. Measured with `tiny.en`, int8, one window, one thread: 0.67 s with the
//! allocator's defaults, 0.55 s with large blocks kept.
//!
//! One arena, because the others are made of pieces of 64 MB: blocks leave holes there, and larger ones do not fit.
//!
//! Source of the settings: `mallopt(3)`, and "Malloc Tunable Parameters" in the manual of the GNU C library. Other C
//! libraries are left as they are.

use std::ffi::OsString;

/// Makes the allocator keep large blocks. Call it before the process has threads: an arena that is there stays.
///
/// Nothing depends on it but speed. `variables` are the names of those in the environment: settings that the user made
/// by `MALLOC_…` or `GLIBC_TUNABLES` stay.
pub fn keep_large_blocks(mut variables: impl Iterator<Item = OsString>) {
    let is_chosen = |name: &str| name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES";
    if variables.any(|name| name.to_str().is_some_and(is_chosen)) {
        return;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    gnu::keep_large_blocks();
}

/// Gives free memory back, where the allocator has been told to keep it: after a model has gone, or its loading has
/// left holes that no later step fills.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    gnu::give_back();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Blocks from this size on are mapped. No block of a step is as large.
    const MAPPED_FROM: c_int = 1 << 30;
    /// So much may be free at the end of the heap before it is given back.
    const KEPT: c_int = 1 << 30;

    // Source: `malloc.h` of the GNU C library.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(param: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    static KEEPS: AtomicBool = AtomicBool::new(false);

    pub(super) fn keep_large_blocks() {
        KEEPS.store(true, Ordering::Relaxed);
        for (parameter, value) in [(M_MMAP_THRESHOLD, MAPPED_FROM), (M_TRIM_THRESHOLD, KEPT), (M_ARENA_MAX, 1)] {
            // SAFETY: the function takes any numbers and its own lock; it answers 0 to what it does not know, and
            // then the allocator works as before.
            unsafe { mallopt(parameter, value) };
        }
    }

    pub(super) fn give_back() {
        if KEEPS.load(Ordering::Relaxed) {
            // SAFETY: the function takes the allocator's locks and touches free memory only.
            unsafe { malloc_trim(0) };
        }
    }
}
