//! What has to be done so that a snapshot is complete: the one place where that is decided.

use crate::RemoteFile;

/// What the cache knows of one file of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The snapshot has it, with its blob.
    Linked,
    /// The blob is there, but the snapshot does not name it yet.
    Blob,
    /// Some of it has arrived.
    Partial {
        /// Bytes that are on disk and need not be fetched again.
        bytes_present: u64,
    },
    /// Nothing of it is there.
    Absent,
}

/// What the planner may ask about the cache.
pub trait StoreView {
    /// The state of one file of the commit that is planned.
    fn state(&self, file: &RemoteFile) -> FileState;
}

/// One file that the snapshot needs, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// The file.
    pub file: RemoteFile,
    /// What the cache had when the plan was made.
    pub state: FileState,
}

impl PlannedFile {
    /// Bytes that the network has to bring.
    pub fn bytes_to_fetch(&self) -> u64 {
        match self.state {
            FileState::Linked | FileState::Blob => 0,
            FileState::Partial { bytes_present } => self.file.size.saturating_sub(bytes_present),
            FileState::Absent => self.file.size,
        }
    }
}

/// Every file of a model with its state, in the order in which the work is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Small files first, so that a wrong model fails early; then the largest first, so that no long
    /// one is left for the end.
    pub files: Vec<PlannedFile>,
}

/// Below this size a file is fetched before all others.
const SMALL_FILE_BYTES: u64 = 1 << 20;

impl Plan {
    /// Decides for each wanted file; files that share a digest are fetched once.
    pub fn new<'a>(wanted: impl IntoIterator<Item = &'a RemoteFile>, store: &dyn StoreView) -> Self {
        let mut files: Vec<PlannedFile> =
            wanted.into_iter().map(|file| PlannedFile { state: store.state(file), file: file.clone() }).collect();
        files.sort_by(|a, b| order_of(&a.file).cmp(&order_of(&b.file)));
        Self { files }
    }

    /// The files that are not whole on disk; of several with one digest, the first.
    pub fn to_fetch(&self) -> Vec<&PlannedFile> {
        let mut seen = std::collections::HashSet::new();
        self.files
            .iter()
            .filter(|planned| matches!(planned.state, FileState::Partial { .. } | FileState::Absent))
            .filter(|planned| seen.insert(planned.file.digest))
            .collect()
    }

    /// Whether nothing has to be done.
    pub fn is_complete(&self) -> bool {
        self.files.iter().all(|planned| planned.state == FileState::Linked)
    }

    /// Size of all files in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.files.iter().map(|planned| planned.file.size).sum()
    }

    /// Bytes that the network has to bring.
    pub fn bytes_to_fetch(&self) -> u64 {
        self.to_fetch().iter().map(|planned| planned.bytes_to_fetch()).sum()
    }

    /// The paths that a complete snapshot lacks.
    pub fn missing_paths(wanted: &[&RemoteFile], store: &dyn StoreView) -> Vec<String> {
        wanted
            .iter()
            .filter(|file| !matches!(store.state(file), FileState::Linked))
            .map(|file| file.path.to_string())
            .collect()
    }
}

fn order_of(file: &RemoteFile) -> (bool, std::cmp::Reverse<u64>, &crate::RelPath) {
    (file.size >= SMALL_FILE_BYTES, std::cmp::Reverse(file.size), &file.path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Digest;

    struct Store(HashMap<Digest, FileState>);

    impl StoreView for Store {
        fn state(&self, file: &RemoteFile) -> FileState {
            self.0.get(&file.digest).copied().unwrap_or(FileState::Absent)
        }
    }

    fn file(name: &str, size: u64, digest: u8) -> RemoteFile {
        RemoteFile {
            path: name.parse().expect("valid path"),
            size,
            digest: Digest::GitSha1([digest; 20]),
            blob_id: "0".repeat(40),
            xet_hash: None,
        }
    }

    #[test]
    fn small_files_come_first_and_then_the_largest() {
        let files = [file("b.bin", 2 << 20, 1), file("config.json", 9, 2), file("a.bin", 5 << 20, 3)];
        let plan = Plan::new(&files, &Store(HashMap::new()));
        let order: Vec<_> = plan.files.iter().map(|planned| planned.file.path.as_str()).collect();
        assert_eq!(order, ["config.json", "a.bin", "b.bin"]);
    }

    #[test]
    fn equal_content_is_fetched_once() {
        let files = [file("a.json", 7, 1), file("b.json", 7, 1)];
        let plan = Plan::new(&files, &Store(HashMap::new()));
        assert_eq!((plan.files.len(), plan.to_fetch().len(), plan.bytes_to_fetch()), (2, 1, 7));
    }

    fn state() -> impl Strategy<Value = FileState> {
        prop_oneof![
            Just(FileState::Linked),
            Just(FileState::Blob),
            Just(FileState::Absent),
            (0_u64..5000).prop_map(|bytes_present| FileState::Partial { bytes_present }),
        ]
    }

    proptest! {
        #[test]
        fn a_plan_is_complete_exactly_when_it_has_nothing_to_do(
            wanted in proptest::collection::vec((0_u64..(4 << 20), 0_u8..6), 0..12),
            states in proptest::collection::hash_map(0_u8..6, state(), 0..6),
        ) {
            let files: Vec<_> = wanted.iter().enumerate().map(|(n, (size, digest))| file(&format!("f{n}"), *size, *digest)).collect();
            let store = Store(states.into_iter().map(|(digest, state)| (Digest::GitSha1([digest; 20]), state)).collect());
            let plan = Plan::new(&files, &store);
            prop_assert_eq!(plan.files.len(), files.len());
            prop_assert!(plan.bytes_to_fetch() <= plan.bytes_total());
            if plan.is_complete() {
                prop_assert_eq!(plan.bytes_to_fetch(), 0);
                prop_assert!(plan.to_fetch().is_empty());
            }
            let again = Plan::new(&files, &store);
            prop_assert_eq!(plan, again);
        }
    }
}
