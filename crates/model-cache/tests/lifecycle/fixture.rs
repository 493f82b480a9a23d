//! A cache as Python's `huggingface_hub` 2.4 writes it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use speech_flow_model_cache::{Access, Cache, CacheConfig, GcPolicy, OwnerId, SILENT_AFTER};
use speech_flow_model_types::{CommitHash, RepoId};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than anything waits for a sign of life.
pub(crate) const SILENT: Duration = Duration::from_secs(SILENT_AFTER.as_secs() + 60);
pub(crate) const XET_HASH: &str = "ab00000000000000000000000000000000000000000000000000000000000001";

pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

pub(crate) fn repo(name: &str) -> RepoId {
    name.parse().unwrap()
}

/// The commit that consists of one digit.
pub(crate) fn commit(digit: char) -> CommitHash {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn blob_name(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("hub")).unwrap();
        fs::write(folder.path().join("hub/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
        Self { folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join(".speech-flow")
    }

    pub(crate) fn lease_dir(&self) -> PathBuf {
        self.folder.path().join("leases")
    }

    pub(crate) fn config(&self) -> CacheConfig {
        CacheConfig::new(self.root(), self.state())
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::open(self.config()).unwrap()
    }

    pub(crate) fn read_only(&self) -> Cache {
        Cache::open(CacheConfig { access: Access::ReadOnly, ..self.config() }).unwrap()
    }

    pub(crate) fn repo(&self, name: &str) -> PathBuf {
        self.root().join(repo(name).folder())
    }

    pub(crate) fn blob(&self, name: &str, content: &[u8]) -> PathBuf {
        self.repo(name).join("blobs").join(blob_name(content))
    }

    pub(crate) fn snapshot(&self, name: &str, digit: char) -> PathBuf {
        self.repo(name).join("snapshots").join(commit(digit).as_str())
    }

    /// A snapshot with links to blobs, and refs to it. It is a day old.
    pub(crate) fn revision(&self, name: &str, digit: char, files: &[(&str, &[u8])], refs: &[&str]) {
        let snapshot = self.snapshot(name, digit);
        for (path, content) in files {
            write(&self.blob(name, content), content);
            let link = snapshot.join(path);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            let up = "../".repeat(path.matches('/').count() + 2);
            symlink(format!("{up}blobs/{}", blob_name(content)), link).unwrap();
        }
        for reference in refs {
            write(&self.repo(name).join("refs").join(reference), commit(digit).as_str().as_bytes());
        }
        let entries: Vec<String> = files
            .iter()
            .map(|(path, content)| {
                let (size, blob) = (content.len(), "0".repeat(40));
                let sha256 = blob_name(content);
                format!(
                    r#""{path}": {{"size": {size}, "blob_id": "{blob}", "lfs_sha256": "{sha256}", "lfs_size": {size}, "xet_hash": null}}"#
                )
            })
            .collect();
        let tree = format!(r#"{{"format_version": 1, "files": {{{}}}}}"#, entries.join(", "));
        write(&self.repo(name).join("trees").join(format!("{}.json", commit(digit))), tree.as_bytes());
        make_older(&snapshot, DAY);
    }

    /// A blob that is a link to a payload of the shared store, which the manifest names.
    pub(crate) fn shared_blob(&self, name: &str, digit: char, path: &str, content: &[u8]) -> PathBuf {
        let store = self.root().join("blobs");
        write(&store.join(".huggingface-shared-blobs"), b"1\n");
        let payload = store.join("ab").join(XET_HASH);
        write(&payload, content);
        let blob = self.blob(name, content);
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        symlink(format!("../../blobs/ab/{XET_HASH}"), &blob).unwrap();
        let manifest = store.join("ab").join(format!("{XET_HASH}.refs"));
        let mut lines = fs::read_to_string(&manifest).unwrap_or_default();
        lines += &format!("{}/blobs/{}\n", repo(name).folder(), blob_name(content));
        write(&manifest, lines.as_bytes());
        let link = self.snapshot(name, digit).join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(format!("../../blobs/{}", blob_name(content)), link).unwrap();
        make_older(&self.snapshot(name, digit), DAY);
        payload
    }

    /// An unfinished download of ours.
    pub(crate) fn partial(&self, name: &str, owner: &OwnerId, bytes: &[u8], age: Duration) -> PathBuf {
        let id = "00000000deadbeef";
        let folder = self.repo(name).join(".partial").join(format!("{}.{id}", blob_name(bytes)));
        write(&folder.join("data"), bytes);
        let record = serde_json::json!({"id": id, "owner": owner, "released": false});
        write(&folder.join("owner.json"), record.to_string().as_bytes());
        make_older(&folder.join("owner.json"), age);
        make_older(&folder, age);
        folder
    }

    /// Everything below the folder, with the targets of links.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(self.folder.path(), &mut names);
        names.sort();
        names
    }
}

fn list(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).map(|target| target.display().to_string()).unwrap_or_default();
        names.push(format!("{} {target}", path.display()));
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            list(&path, names);
        }
    }
}

pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Sets the time of the last change back.
pub(crate) fn make_older(path: &Path, age: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// Another process on this machine, to be the owner of something.
pub(crate) struct OtherProcess {
    child: Child,
    pub(crate) owner: OwnerId,
}

impl OtherProcess {
    pub(crate) fn start() -> Self {
        let child = Command::new("sleep").arg("300").spawn().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let start_time = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
        let owner = OwnerId {
            pid: child.id(),
            start_time: Some(start_time),
            id: "00000000deadbeef".to_owned(),
            ..OwnerId::this_process().clone()
        };
        Self { child, owner }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A lease as that process would write it.
    pub(crate) fn lease(&self, folder: &Path, name: &str, digit: char) -> PathBuf {
        let path = folder.join(format!("{}.{}.{}-0.json", repo(name).folder(), commit(digit), self.owner.id));
        let record = serde_json::json!({
            "owner": self.owner, "repo": name, "commit": commit(digit).as_str(), "since": "2026-11-24T12:00:00Z",
        });
        write(&path, record.to_string().as_bytes());
        path
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A policy without grace: only holds protect.
pub(crate) fn strict() -> GcPolicy {
    GcPolicy { grace_period: Duration::ZERO, ..GcPolicy::default() }
}
