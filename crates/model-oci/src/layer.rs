//! Tar layers: what stands before and behind a file, and the layer of links.
//!
//! Each layer of an image holds one blob of the cache, with the folders above it. So the layer is a head that follows
//! from the blob's place and size alone, the bytes of the file, and zeros. A reader needs no parser for it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// Tar's unit.
const BLOCK: u64 = 512;
/// An archive ends with two empty blocks.
const END: u64 = 2 * BLOCK;
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// What stands before the file's bytes.
///
/// # Errors
/// A path that no archive can name.
pub(crate) fn head(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.folders_of([path])?;
    archive.header(path, EntryType::Regular, FILE_MODE, size)?;
    Ok(archive.bytes())
}

/// How many zeros stand behind them.
pub(crate) fn tail_len(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size + END
}

/// An entry of the layer of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A small file.
    File(PathBuf, Vec<u8>),
    /// A link, and what it says.
    Link(PathBuf, PathBuf),
}

impl Entry {
    fn path(&self) -> &Path {
        match self {
            Self::File(path, _) | Self::Link(path, _) => path,
        }
    }
}

/// A layer of small files and links, with the folders that they and `others` stand in.
///
/// # Errors
/// A path that no archive can name.
pub(crate) fn small(mut entries: Vec<Entry>, others: &[PathBuf]) -> io::Result<Vec<u8>> {
    entries.sort_by(|a, b| a.path().cmp(b.path()));
    let mut archive = Archive::new();
    archive.folders_of(entries.iter().map(Entry::path).chain(others.iter().map(PathBuf::as_path)))?;
    for entry in &entries {
        match entry {
            Entry::File(path, content) => archive.file(path, content)?,
            Entry::Link(path, target) => archive.link(path, target)?,
        }
    }
    archive.end()
}

/// An archive in memory whose bytes depend on nothing but what is put in.
struct Archive {
    builder: Builder<Vec<u8>>,
}

impl Archive {
    fn new() -> Self {
        Self { builder: Builder::new(Vec::new()) }
    }

    fn folders_of<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
        let above = |path: &'a Path| path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let folders: BTreeSet<&Path> = paths.into_iter().flat_map(above).collect();
        folders.into_iter().try_for_each(|folder| {
            let mut name = folder.as_os_str().to_owned();
            name.push("/");
            self.header(Path::new(&name), EntryType::Directory, FOLDER_MODE, 0)
        })
    }

    /// The header alone: the content comes from elsewhere.
    fn header(&mut self, path: &Path, kind: EntryType, mode: u32, size: u64) -> io::Result<()> {
        self.builder.append_data(&mut plain(kind, mode, size), path, io::empty())
    }

    fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.builder.append_data(&mut plain(EntryType::Regular, FILE_MODE, content.len() as u64), path, content)
    }

    fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        self.builder.append_link(&mut plain(EntryType::Symlink, 0o777, 0), path, target)
    }

    /// What was written, without an end.
    fn bytes(self) -> Vec<u8> {
        self.builder.get_ref().clone()
    }

    fn end(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()
    }
}

fn plain(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    /// What another reader of tar finds: path, length, content or target.
    fn read(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                if let Some(target) = entry.link_name().unwrap() {
                    content = target.display().to_string().into_bytes();
                }
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect()
    }

    #[test]
    fn a_layer_is_an_archive_of_one_file_and_its_folders() {
        let content = b"hello\n";
        let mut layer = head(Path::new("whisper/models--a--b/blobs/ce01"), content.len() as u64).unwrap();
        layer.extend(content);
        layer.resize(layer.len() + tail_len(content.len() as u64) as usize, 0);
        assert_eq!(layer.len() % 512, 0);
        let entries = read(&layer);
        let paths: Vec<&str> = entries.iter().map(|(path, _)| path.as_str()).collect();
        let expected =
            ["whisper/", "whisper/models--a--b/", "whisper/models--a--b/blobs/", "whisper/models--a--b/blobs/ce01"];
        assert_eq!(paths, expected);
        assert_eq!(entries[3].1, content);
    }

    #[test]
    fn links_and_small_files_are_in_one_layer_in_their_order() {
        let link = Entry::Link("a/snapshots/c/x".into(), "../../blobs/1".into());
        let file = Entry::File("a/refs/main".into(), b"c".to_vec());
        let others = [PathBuf::from("a/blobs/1")];
        let layer = small(vec![link.clone(), file.clone()], &others).unwrap();
        assert_eq!(layer, small(vec![file, link], &others).unwrap());
        let paths: Vec<String> = read(&layer).into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            ["a/", "a/blobs/", "a/refs/", "a/snapshots/", "a/snapshots/c/", "a/refs/main", "a/snapshots/c/x"]
        );
    }

    #[test]
    fn a_file_of_more_than_eight_gibibytes_keeps_its_length() {
        let size = 20 << 30;
        let head = head(Path::new("a/b"), size).unwrap();
        let header = Header::from_byte_slice(&head[head.len() - 512..]);
        assert_eq!(header.entry_size().unwrap(), size);
    }

    proptest! {
        #[test]
        fn any_path_and_length_make_a_head_that_reads_back(
            path in "[a-z]{1,90}(/[a-z0-9-]{1,90}){0,4}", content in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let size = content.len() as u64;
            let mut layer = head(Path::new(&path), size).unwrap();
            layer.extend(&content);
            layer.resize(layer.len() + tail_len(size) as usize, 0);
            let entries = read(&layer);
            prop_assert_eq!(entries.last().unwrap(), &(path, content));
        }
    }
}
