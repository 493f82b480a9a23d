//! One digest for all the files of a model.

use sha2::{Digest as _, Sha256};

use crate::{Digest, RelPath};

/// The digest of a set of files: SHA-256 over `path NUL size NUL digest LF` of each, sorted by path, with the
/// size in decimal and the digest with its algorithm (`sha256:…`, `git-sha1:…`).
///
/// Two folders with the same files have the same digest, whatever repository or commit they came from.
///
/// # Examples
/// ```
/// let digest = speech_flow_model_types::file_set_digest([]);
/// assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// ```
pub fn file_set_digest<'a>(files: impl IntoIterator<Item = (&'a RelPath, u64, &'a Digest)>) -> Digest {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|a, b| a.0.cmp(b.0));
    let mut hasher = Sha256::new();
    for (path, size, digest) in files {
        hasher.update(format!("{path}\0{size}\0{}\n", digest.prefixed()));
    }
    Digest::Sha256(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_files_does_not_matter_and_everything_else_does() {
        let (a, b): (RelPath, RelPath) = ("a".parse().expect("valid"), "b".parse().expect("valid"));
        let (one, two) = (Digest::GitSha1([1; 20]), Digest::GitSha1([2; 20]));
        let digest = file_set_digest([(&a, 1, &one), (&b, 2, &two)]);
        assert_eq!(digest, file_set_digest([(&b, 2, &two), (&a, 1, &one)]));
        assert_ne!(digest, file_set_digest([(&a, 1, &two), (&b, 2, &one)]));
        assert_ne!(digest, file_set_digest([(&a, 2, &one), (&b, 1, &two)]));
    }
}
