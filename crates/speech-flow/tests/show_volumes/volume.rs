//! Volumes of a test's own: small, read-only, or without links. They are unmounted when they are dropped.
//!
//! Mounting needs root, and a container may forbid it to root as well. A test that cannot have its volume
//! says so aloud; with `SPEECH_FLOW_REQUIRE_VOLUMES=1` it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted volume.
pub(crate) struct Volume {
    path: PathBuf,
    /// The loop device below it.
    device: Option<String>,
}

impl Volume {
    /// A file system in memory that holds so many MiB.
    pub(crate) fn small(path: &Path, mib: u64) -> Option<Self> {
        Self::mount(path, &["-t", "tmpfs", "-o", &format!("size={mib}m,mode=777"), "tmpfs"])
    }

    /// A folder once more at its own place, read-only.
    pub(crate) fn read_only(folder: &Path) -> Option<Self> {
        let volume = Self::mount(folder, &["--bind", &folder.display().to_string()])?;
        let done = succeeds("mount", &["-o", "remount,bind,ro", &folder.display().to_string()]);
        done.then_some(volume).or_else(|| skipped("a folder cannot be mounted read-only here"))
    }

    /// A file system that has neither symbolic nor hard links: FAT of the kernel, or exFAT by FUSE.
    pub(crate) fn without_links(path: &Path, image: &Path) -> Option<Self> {
        fs::File::create(image).and_then(|file| file.set_len(64 << 20)).expect("an image");
        let image = image.display().to_string();
        if succeeds("mkfs.vfat", &[&image]) && (try_mount(path, &["-t", "vfat", "-o", "loop", &image])) {
            return Some(Self { path: path.to_owned(), device: None });
        }
        if !succeeds("mkfs.exfat", &[&image]) {
            return skipped("there is neither FAT in the kernel nor `mkfs.exfat`");
        }
        let output = Command::new("losetup").args(["-f", "--show", &image]).output().expect("losetup starts");
        let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let volume = Self { path: path.to_owned(), device: Some(device.clone()) };
        fs::create_dir_all(path).expect("a folder");
        let mounted = succeeds("mount.exfat-fuse", &[&device, &path.display().to_string()]);
        mounted.then_some(volume).or_else(|| skipped("exFAT cannot be mounted here"))
    }

    fn mount(path: &Path, arguments: &[&str]) -> Option<Self> {
        if !try_mount(path, arguments) {
            return skipped("this user cannot mount a volume here");
        }
        Some(Self { path: path.to_owned(), device: None })
    }

    /// Fills the volume to its last byte with a file, as another program would; gives the file.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path.join("of-another-program");
        let mut file = fs::File::create(&path).expect("a file");
        let full = std::io::copy(&mut std::io::repeat(1), &mut file).expect_err("the volume ends");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        succeeds("umount", &["--lazy", &self.path.display().to_string()]);
        if let Some(device) = &self.device {
            succeeds("losetup", &["-d", device]);
        }
    }
}

fn try_mount(path: &Path, arguments: &[&str]) -> bool {
    fs::create_dir_all(path).expect("a folder");
    is_root() && succeeds("mount", &[arguments, &[&path.display().to_string()]].concat())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    output.is_ok_and(|output| output.status.success())
}

/// Whether this is root, who alone may mount volumes and become somebody else.
pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id starts");
    output.stdout == b"0\n"
}

/// Says aloud that a test is not run, and why; an error where nothing may be skipped.
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
pub(crate) fn skipped<T>(reason: &str) -> Option<T> {
    assert!(std::env::var_os("SPEECH_FLOW_REQUIRE_VOLUMES").is_none(), "may not be skipped: {reason}");
    eprintln!("SKIPPED: {reason}");
    None
}
