//! Where everything stands: the only module that builds paths.
//!
//! ```text
//! ROOT/                                 layout of Python's `huggingface_hub` 2.4
//!   CACHEDIR.TAG                        tells back-up tools to skip the folder
//!   models--ORG--NAME/
//!     blobs/DIGEST                      whole, verified content; or a relative link into ROOT/blobs/
//!     snapshots/COMMIT/a/b.json         relative link to blobs/DIGEST, or a plain file
//!     refs/main                         the commit a branch or tag stood for
//!     trees/COMMIT.json                 the files of the commit with sizes and hashes
//!     .no_exist/COMMIT/a/b.json         empty: the commit is known to lack the file
//!     .partial/DIGEST.ID/               ours: one writer's unfinished download
//!       owner.json                      who writes it; its modification time is the heartbeat
//!       journal                         ranges of `data` that are safe on disk
//!       data                            the bytes, allocated to their full length
//!     .going/COMMIT.ID/                 ours: a snapshot on its way out; `DIGEST.ID` is a blob so
//!     .partial/.stage-ID                a link, ref or listing just before it is renamed to its place
//!   blobs/XX/XETHASH                    payloads that several repositories share, written by hf_xet
//!   .locks/models--ORG--NAME/ETAG.lock  `flock`ed while a blob is downloaded, by the Python client too
//! STATE/                                ours: out of the way of the `hf` command
//!   leases/  pins/  usage/              who uses what
//!   prepared/models--…/COMMIT/          what engines made of a model's weights, to load them faster
//!   reservations/ID.json                space that running downloads will still take
//!   quarantine/DIGEST-TIME-ID/          `reason.json`, and `data` as long as it is small enough
//! ```
//!
//! The partials stand in the repository's folder because the last step of a download is a rename,
//! which must not cross volumes; `hf cache` looks at `blobs`, `refs` and `snapshots` only.
//! Files are made with mode 0666 and folders with 0777, less the umask, so that other users' readers
//! can read what the umask lets them.
//!
//! Source: `huggingface_hub` 2.4, `file_download.py`, `_tree_cache.py`, `utils/_shared_blobs.py`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use speech_flow_model_types::{CommitHash, Digest, RelPath, RepoId, Revision};

/// Content of `CACHEDIR.TAG`. Source: the cache directory tagging specification, bford.info/cachedir.
pub(crate) const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file marks a folder of downloaded models; it can be fetched again.\n\
    # See https://bford.info/cachedir/\n";

/// Name of the folder of partials inside a repository's folder.
pub(crate) const PARTIAL_FOLDER: &str = ".partial";

/// How names of prepared links, refs and listings start in the folder of partials.
pub(crate) const STAGED_PREFIX: &str = ".stage-";

/// The paths of one cache and its state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// The layout of a cache. Nothing is touched.
    pub fn new(root: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), state: state.into() }
    }

    /// The cache's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of what is ours alone.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// `CACHEDIR.TAG`.
    pub fn cachedir_tag(&self) -> PathBuf {
        self.root.join("CACHEDIR.TAG")
    }

    /// A repository's folder.
    pub fn repo(&self, repo: &RepoId) -> PathBuf {
        self.root.join(repo.folder())
    }

    /// A repository's folder of blobs.
    pub fn blobs(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join("blobs")
    }

    /// A blob under its final name.
    pub fn blob(&self, repo: &RepoId, digest: &Digest) -> PathBuf {
        self.blobs(repo).join(digest.to_string())
    }

    /// A repository's folder of snapshots.
    pub fn snapshots(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join("snapshots")
    }

    /// The snapshot of a commit.
    pub fn snapshot(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.snapshots(repo).join(commit.as_str())
    }

    /// A file of a snapshot.
    pub fn snapshot_file(&self, repo: &RepoId, commit: &CommitHash, path: &RelPath) -> PathBuf {
        self.snapshot(repo, commit).join(path)
    }

    /// What a file's link in a snapshot says: the way from the link's folder to the blob.
    pub fn link_target(&self, path: &RelPath, digest: &Digest) -> PathBuf {
        let up = "../".repeat(path.depth() + 2);
        PathBuf::from(format!("{up}blobs/{digest}"))
    }

    /// A repository's folder of refs.
    pub fn refs(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join("refs")
    }

    /// The file that says which commit a branch or tag stands for.
    pub fn reference(&self, repo: &RepoId, revision: &Revision) -> PathBuf {
        self.refs(repo).join(revision.as_str())
    }

    /// A repository's folder of listings.
    pub fn trees(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join("trees")
    }

    /// The listing of a commit.
    pub fn tree(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.trees(repo).join(format!("{commit}.json"))
    }

    /// The empty file that says that a commit lacks a path.
    pub fn no_exist(&self, repo: &RepoId, commit: &CommitHash, path: &RelPath) -> PathBuf {
        self.no_exists(repo).join(commit.as_str()).join(path)
    }

    /// A repository's folder of files known to be missing.
    pub fn no_exists(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join(".no_exist")
    }

    /// A repository's folder of partials.
    pub fn partials(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join(PARTIAL_FOLDER)
    }

    /// One writer's folder for one blob.
    pub fn partial(&self, repo: &RepoId, digest: &Digest, id: &str) -> PathBuf {
        self.partials(repo).join(format!("{digest}.{id}"))
    }

    /// Where the next content of a link, ref or listing is prepared: on the repository's volume, but in
    /// no folder that the Python client's tools list, so that a crash leaves nothing that they stumble on.
    pub fn repo_staging(&self, repo: &RepoId, id: &str) -> PathBuf {
        self.partials(repo).join(format!("{STAGED_PREFIX}{id}"))
    }

    /// A repository's folder of what is being removed; as deep as `snapshots` and `blobs`, so links still lead.
    pub fn going(&self, repo: &RepoId) -> PathBuf {
        self.repo(repo).join(".going")
    }

    /// Where a snapshot or a blob, given by its name, is put aside by one cleaner.
    pub fn going_entry(&self, repo: &RepoId, name: &str, id: &str) -> PathBuf {
        self.going(repo).join(format!("{name}.{id}"))
    }

    /// The name of a snapshot aside once its removal is decided.
    pub fn doomed(aside: &Path) -> PathBuf {
        let mut name = aside.as_os_str().to_owned();
        name.push(".doomed");
        PathBuf::from(name)
    }

    /// Whether something aside has that name.
    pub fn is_doomed(aside: &Path) -> bool {
        aside.extension().is_some_and(|extension| extension == "doomed")
    }

    /// The file by which a cleaner says that it considers a snapshot.
    pub fn intent(&self, repo: &RepoId, commit: &CommitHash, id: &str) -> PathBuf {
        self.going(repo).join(format!("{commit}.{id}.intent"))
    }

    /// Whether a file's name is that of an intent to remove a commit.
    pub fn is_intent(name: &str, commit: &CommitHash) -> bool {
        name.ends_with(".intent") && name.split_once('.').is_some_and(|(named, _)| named == commit.as_str())
    }

    /// The digest and the writer's id that a partial's folder name says.
    pub fn parse_partial(name: &str) -> Option<(Digest, &str)> {
        let (digest, id) = name.split_once('.')?;
        let valid = !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some((digest.parse().ok()?, id)).filter(|_| valid)
    }

    /// The bytes of a partial.
    pub fn partial_data(partial: &Path) -> PathBuf {
        partial.join("data")
    }

    /// The journal of a partial.
    pub fn partial_journal(partial: &Path) -> PathBuf {
        partial.join("journal")
    }

    /// The owner's record and heartbeat of a partial.
    pub fn partial_owner(partial: &Path) -> PathBuf {
        partial.join("owner.json")
    }

    /// The folder of all locks.
    pub fn locks(&self) -> PathBuf {
        self.root.join(".locks")
    }

    /// A repository's folder of locks.
    pub fn repo_locks(&self, repo: &RepoId) -> PathBuf {
        self.locks().join(repo.folder())
    }

    /// The lock of one blob: the same file as the Python client's.
    pub fn blob_lock(&self, repo: &RepoId, digest: &Digest) -> PathBuf {
        self.repo_locks(repo).join(format!("{digest}.lock"))
    }

    /// The store of payloads that repositories share.
    pub fn shared_blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The file that marks the shared store as such.
    pub fn shared_blobs_marker(&self) -> PathBuf {
        self.shared_blobs().join(".huggingface-shared-blobs")
    }

    /// Folder of leases in the state folder.
    pub fn leases(&self) -> PathBuf {
        self.state.join("leases")
    }

    /// One lease in a folder of leases.
    pub fn lease(folder: &Path, repo: &RepoId, commit: &CommitHash, id: &str) -> PathBuf {
        folder.join(format!("{}.{commit}.{id}.json", repo.folder()))
    }

    /// The repository and commit that a lease's file name says.
    pub fn parse_lease(name: &str) -> Option<(RepoId, CommitHash)> {
        let (rest, _id) = name.strip_suffix(".json")?.rsplit_once('.')?;
        let (folder, commit) = rest.rsplit_once('.')?;
        Some((RepoId::from_folder(folder)?, commit.parse().ok()?))
    }

    /// Folder of pins in the state folder.
    pub fn pins(&self) -> PathBuf {
        self.state.join("pins")
    }

    /// A repository's folder of pins.
    pub fn repo_pins(&self, repo: &RepoId) -> PathBuf {
        self.pins().join(repo.folder())
    }

    /// One pin in a repository's folder, by the name that `pins` gives it.
    pub fn pin(&self, repo: &RepoId, name: &str) -> PathBuf {
        self.repo_pins(repo).join(format!("{name}.json"))
    }

    /// What is known of one commit: what was asked, fetched, and when.
    pub fn usage_record(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.usage().join(repo.folder()).join(format!("{commit}.json"))
    }

    /// The file whose modification time says when a commit was last used.
    pub fn usage_mark(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.usage().join(repo.folder()).join(format!("{commit}.used"))
    }

    /// Folder of usage records in the state folder.
    pub fn usage(&self) -> PathBuf {
        self.state.join("usage")
    }

    /// Folder of what engines made of the weights of a commit. It goes when the snapshot goes.
    pub fn prepared(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.repo_prepared(repo).join(commit.as_str())
    }

    /// Folder of what engines made of the weights of a repository.
    pub fn repo_prepared(&self, repo: &RepoId) -> PathBuf {
        self.state.join("prepared").join(repo.folder())
    }

    /// Folder of space reservations in the state folder.
    pub fn reservations(&self) -> PathBuf {
        self.state.join("reservations")
    }

    /// One reservation.
    pub fn reservation(&self, id: &str) -> PathBuf {
        self.reservations().join(format!("{id}.json"))
    }

    /// Folder of quarantined content in the state folder.
    pub fn quarantine(&self) -> PathBuf {
        self.state.join("quarantine")
    }

    /// One entry of the quarantine.
    pub fn quarantined(&self, digest: &Digest, time: &str, id: &str) -> PathBuf {
        self.quarantine().join(format!("{digest}-{time}-{id}"))
    }

    /// The content of a quarantined file.
    pub fn quarantined_data(entry: &Path) -> PathBuf {
        entry.join("data")
    }

    /// Why the content is in quarantine.
    pub fn quarantined_reason(entry: &Path) -> PathBuf {
        entry.join("reason.json")
    }

    /// A name beside `path` under which the next content is prepared; `id` makes it unique.
    pub fn staging_name(path: &Path, id: &str) -> PathBuf {
        let mut name = OsString::from(".");
        // A long file name is left out: with its suffix it would not fit a folder entry any more.
        name.extend(path.file_name().filter(|name| name.len() <= 200));
        name.push(format!(".{id}.tmp"));
        path.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new("/c/hub", "/c/.speech-flow")
    }

    fn repo() -> RepoId {
        "openai/whisper-tiny".parse().expect("valid")
    }

    #[test]
    fn paths_are_those_of_the_python_client() {
        let (layout, repo) = (layout(), repo());
        let commit: CommitHash = "a".repeat(40).parse().expect("valid");
        let digest = Digest::GitSha1([0xbb; 20]);
        let path: RelPath = "onnx/model.onnx".parse().expect("valid");
        let folder = "/c/hub/models--openai--whisper-tiny";
        #[track_caller]
        fn check(path: PathBuf, expected: String) {
            assert_eq!(path, Path::new(&expected));
        }
        check(layout.blob(&repo, &digest), format!("{folder}/blobs/{}", "bb".repeat(20)));
        check(layout.snapshot_file(&repo, &commit, &path), format!("{folder}/snapshots/{commit}/onnx/model.onnx"));
        check(layout.tree(&repo, &commit), format!("{folder}/trees/{commit}.json"));
        check(layout.no_exist(&repo, &commit, &path), format!("{folder}/.no_exist/{commit}/onnx/model.onnx"));
        check(layout.reference(&repo, &"refs/pr/1".parse().expect("valid")), format!("{folder}/refs/refs/pr/1"));
        check(layout.blob_lock(&repo, &digest), format!("/c/hub/.locks/models--openai--whisper-tiny/{digest}.lock"));
    }

    #[test]
    fn a_link_leads_from_its_folder_to_the_blob() {
        let digest = Digest::GitSha1([1; 20]);
        for (path, up) in [("config.json", "../../"), ("onnx/model.onnx", "../../../")] {
            let target = layout().link_target(&path.parse().expect("valid"), &digest);
            assert_eq!(target, Path::new(&format!("{up}blobs/{digest}")));
        }
    }

    #[test]
    fn names_of_partials_round_trip_and_others_are_refused() {
        let digest = Digest::Sha256([7; 32]);
        let path = layout().partial(&repo(), &digest, "0123456789abcdef");
        let name = path.file_name().and_then(|name| name.to_str()).expect("text");
        assert_eq!(Layout::parse_partial(name), Some((digest, "0123456789abcdef")));
        for name in ["", "x", ".clock-1", &format!("{digest}"), &format!("{digest}."), &format!("{digest}.xyz")] {
            assert_eq!(Layout::parse_partial(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_lease_says_whose_it_is() {
        let commit: CommitHash = "a".repeat(40).parse().expect("valid");
        let path = Layout::lease(Path::new("/l"), &"o/r.v1.5".parse().expect("valid"), &commit, "0123-1");
        let name = path.file_name().and_then(|name| name.to_str()).expect("text");
        assert_eq!(Layout::parse_lease(name), Some(("o/r.v1.5".parse().expect("valid"), commit)));
        assert_eq!(Layout::parse_lease("x.json"), None);
    }

    #[test]
    fn a_staging_name_fits_a_folder_entry() {
        let path = PathBuf::from("/c").join("x".repeat(255));
        let staged = Layout::staging_name(&path, "0123456789abcdef");
        assert!(staged.file_name().expect("named").len() <= 255);
        assert_eq!(staged.parent(), path.parent());
    }
}
