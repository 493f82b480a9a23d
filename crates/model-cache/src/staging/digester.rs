//! Hashing of content as the Hub names it.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use speech_flow_model_types::Digest;

/// A hash that is being computed, of the kind of the digest that is expected.
pub(crate) enum Digester {
    Sha256(Sha256),
    GitSha1(Sha1),
}

impl Digester {
    /// The hash of no bytes yet, for content of `size` bytes.
    pub(crate) fn new(expected: &Digest, size: u64) -> Self {
        match expected {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            // Git hashes the kind and the length of an object before its content.
            Digest::GitSha1(_) => Self::GitSha1(Sha1::new().chain_update(format!("blob {size}\0"))),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::GitSha1(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::Sha256(hash.finalize().into()),
            Self::GitSha1(hash) => Digest::GitSha1(hash.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git_hash_object() {
        let hash = |kind: Digest, content: &[u8]| {
            let mut digester = Digester::new(&kind, content.len() as u64);
            content.chunks(2).for_each(|part| digester.update(part));
            digester.finish().to_string()
        };
        let (sha256, sha1) = (Digest::Sha256([0; 32]), Digest::GitSha1([0; 20]));
        assert_eq!(hash(sha256, b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash(sha1, b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(hash(sha1, b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }
}
