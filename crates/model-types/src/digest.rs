//! Content hashes.

use std::fmt;
use std::str::FromStr;

/// The hash that names a blob: SHA-256 for LFS and Xet files, git's blob SHA-1 for the rest.
///
/// `Display` is bare lower-case hexadecimal, which is both the Hub's ETag and the blob's file name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// SHA-256 of the content.
    Sha256([u8; 32]),
    /// SHA-1 of `blob <length>\0` followed by the content, as git names blobs.
    GitSha1([u8; 20]),
}

/// The text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither a SHA-256 (64 hexadecimal digits) nor a git SHA-1 (40)", .0.escape_debug())]
pub struct InvalidDigest(pub String);

impl Digest {
    /// The digest with its algorithm: `sha256:…` or `git-sha1:…`.
    pub fn prefixed(&self) -> String {
        match self {
            Self::Sha256(_) => format!("sha256:{self}"),
            Self::GitSha1(_) => format!("git-sha1:{self}"),
        }
    }

    /// Reads what [`Digest::prefixed`] wrote.
    ///
    /// # Errors
    /// [`InvalidDigest`] when the prefix is unknown or does not fit the digits.
    pub fn from_prefixed(text: &str) -> Result<Self, InvalidDigest> {
        let parsed = match text.split_once(':') {
            Some(("sha256", hex)) => hex.parse().ok().filter(|digest| matches!(digest, Self::Sha256(_))),
            Some(("git-sha1", hex)) => hex.parse().ok().filter(|digest| matches!(digest, Self::GitSha1(_))),
            _ => None,
        };
        parsed.ok_or_else(|| InvalidDigest(text.to_owned()))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::GitSha1(bytes) => bytes,
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A warm start prints a digest for each file and path: one write, not one for each byte.
        let mut text = [0; 64];
        let digits = self.bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let length = text.iter_mut().zip(digits).map(|(place, digit)| *place = HEX[usize::from(digit)]).count();
        f.pad(str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefixed())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digest = match text.len() {
            64 => decode(text).map(Self::Sha256),
            40 => decode(text).map(Self::GitSha1),
            _ => None,
        };
        digest.ok_or_else(|| InvalidDigest(text.to_owned()))
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// Upper case is refused: a blob has exactly one name.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.prefixed())
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_prefixed(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_digest_round_trip(sha256 in any::<[u8; 32]>(), sha1 in any::<[u8; 20]>()) {
            for digest in [Digest::Sha256(sha256), Digest::GitSha1(sha1)] {
                prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
                prop_assert_eq!(Digest::from_prefixed(&digest.prefixed()), Ok(digest));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }

    #[test]
    fn a_prefix_must_fit_its_digits() {
        let sha1 = "0".repeat(40);
        assert!(Digest::from_prefixed(&format!("sha256:{sha1}")).is_err());
        assert!(Digest::from_prefixed(&sha1).is_err());
    }
}
