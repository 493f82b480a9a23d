//! Names of trees, commits and LFS pointers, computed as git computes them.

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};

/// A git object id.
pub(crate) type ObjectId = [u8; 20];

/// The text that git stores in place of an LFS file.
pub(crate) fn lfs_pointer(sha256: &[u8; 32], size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {size}\n", hex(sha256))
}

/// Object id of a blob with this content.
pub(crate) fn blob_id(content: &[u8]) -> ObjectId {
    object_id("blob", content)
}

/// Object ids of every folder of a file list; the root is the folder named by the empty text.
pub(crate) fn tree_ids<'a>(files: impl Iterator<Item = (&'a str, ObjectId)>) -> BTreeMap<String, ObjectId> {
    let files: Vec<_> = files.collect();
    let mut trees = BTreeMap::new();
    tree("", &files, &mut trees);
    trees
}

/// Hashes the folder `prefix` (empty, or with a slash at its end) and all below it.
fn tree(prefix: &str, files: &[(&str, ObjectId)], trees: &mut BTreeMap<String, ObjectId>) -> ObjectId {
    // Git sorts a folder as if its name ended with a slash.
    let mut entries: BTreeMap<String, (&str, ObjectId)> = BTreeMap::new();
    for (path, id) in files {
        let Some(rest) = path.strip_prefix(prefix) else { continue };
        match rest.split_once('/') {
            None => {
                entries.insert(rest.to_owned(), ("100644", *id));
            }
            Some((folder, _)) => {
                let key = format!("{folder}/");
                let below = format!("{prefix}{key}");
                entries.entry(key).or_insert_with(|| ("40000", tree(&below, files, trees)));
            }
        }
    }
    let mut object = Vec::new();
    for (name, (mode, id)) in &entries {
        object.extend_from_slice(format!("{mode} {}\0", name.trim_end_matches('/')).as_bytes());
        object.extend_from_slice(id);
    }
    let id = object_id("tree", &object);
    trees.insert(prefix.trim_end_matches('/').to_owned(), id);
    id
}

/// Object id of a commit.
pub(crate) fn commit_id(tree: &ObjectId, parent: Option<&str>, seconds: u64, message: &str) -> ObjectId {
    let author = format!("demo <demo@localhost> {seconds} +0000");
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    let text = format!("tree {}\n{parent}author {author}\ncommitter {author}\n\n{message}\n", hex(tree));
    object_id("commit", text.as_bytes())
}

fn object_id(kind: &str, content: &[u8]) -> ObjectId {
    let mut hasher = Sha1::new();
    hasher.update(format!("{kind} {}\0", content.len()));
    hasher.update(content);
    hasher.finalize().into()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids were read from a repository made with git 2.47: `a.txt` and `sub/b.txt`, both `hello`.
    #[test]
    fn ids_are_those_of_git() {
        let blob = blob_id(b"hello\n");
        let trees = tree_ids([("a.txt", blob), ("sub/b.txt", blob)].into_iter());
        assert_eq!(hex(&blob), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(hex(&trees["sub"]), "dd5a3627ad3d4a1eaa9b180972bab37891a5e101");
        assert_eq!(hex(&trees[""]), "ee81cb3fce1f6aea66e0c1d297b50bd17c2b3a1a");
        let commit = commit_id(&trees[""], None, 1_768_435_200, "first");
        assert_eq!(hex(&commit), "ea05e436663448a6d2f3b236a2531ce7a641a1f6");
    }

    #[test]
    fn a_pointer_has_the_form_of_git_lfs() {
        let pointer = lfs_pointer(&[0xab; 32], 12);
        assert_eq!(pointer.len(), 42 + 1 + 11 + 64 + 1 + 8);
        assert!(pointer.starts_with("version https://git-lfs.github.com/spec/v1\noid sha256:abab"));
        assert!(pointer.ends_with("\nsize 12\n"));
    }
}
