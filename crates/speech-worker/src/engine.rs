//! The models as engines of the scheduler.

pub(crate) mod lid;
pub(crate) mod whisper;
