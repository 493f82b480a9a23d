use super::*;

const HASH: &str = "ab00000000000000000000000000000000000000000000000000000000000001";

/// A cache as hf_xet leaves it: two repositories that share one payload.
struct Cache {
    folder: tempfile::TempDir,
    payload: PathBuf,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("blobs/ab");
        fs::create_dir_all(&prefix).unwrap();
        fs::write(folder.path().join("blobs").join(MARKER), MARKER_TEXT).unwrap();
        let payload = prefix.join(HASH);
        fs::write(&payload, b"payload").unwrap();
        let cache = Self { folder, payload };
        for repo in ["models--o--a", "models--o--b"] {
            cache.link(repo);
        }
        fs::write(manifest_of(&cache.payload), "models--o--a/blobs/etag\nmodels--o--b/blobs/etag\n").unwrap();
        cache
    }

    fn blob(&self, repo: &str) -> PathBuf {
        self.folder.path().join(repo).join("blobs/etag")
    }

    fn link(&self, repo: &str) {
        let blob = self.blob(repo);
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/ab/{HASH}"), blob).unwrap();
    }

    fn store(&self) -> SharedStore {
        SharedStore::open(self.folder.path()).unwrap()
    }

    fn manifest(&self) -> Option<String> {
        fs::read_to_string(manifest_of(&self.payload)).ok()
    }

    fn release(&self, repo: &str) -> Released {
        self.store().release(&self.blob(repo), || false).unwrap()
    }
}

#[test]
fn the_payload_goes_with_its_last_link_and_not_before() {
    let cache = Cache::new();
    assert_eq!(cache.store().payloads(), std::slice::from_ref(&cache.payload));
    assert_eq!(cache.release("models--o--a"), Released::Removed { freed: 0 });
    assert_eq!(fs::read(cache.blob("models--o--b")).unwrap(), b"payload");
    assert_eq!(cache.manifest().unwrap(), "models--o--b/blobs/etag\n");
    assert_eq!(cache.release("models--o--b"), Released::Removed { freed: 7 });
    assert!(!cache.payload.exists() && cache.manifest().is_none());
}

#[test]
fn a_missing_manifest_is_no_ground_for_deletion() {
    let cache = Cache::new();
    fs::remove_file(manifest_of(&cache.payload)).unwrap();
    for repo in ["models--o--a", "models--o--b"] {
        assert_eq!(cache.release(repo), Released::Removed { freed: 0 });
    }
    assert!(cache.payload.exists());
    assert_eq!(cache.store().sweep(&cache.payload).unwrap(), 0);
    assert!(cache.payload.exists());
}

#[test]
fn a_link_that_no_manifest_names_keeps_the_payload_and_is_written_down() {
    let cache = Cache::new();
    cache.link("datasets--o--c");
    cache.release("models--o--a");
    assert_eq!(cache.release("models--o--b"), Released::Removed { freed: 0 });
    assert_eq!(fs::read(cache.blob("datasets--o--c")).unwrap(), b"payload");
    assert_eq!(cache.manifest().unwrap(), "datasets--o--c/blobs/etag\n");
}

#[test]
fn a_blob_that_is_needed_again_keeps_its_link() {
    let cache = Cache::new();
    let blob = cache.blob("models--o--a");
    assert_eq!(cache.store().release(&blob, || true).unwrap(), Released::Kept);
    assert_eq!(fs::read(&blob).unwrap(), b"payload");
    assert_eq!(fs::read_link(&blob).unwrap(), Path::new(&format!("../../blobs/ab/{HASH}")));
}

#[test]
fn a_store_without_the_marker_is_not_ours() {
    let cache = Cache::new();
    fs::write(cache.folder.path().join("blobs").join(MARKER), "2\n").unwrap();
    assert!(SharedStore::open(cache.folder.path()).is_none());
    fs::remove_file(cache.folder.path().join("blobs").join(MARKER)).unwrap();
    assert!(SharedStore::open(cache.folder.path()).is_none());
}

#[test]
fn a_planted_lock_link_leaks_the_payload() {
    let cache = Cache::new();
    let victim = cache.folder.path().join("victim");
    fs::write(&victim, b"").unwrap();
    std::os::unix::fs::symlink(&victim, with_suffix(&cache.payload, ".lock")).unwrap();
    cache.release("models--o--a");
    assert_eq!(cache.release("models--o--b"), Released::Removed { freed: 0 });
    assert!(cache.payload.exists());
}

#[test]
fn lines_that_leave_the_cache_do_not_count() {
    let cache = Cache::new();
    let lines = "../x/blobs/etag\n/models--o--a/blobs/etag\nmodels--o--a/../models--o--a/blobs/etag\nblobs/ab/x\n\n";
    fs::write(manifest_of(&cache.payload), lines).unwrap();
    assert_eq!(cache.store().references(&cache.payload), Some(BTreeSet::new()));
}

#[test]
fn only_links_into_the_store_are_shared_blobs() {
    let cache = Cache::new();
    let store = cache.store();
    let check = |name: &str, target: &str, expected: bool| {
        let blob = cache.folder.path().join("models--o--a/blobs").join(name);
        std::os::unix::fs::symlink(target, &blob).unwrap();
        assert_eq!(store.target(&blob).unwrap().is_some(), expected, "{target}");
    };
    check("good", &format!("../../blobs/ab/{HASH}"), true);
    check("absolute", cache.payload.to_str().unwrap(), true);
    check("wrong-folder", &format!("../../blobs/cd/{HASH}"), false);
    check("outside", "/etc/passwd", false);
    check("short", "../../blobs/ab/ab01", false);
    fs::write(cache.folder.path().join("models--o--a/blobs/plain"), b"x").unwrap();
    assert!(store.target(&cache.folder.path().join("models--o--a/blobs/plain")).unwrap().is_none());
}
