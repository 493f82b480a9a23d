//! The float tensors of an ONNX file, and nothing else of it.
//!
//! The graph is not interpreted: the forward pass is written by hand, so only the weights are wanted. A file is
//! protobuf: keys (field number and wire type) and values; see the messages `ModelProto`, `GraphProto` and
//! `TensorProto`. Every length is checked against the bytes that are there, nothing recurses, and tensors are slices
//! of the file.
//!
//! Source: `onnx/onnx.proto` and the protobuf encoding guide.

/// A float tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor<'a> {
    /// Name of the weight in the graph.
    pub(crate) name: &'a str,
    /// Sizes, outermost first.
    pub(crate) shape: Vec<u64>,
    /// The numbers, little-endian, 4 bytes each.
    pub(crate) bytes: &'a [u8],
}

impl Tensor<'_> {
    /// The numbers.
    pub(crate) fn values(&self) -> Vec<f32> {
        let (words, _) = self.bytes.as_chunks();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    }
}

/// Why the bytes are not a model whose weights can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OnnxError {
    /// The protobuf is cut or damaged.
    #[error("the protobuf is damaged at byte {at} of a message")]
    Damaged {
        /// Where in the message that is read.
        at: usize,
    },
    /// There is no graph.
    #[error("the file holds no graph")]
    NoGraph,
    /// More tensors or dimensions than a model of this kind can have.
    #[error("the graph has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The data of a tensor is not where it should be.
    #[error("tensor `{name}` has no data of its own")]
    NoData {
        /// The tensor's name.
        name: String,
    },
    /// The data of a tensor is not as long as its shape says.
    #[error("tensor `{name}` has {bytes} bytes, which its shape {shape:?} does not fit")]
    Length {
        /// The tensor's name.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Bytes that are there.
        bytes: usize,
    },
}

const MAX_TENSORS: usize = 256;
const MAX_RANK: usize = 8;
const FLOAT: u64 = 1;

/// The float tensors of the model `bytes`, in the order of the file.
///
/// # Errors
///
/// The bytes are not a model, or a tensor's data is missing or of another length than its shape says.
pub(crate) fn float_tensors(bytes: &[u8]) -> Result<Vec<Tensor<'_>>, OnnxError> {
    let graph = Fields(bytes, 0).find_map(|field| match field {
        Ok((7, Value::Bytes(graph))) => Some(Ok(graph)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let graph = graph.ok_or(OnnxError::NoGraph)??;
    let mut tensors = Vec::new();
    let mut seen = 0;
    for field in Fields(graph, 0) {
        if let (5, Value::Bytes(message)) = field? {
            seen += 1;
            if seen > MAX_TENSORS {
                return Err(OnnxError::TooMany { what: "tensors", limit: MAX_TENSORS });
            }
            tensors.extend(tensor(message)?);
        }
    }
    Ok(tensors)
}

/// The tensor in `message`, where it has floats.
fn tensor(message: &[u8]) -> Result<Option<Tensor<'_>>, OnnxError> {
    let (mut shape, mut kind, mut name, mut data) = (Vec::new(), 0, "", None);
    for field in Fields(message, 0) {
        match field? {
            (1, Value::Number(size)) => shape.push(size),
            (1, Value::Bytes(packed)) => {
                let mut at = 0;
                while at < packed.len() {
                    shape.push(varint(packed, &mut at)?);
                    check_rank(&shape)?;
                }
            }
            (2, Value::Number(number)) => kind = number,
            (8, Value::Bytes(text)) => name = std::str::from_utf8(text).map_err(|_| OnnxError::Damaged { at: 0 })?,
            // `float_data`, packed, has the layout of `raw_data`.
            (4 | 9, Value::Bytes(numbers)) => data = Some(numbers),
            _ => {}
        }
        check_rank(&shape)?;
    }
    if kind != FLOAT {
        return Ok(None);
    }
    let bytes = data.ok_or_else(|| OnnxError::NoData { name: shown(name) })?;
    let expected = shape.iter().try_fold(4_u64, |product, size| product.checked_mul(*size));
    if expected != Some(bytes.len() as u64) {
        return Err(OnnxError::Length { name: shown(name), shape, bytes: bytes.len() });
    }
    Ok(Some(Tensor { name, shape, bytes }))
}

/// A name of the file, short and on one line.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}

fn check_rank(shape: &[u64]) -> Result<(), OnnxError> {
    if shape.len() > MAX_RANK { Err(OnnxError::TooMany { what: "dimensions", limit: MAX_RANK }) } else { Ok(()) }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed-size number; no field of interest has one.
    Fixed,
}

/// The fields of a message, from the byte at the second place on. Ends after the first error.
struct Fields<'a>(&'a [u8], usize);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.1 >= self.0.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.1 = self.0.len();
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<(u64, Value<'a>), OnnxError> {
        let Self(bytes, at) = self;
        let key = varint(bytes, at)?;
        let value = match key & 7 {
            0 => Value::Number(varint(bytes, at)?),
            1 => take(bytes, at, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(bytes, at)?;
                Value::Bytes(take(bytes, at, length)?)
            }
            5 => take(bytes, at, 4).map(|_| Value::Fixed)?,
            _ => return Err(OnnxError::Damaged { at: *at }),
        };
        Ok((key >> 3, value))
    }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, length: u64) -> Result<&'a [u8], OnnxError> {
    let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
    let taken = end.and_then(|end| bytes.get(*at..end)).ok_or(OnnxError::Damaged { at: *at })?;
    *at += taken.len();
    Ok(taken)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, OnnxError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(OnnxError::Damaged { at: *at })?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(OnnxError::Damaged { at: *at })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = encode(number << 3 | 2);
        bytes.extend(encode(content.len() as u64));
        bytes.extend(content);
        bytes
    }

    fn encode(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
        field(7, &tensors.iter().flat_map(|tensor| field(5, tensor)).collect::<Vec<u8>>())
    }

    fn message(name: &str, shape: &[u64], values: &[f32]) -> Vec<u8> {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dimensions: Vec<u8> = shape.iter().flat_map(|size| encode(*size)).collect();
        [field(1, &dimensions), vec![0x10, 1], field(8, name.as_bytes()), field(9, &data)].concat()
    }

    proptest! {
        #[test]
        fn tensors_come_back_as_they_were_written(
            name in "[a-z/:.]{1,40}",
            shape in proptest::collection::vec(1_u64..5, 0..5),
            numbers in proptest::collection::vec(any::<u64>(), 0..10),
        ) {
            let count = shape.iter().product::<u64>() as usize;
            let values: Vec<f32> = (0..count).map(|index| index as f32 / 3.0).collect();
            let bytes = model(&[message(&name, &shape, &values)]);
            let read = float_tensors(&bytes).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].name, name);
            prop_assert_eq!(&read[0].shape, &shape);
            prop_assert_eq!(read[0].values(), values);
            for number in numbers {
                let bytes = encode(number);
                let mut at = 0;
                prop_assert_eq!(varint(&bytes, &mut at), Ok(number));
                prop_assert_eq!(at, bytes.len());
            }
        }

        #[test]
        fn any_bytes_give_tensors_within_them_or_an_error(
            places in proptest::collection::vec((0_usize..60, any::<u8>()), 1..4),
        ) {
            let mut bytes = model(&[message("w", &[2, 3], &[1.0; 6])]);
            let length = bytes.len();
            for (place, byte) in places {
                bytes[place % length] = byte;
            }
            for tensor in float_tensors(&bytes).unwrap_or_default() {
                prop_assert_eq!(tensor.shape.iter().product::<u64>() * 4, tensor.bytes.len() as u64);
                prop_assert!(tensor.bytes.len() < length);
            }
        }
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        let mut bytes = encode(7 << 3 | 2);
        bytes.extend(encode(u64::MAX));
        assert_eq!(float_tensors(&bytes), Err(OnnxError::Damaged { at: bytes.len() }));
    }

    #[test]
    fn data_that_does_not_fit_the_shape_is_refused() {
        let bytes = model(&[message("w", &[7], &[1.0; 6])]);
        assert!(matches!(float_tensors(&bytes), Err(OnnxError::Length { bytes: 24, .. })));
        let bytes = model(&[message("w", &[1 << 62, 4], &[])]);
        assert!(matches!(float_tensors(&bytes), Err(OnnxError::Length { bytes: 0, .. })));
    }

    #[test]
    fn every_cut_of_a_model_is_refused() {
        let bytes = model(&[message("w", &[2, 3], &[1.0; 6])]);
        for length in 0..bytes.len() {
            assert!(float_tensors(&bytes[..length]).is_err(), "{length} bytes pass");
        }
    }

    #[test]
    fn tensors_and_dimensions_are_bounded() {
        let many = vec![message("w", &[1], &[1.0]); MAX_TENSORS + 1];
        assert!(matches!(float_tensors(&model(&many)), Err(OnnxError::TooMany { what: "tensors", .. })));
        let deep = message("w", &[1; MAX_RANK + 1], &[1.0]);
        assert!(matches!(float_tensors(&model(&[deep])), Err(OnnxError::TooMany { what: "dimensions", .. })));
    }
}
