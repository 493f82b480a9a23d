//! A commit's files as the Hub's API lists them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use speech_flow_model_types::{Digest, RemoteFile};

/// One entry of a listing, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) json: Value,
}

/// Files and folders below a folder, sorted by path; the folder is `""` for the root.
pub(crate) fn entries(files: &[RemoteFile], folder: &str, recursive: bool) -> Vec<Entry> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let is_listed = |path: &str| path.strip_prefix(&prefix).is_some_and(|rest| recursive || !rest.contains('/'));
    let folders = folder_ids(files);
    let listed = files.iter().filter(|file| is_listed(file.path.as_str())).map(file_entry);
    let named = folders.iter().filter(|(path, _)| !path.is_empty() && is_listed(path));
    let mut entries: Vec<Entry> = listed.chain(named.map(|(path, id)| folder_entry(path, id))).collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
}

/// The entries of some paths; those that are not there are left out, as at the Hub.
pub(crate) fn entries_of(files: &[RemoteFile], paths: &[String]) -> Vec<Entry> {
    let folders = folder_ids(files);
    let entry = |path: &String| {
        let path = path.trim_matches('/');
        match files.binary_search_by(|file| file.path.as_str().cmp(path)) {
            Ok(at) => Some(file_entry(&files[at])),
            Err(_) => folders.get(path).filter(|_| !path.is_empty()).map(|id| folder_entry(path, id)),
        }
    };
    paths.iter().filter_map(entry).collect()
}

/// Whether some file is below the folder.
pub(crate) fn has_folder(files: &[RemoteFile], folder: &str) -> bool {
    let prefix = format!("{folder}/");
    files.iter().any(|file| file.path.as_str().starts_with(&prefix))
}

fn file_entry(file: &RemoteFile) -> Entry {
    let path = file.path.to_string();
    let mut json = json!({"type": "file", "oid": git_id(file), "size": file.size, "path": path});
    if let Digest::Sha256(_) = file.digest {
        let pointer_size = pointer(file).len();
        json["lfs"] = json!({"oid": file.digest.to_string(), "size": file.size, "pointerSize": pointer_size});
    }
    Entry { path, json }
}

fn folder_entry(path: &str, id: &str) -> Entry {
    Entry { path: path.to_owned(), json: json!({"type": "directory", "oid": id, "size": 0, "path": path}) }
}

/// Git's name for the file: that of the pointer for a large one.
fn git_id(file: &RemoteFile) -> String {
    match file.digest {
        Digest::GitSha1(_) => file.digest.to_string(),
        Digest::Sha256(_) if !file.blob_id.is_empty() => file.blob_id.clone(),
        Digest::Sha256(_) => object_id("blob", pointer(file).as_bytes()),
    }
}

/// The text that git keeps in place of a large file. Source: git-lfs `docs/spec.md`.
fn pointer(file: &RemoteFile) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", file.digest, file.size)
}

/// Git's names for all folders, taking every file for a plain one.
fn folder_ids(files: &[RemoteFile]) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::from([(String::new(), BTreeSet::new())]);
    for file in files {
        let mut path = file.path.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            names.entry(folder.to_owned()).or_default();
            path = folder;
        }
    }
    let mut content: BTreeMap<&str, Vec<(String, &str, String)>> = BTreeMap::new();
    for file in files {
        let (folder, name) = file.path.as_str().rsplit_once('/').unwrap_or(("", file.path.as_str()));
        content.entry(folder).or_default().push((name.to_owned(), "100644", git_id(file)));
    }
    let mut ids = BTreeMap::new();
    // Deeper folders first: a folder's name is made of those of its own.
    let mut folders: Vec<String> = names.into_keys().collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(if folder.is_empty() { 0 } else { folder.split('/').count() }));
    let mut below: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for folder in folders {
        let mut entries = content.remove(folder.as_str()).unwrap_or_default();
        let folders = below.remove(&folder).unwrap_or_default();
        entries.extend(folders.into_iter().map(|(name, id)| (name, "40000", id)));
        // Git sorts a folder as if its name ended with a slash.
        entries.sort_by_key(|(name, mode, _)| if *mode == "40000" { format!("{name}/") } else { name.clone() });
        let mut tree = Vec::new();
        for (name, mode, id) in &entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend(bytes_of(id));
        }
        let id = object_id("tree", &tree);
        if !folder.is_empty() {
            let (above, name) = folder.rsplit_once('/').unwrap_or(("", &folder));
            below.entry(above.to_owned()).or_default().push((name.to_owned(), id.clone()));
        }
        ids.insert(folder, id);
    }
    ids
}

fn object_id(kind: &str, content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("{kind} {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(path: &str) -> RemoteFile {
        RemoteFile {
            path: path.parse().expect("valid"),
            size: 6,
            digest: "ce013625030ba8dba906f756967f9e9ca394464a".parse().expect("valid"),
            blob_id: String::new(),
            xet_hash: Some("x".repeat(64)),
        }
    }

    fn paths(entries: Vec<Entry>) -> Vec<String> {
        entries.into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn folders_are_listed_as_deep_as_asked() {
        let files = [small("a"), small("b/c"), small("b/d/e"), small("bc")];
        assert_eq!(paths(entries(&files, "", true)), ["a", "b", "b/c", "b/d", "b/d/e", "bc"]);
        assert_eq!(paths(entries(&files, "", false)), ["a", "b", "bc"]);
        assert_eq!(paths(entries(&files, "b", false)), ["b/c", "b/d"]);
        assert!(has_folder(&files, "b/d") && !has_folder(&files, "bc"));
        let asked = ["bc", "b/", "x", ""].map(str::to_owned);
        assert_eq!(paths(entries_of(&files, &asked)), ["bc", "b"]);
    }

    #[test]
    fn hashes_are_those_of_git_and_none_is_of_xet() {
        // `printf 'hello\n' > b/c; git add b/c; git ls-tree HEAD b`
        let listed = entries(&[small("b/c")], "", false);
        assert_eq!(listed[0].json["oid"], "435927d2fe872add393f6b83553075ffeb232cba");
        let file = &entries(&[small("a")], "", false)[0].json;
        assert_eq!(file["oid"], "ce013625030ba8dba906f756967f9e9ca394464a");
        assert!(file.get("xetHash").is_none() && file.get("lfs").is_none());
    }

    #[test]
    fn a_large_file_has_the_size_of_its_pointer() {
        let digest = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let file = RemoteFile { digest: digest.parse().expect("valid"), ..small("model.bin") };
        let json = &entries(&[file], "", false)[0].json;
        assert_eq!(json["lfs"], json!({"oid": digest, "size": 6, "pointerSize": 126}));
    }
}
