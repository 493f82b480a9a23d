//! What the fuzz targets share: a bound on memory, and the rules that hold for every path and every error.

use std::error::Error;
use std::path::{Component, Path, PathBuf};

use peak_alloc::PeakAlloc;
use speech_flow_model_types::RelPath;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory that any parser may take, however short its input.
const ALLOWANCE: usize = 1 << 20;

/// Runs a parser on `input` bytes, and fails when it ever holds more than `factor` bytes for each of them.
///
/// A parser that believes a length or a count of its input is found this way, long before it exhausts a machine.
#[track_caller]
pub fn bounded<T>(input: usize, factor: usize, parse: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let parsed = parse();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(taken <= ALLOWANCE + factor * input, "{input} bytes of input took {taken} bytes of memory");
    parsed
}

/// A folder for the files of one input: in memory where the machine has such a place, as there are thousands a second.
#[must_use]
pub fn folder_in_memory() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).expect("a folder")
}

/// Fails when an error cannot be shown as it is: text from outside must not move the cursor of a terminal, nor
/// begin a line of its own in a log.
#[track_caller]
pub fn assert_fit_to_show(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert_one_line(&error.to_string());
        next = error.source();
    }
}

/// Fails when a text for people holds a control character.
#[track_caller]
pub fn assert_one_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
}

/// Fails when a path could leave the folder that it is joined to.
#[track_caller]
pub fn assert_stays_inside(path: &RelPath) {
    assert_only_names(Path::new(path.as_str()));
    let folder = Path::new("/cache/snapshot");
    let joined = folder.join(path);
    assert!(joined.starts_with(folder) && joined != folder, "{path:?} leaves its folder");
    assert_eq!(path.as_str().parse().as_ref(), Ok(path));
}

/// Fails when a path has anything but names in it.
#[track_caller]
pub fn assert_only_names(path: &Path) {
    assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?} has more than names");
}

/// Fails when a path is a file and also a folder with files, or stands in the list twice. The list is sorted.
#[track_caller]
pub fn assert_can_stand_together<'a>(paths: impl Iterator<Item = &'a RelPath> + Clone) {
    let all: std::collections::BTreeSet<&str> = paths.clone().map(RelPath::as_str).collect();
    assert_eq!(all.len(), paths.clone().count(), "a path twice");
    assert!(paths.clone().is_sorted(), "not sorted");
    for path in paths {
        for (at, _) in path.as_str().match_indices('/') {
            assert!(!all.contains(&path.as_str()[..at]), "a folder of {path:?} is a file");
        }
    }
}
