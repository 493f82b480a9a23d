//! Audio files as users send them: every format, damaged ones, and what the Python references make of them.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

mod damage;
mod formats;
mod reference;
mod wav;
