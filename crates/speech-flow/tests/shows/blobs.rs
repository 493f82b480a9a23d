//! Whether blobs are what their names say, found out by programs that are not under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::files_below;

/// What stands under `models--*/blobs` in a cache, sorted.
pub(crate) fn blobs_of(cache: &Path) -> Vec<PathBuf> {
    let is_blob = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("blobs"));
    files_below(cache).into_iter().filter(is_blob).collect()
}

/// Hashes every blob of a cache with `sha256sum` and `git`; gives how many there are.
#[track_caller]
pub(crate) fn every_blob_is_its_name(cache: &Path) -> usize {
    let blobs = blobs_of(cache);
    for blob in &blobs {
        let name = blob.file_name().and_then(|name| name.to_str()).expect("a name");
        let actual = match name.len() {
            64 => first_word("sha256sum", &[], blob),
            40 => first_word("git", &["hash-object", "--no-filters"], blob),
            _ => panic!("`{}` is no blob", blob.display()),
        };
        assert_eq!(actual, name, "`{}` holds other bytes", blob.display());
    }
    blobs.len()
}

#[track_caller]
fn first_word(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect("it starts");
    assert!(output.status.success(), "{program} {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned()
}
