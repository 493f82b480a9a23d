//! Where a model runs and in which number format.

use std::fmt;
use std::str::FromStr;

/// The device that a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The cores of this machine.
    Cpu,
    /// The CUDA GPU of this number, counted from 0.
    Cuda(u32),
}

impl Device {
    /// The number of the kind of device in the shim's interface, and the index among its kind.
    pub(crate) fn raw(self) -> (i32, i32) {
        match self {
            Self::Cpu => (0, 0),
            Self::Cuda(index) => (1, i32::try_from(index).unwrap_or(i32::MAX)),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// The number format of the weights and of the computation.
///
/// Source: `ComputeType` in CTranslate2's `include/ctranslate2/types.h`; the order here is the order there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComputeType {
    /// That of the saved weights, or the nearest that the device computes well.
    Default,
    /// The fastest that the device has.
    Auto,
    /// 32 bit.
    Float32,
    /// Weights in 8 bit, the rest in the float type of the saved weights or the nearest that the device has.
    Int8,
    /// Weights in 8 bit, the rest in 32 bit.
    Int8Float32,
    /// Weights in 8 bit, the rest in 16 bit.
    Int8Float16,
    /// Weights in 8 bit, the rest in brain float.
    Int8Bfloat16,
    /// Weights in 16 bit integers, the rest in 32 bit floats.
    Int16,
    /// 16 bit.
    Float16,
    /// Brain float.
    Bfloat16,
}

/// Every compute type with the name that CTranslate2 gives it; the position is its number.
const NAMES: [(ComputeType, &str); 10] = [
    (ComputeType::Default, "default"),
    (ComputeType::Auto, "auto"),
    (ComputeType::Float32, "float32"),
    (ComputeType::Int8, "int8"),
    (ComputeType::Int8Float32, "int8_float32"),
    (ComputeType::Int8Float16, "int8_float16"),
    (ComputeType::Int8Bfloat16, "int8_bfloat16"),
    (ComputeType::Int16, "int16"),
    (ComputeType::Float16, "float16"),
    (ComputeType::Bfloat16, "bfloat16"),
];

impl ComputeType {
    /// The name that CTranslate2 and faster-whisper give it, such as `int8_float16`.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no compute type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a compute type such as `int8` or `float32`")]
pub struct InvalidComputeType(String);

impl FromStr for ComputeType {
    type Err = InvalidComputeType;

    fn from_str(text: &str) -> Result<Self, InvalidComputeType> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(compute_type, _)| *compute_type).ok_or_else(|| InvalidComputeType(text.to_owned()))
    }
}

/// How a model is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// The device that it runs on.
    pub device: Device,
    /// The number format that is asked for; the loaded model says which one it has.
    pub compute_type: ComputeType,
    /// OpenMP threads of each replica, at least 1.
    pub intra_threads: usize,
    /// Batches that run at once, at least 1. Replicas share the weights.
    pub replicas: usize,
}

impl Default for ModelConfig {
    /// One replica with one thread on the CPU, in the format of the saved weights.
    fn default() -> Self {
        Self { device: Device::Cpu, compute_type: ComputeType::Default, intra_threads: 1, replicas: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compute_type_is_found_by_its_name_and_stands_at_its_number() {
        for (number, (compute_type, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(compute_type as usize, number);
            assert_eq!(name.parse(), Ok(compute_type));
            assert_eq!(compute_type.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "INT8", "int4", "int8 "] {
            assert!(text.parse::<ComputeType>().is_err(), "accepted {text:?}");
        }
    }
}
