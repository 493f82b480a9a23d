//! The description of a repository, step by step as one would make it with git.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use speech_flow_model_types::{CommitHash, Digest};

use super::{Access, Commit, Entry, Inner, Repository};
use crate::DemoHubError;
use crate::card::front_matter;
use crate::content::Content;
use crate::git;

/// Files of these kinds are LFS files whatever their size, as the Hub's default `.gitattributes` has it.
const LFS_EXTENSIONS: [&str; 10] = ["bin", "safetensors", "pt", "pth", "ckpt", "onnx", "h5", "msgpack", "gguf", "npz"];

/// The model card, and how much of it is read for its front matter.
const CARD: &str = "README.md";
const MAX_CARD: u64 = 64 << 10;

/// Describes a [`Repository`]. Steps are taken in order: files change a working tree, [`commit`] records
/// it, [`tag`] and [`branch`] name the commit reached so far.
///
/// [`commit`]: RepositoryBuilder::commit
/// [`tag`]: RepositoryBuilder::tag
/// [`branch`]: RepositoryBuilder::branch
///
/// ```
/// use speech_flow_demo_hub::Repository;
///
/// let repository = Repository::builder("org/name")
///     .file("config.json", "{}")
///     .generated("model.bin", 64 << 20, 1)
///     .tag("v1")
///     .file("config.json", "{ }")
///     .build()?;
/// assert_ne!(repository.commit("v1"), repository.commit("main"));
/// # Ok::<(), speech_flow_demo_hub::DemoHubError>(())
/// ```
#[derive(Debug)]
pub struct RepositoryBuilder {
    id: String,
    access: Access,
    lfs_above: u64,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Put(String, Source),
    Remove(String),
    Commit(String),
    Tag(String),
    Branch(String),
}

#[derive(Debug)]
enum Source {
    Content(Content),
    Disk(PathBuf),
    Folder(PathBuf),
}

impl RepositoryBuilder {
    pub(super) fn new(id: String) -> Self {
        Self { id, access: Access::Public, lfs_above: 1 << 20, steps: Vec::new() }
    }

    /// Puts a file with the given content.
    #[must_use]
    pub fn file(self, path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.put(path.into(), Source::Content(Content::Memory(content.into())))
    }

    /// Puts a file that is part of the program.
    #[must_use]
    pub fn embedded(self, path: impl Into<String>, content: &'static [u8]) -> Self {
        self.put(path.into(), Source::Content(Content::Static(content)))
    }

    /// Puts a file of pseudo-random bytes that are computed as they are sent. It takes no memory,
    /// and the same size and seed give the same bytes.
    #[must_use]
    pub fn generated(self, path: impl Into<String>, size: u64, seed: u64) -> Self {
        self.put(path.into(), Source::Content(Content::generated(size, seed)))
    }

    /// Puts a file that is read from disk as it is sent. It must not change while it is served.
    #[must_use]
    pub fn file_on_disk(self, path: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        self.put(path.into(), Source::Disk(file.into()))
    }

    /// Puts every file below a folder, but nothing whose name starts with a dot.
    #[must_use]
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.put(String::new(), Source::Folder(folder.into()))
    }

    /// Takes a file away.
    #[must_use]
    pub fn remove(mut self, path: impl Into<String>) -> Self {
        self.steps.push(Step::Remove(path.into()));
        self
    }

    /// Records the files as a commit, also when nothing changed.
    #[must_use]
    pub fn commit(mut self, message: impl Into<String>) -> Self {
        self.steps.push(Step::Commit(message.into()));
        self
    }

    /// Names the current commit; changes that are not recorded yet are committed first.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>) -> Self {
        self.steps.push(Step::Tag(name.into()));
        self
    }

    /// Goes on on another branch (`refs/pr/1` is a pull request); a new one starts at the current commit. Changes that
    /// are not recorded yet are committed to the old branch first. The first branch is `main`.
    #[must_use]
    pub fn branch(mut self, name: impl Into<String>) -> Self {
        self.steps.push(Step::Branch(name.into()));
        self
    }

    /// Asks for a token with access before files are given out; the listing stays public.
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.access = Access::Gated;
        self
    }

    /// Hides the repository from everybody without a token with access.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.access = Access::Private;
        self
    }

    /// Files larger than this are LFS files (1 MiB by default), beside those with the usual extensions
    /// of weights. `u64::MAX` keeps files of other extensions named by their git SHA-1 at any size.
    #[must_use]
    pub fn lfs_above(mut self, bytes: u64) -> Self {
        self.lfs_above = bytes;
        self
    }

    /// Hashes all content and names all commits. This blocks for about a second per 1.5 GiB that
    /// was not hashed before in this process.
    ///
    /// # Errors
    /// [`DemoHubError::InvalidRepository`] for a bad name, [`DemoHubError::Read`] for a file that cannot be read.
    pub fn build(self) -> Result<Repository, DemoHubError> {
        let mut history = History::new(self.lfs_above);
        for step in self.steps {
            match step {
                Step::Put(path, source) => history.put(path, source)?,
                Step::Remove(path) => {
                    history.dirty |= history.files.remove(&path).is_some();
                }
                Step::Commit(message) => history.commit(message)?,
                Step::Tag(name) => {
                    let commit = history.settle()?;
                    history.tags.insert(name, commit);
                }
                Step::Branch(name) => history.switch(name)?,
            }
        }
        history.settle()?;
        Ok(Repository {
            inner: Arc::new(Inner {
                id: self.id.parse()?,
                access: self.access,
                branches: history.branch_heads(),
                tags: history.tags,
                commits: history.commits,
            }),
        })
    }

    fn put(mut self, path: String, source: Source) -> Self {
        self.steps.push(Step::Put(path, source));
        self
    }
}

/// Commits made so far and the working tree.
struct History {
    lfs_above: u64,
    files: BTreeMap<String, Entry>,
    /// The working tree differs from the current commit.
    dirty: bool,
    commits: Vec<Commit>,
    branch: String,
    /// Index of each branch's newest commit.
    heads: BTreeMap<String, usize>,
    tags: BTreeMap<String, CommitHash>,
}

impl History {
    fn new(lfs_above: u64) -> Self {
        Self {
            lfs_above,
            files: BTreeMap::new(),
            dirty: false,
            commits: Vec::new(),
            branch: "main".to_owned(),
            heads: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    fn put(&mut self, path: String, source: Source) -> Result<(), DemoHubError> {
        match source {
            Source::Content(content) => {
                self.put_content(path, content).map_err(|source| unreadable(Path::new(""), source))
            }
            Source::Disk(file) => {
                let size = std::fs::metadata(&file).map_err(|source| unreadable(&file, source))?.len();
                self.put_content(path, Content::Disk { path: file.clone(), size })
                    .map_err(|source| unreadable(&file, source))
            }
            Source::Folder(folder) => {
                for (path, file) in files_below(&folder)? {
                    self.put(path, Source::Disk(file))?;
                }
                Ok(())
            }
        }
    }

    fn put_content(&mut self, path: String, content: Content) -> std::io::Result<()> {
        let size = content.size();
        let extension = Path::new(&path).extension().and_then(|extension| extension.to_str());
        let is_lfs = size > self.lfs_above || extension.is_some_and(|extension| LFS_EXTENSIONS.contains(&extension));
        let (digest, blob_id, pointer) = if is_lfs {
            let sha256 = content.sha256()?;
            let pointer = git::lfs_pointer(&sha256, size);
            (Digest::Sha256(sha256), git::blob_id(pointer.as_bytes()), Some(pointer))
        } else {
            let id = content.git_sha1()?;
            (Digest::GitSha1(id), id, None)
        };
        let entry = Entry { content: Arc::new(content), size, digest, blob_id, pointer };
        self.files.insert(path, entry);
        self.dirty = true;
        Ok(())
    }

    /// Records the working tree on the current branch.
    fn commit(&mut self, message: String) -> Result<(), DemoHubError> {
        let card = self.card().map_err(|source| unreadable(Path::new(CARD), source))?;
        let blob_ids = self.files.iter().map(|(path, entry)| (path.as_str(), entry.blob_id));
        let trees = git::tree_ids(blob_ids);
        let number = self.commits.len() as u64;
        let parent = self.heads.get(&self.branch).copied();
        let parent_hash = parent.map(|parent| self.commits[parent].hash.as_str());
        let id = git::commit_id(&trees[""], parent_hash, Commit::seconds(number), &message);
        self.heads.insert(self.branch.clone(), self.commits.len());
        self.commits.push(Commit {
            hash: git::hex(&id).parse().expect("20 bytes are 40 lower-case hexadecimal digits"),
            parent,
            title: message.lines().next().unwrap_or_default().to_owned(),
            message,
            card,
            number,
            files: self.files.clone(),
            folders: trees,
        });
        self.dirty = false;
        Ok(())
    }

    fn card(&self) -> std::io::Result<Map<String, Value>> {
        let Some(entry) = self.files.get(CARD) else { return Ok(Map::new()) };
        let bytes = entry.content.read_blocking(0..entry.size.min(MAX_CARD))?;
        Ok(front_matter(&String::from_utf8_lossy(&bytes)))
    }

    /// Commits what is pending, and names the current commit.
    fn settle(&mut self) -> Result<CommitHash, DemoHubError> {
        if self.dirty || !self.heads.contains_key(&self.branch) {
            let number = self.commits.len() + 1;
            self.commit(format!("Commit {number}"))?;
        }
        Ok(self.commits[self.heads[&self.branch]].hash.clone())
    }

    fn switch(&mut self, branch: String) -> Result<(), DemoHubError> {
        self.settle()?;
        let current = self.heads[&self.branch];
        let head = *self.heads.entry(branch.clone()).or_insert(current);
        self.branch = branch;
        self.files = self.commits[head].files.clone();
        Ok(())
    }

    fn branch_heads(&self) -> BTreeMap<String, CommitHash> {
        self.heads.iter().map(|(name, head)| (name.clone(), self.commits[*head].hash.clone())).collect()
    }
}

/// All files below a folder with their paths relative to it. Links are followed.
fn files_below(folder: &Path) -> Result<Vec<(String, PathBuf)>, DemoHubError> {
    let mut files = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))? {
            let path = entry.map_err(|source| unreadable(&folder, source))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                continue;
            }
            let relative = format!("{prefix}{name}");
            if path.is_dir() {
                open.push((format!("{relative}/"), path));
            } else {
                files.push((relative, path));
            }
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, source: std::io::Error) -> DemoHubError {
    DemoHubError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_description_gives_the_same_commit() {
        let build = |text: &'static str| Repository::builder("a/b").file("x", text).build().unwrap().commit("main");
        assert_eq!(build("1"), build("1"));
        assert_ne!(build("1"), build("2"));
    }

    #[test]
    fn a_branch_goes_its_own_way() {
        let repository = Repository::builder("a/b")
            .file("x", "1")
            .tag("v1")
            .file("x", "2")
            .branch("next")
            .file("y", "3")
            .commit("add y")
            .branch("main")
            .build()
            .unwrap();
        assert_eq!(repository.commits().len(), 3);
        assert_eq!(repository.files("main").len(), 1);
        assert_eq!(repository.files("next").len(), 2);
        assert_ne!(repository.commit("v1"), repository.commit("main"));
        let next = repository.at(repository.commit("next").unwrap().as_str()).unwrap();
        assert_eq!(repository.history(next).count(), 3);
        assert_eq!(Some(&repository.last_change(next, "x").hash), repository.commit("main").as_ref());
    }

    #[test]
    fn weights_and_large_files_are_lfs_files() {
        let repository = Repository::builder("a/b")
            .file("tiny.bin", "1")
            .generated("large.txt", (1 << 20) + 1, 1)
            .file("small.txt", "1")
            .build()
            .unwrap();
        let is_lfs: Vec<_> =
            repository.files("main").into_iter().map(|file| matches!(file.digest, Digest::Sha256(_))).collect();
        assert_eq!(is_lfs, [true, false, true]);
    }

    #[test]
    fn a_folder_is_served_without_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for file in ["config.json", "sub/model.bin", ".git/HEAD"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let repository = Repository::builder("a/b").folder(folder.path()).build().unwrap();
        let paths: Vec<_> = repository.files("main").into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["config.json", "sub/model.bin"]);
    }
}
