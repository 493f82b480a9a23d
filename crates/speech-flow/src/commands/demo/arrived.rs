//! What a download left on disk, read from its bytes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes that are looked at together. Room that is set aside, or skipped, reads as zeros; pseudo-random bytes have no
/// block of zeros.
const BLOCK: usize = 64 << 10;

/// Bytes of the fullest unfinished download in a repository's folder, which must be of pseudo-random bytes.
///
/// What the hub has sent would be more: the kernel held some of it, which a killed process never read.
pub(super) fn arrived(repository: &Path) -> io::Result<u64> {
    let mut most = 0;
    for partial in fs::read_dir(repository.join(".partial"))? {
        match File::open(partial?.path().join("data")) {
            Ok(data) => most = most.max(written(data)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
    Ok(most)
}

fn written(mut data: File) -> io::Result<u64> {
    let (mut block, mut bytes) = (Vec::with_capacity(BLOCK), 0);
    loop {
        block.clear();
        if data.by_ref().take(BLOCK as u64).read_to_end(&mut block)? == 0 {
            return Ok(bytes);
        }
        // A block that is half written ends in zeros.
        let zeros = block.iter().rev().take_while(|byte| **byte == 0).count();
        bytes += (block.len() - zeros) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn what_was_set_aside_or_skipped_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let partial = |name: &str| {
            let partial = folder.path().join(".partial").join(name);
            fs::create_dir_all(&partial).unwrap();
            File::create(partial.join("data")).unwrap()
        };
        let (less, more) = (partial("less"), partial("more"));
        fs::create_dir(folder.path().join(".partial/.stage-1")).unwrap();
        less.set_len(1 << 20).unwrap();
        less.write_all_at(&[7; 1000], 0).unwrap();
        more.set_len(1 << 20).unwrap();
        more.write_all_at(&[7; 1000], 0).unwrap();
        more.write_all_at(&[7; 2 * BLOCK], 4 * BLOCK as u64).unwrap();
        assert_eq!(arrived(folder.path()).unwrap(), 1000 + 2 * BLOCK as u64);
    }
}
