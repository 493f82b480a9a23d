//! The model manager against the embedded hub, on loopback.

mod ensure;
mod fallback;
mod scene;
mod trust;
mod versions;
