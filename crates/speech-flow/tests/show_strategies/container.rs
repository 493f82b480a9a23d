//! A container as a process: its arguments and variables, its own temporary folder, and its volumes at their places.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::manifests::{Mount, Spec};

/// What a pod's volumes are on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Volumes {
    /// At `/models`.
    pub(crate) models: PathBuf,
    /// At `/etc/speech-flow`: the ConfigMap with the lockfile.
    pub(crate) lockfile: Option<PathBuf>,
}

/// Where the names that the manifests know lead to.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) hub: String,
    pub(crate) cache_server: String,
}

/// The addresses of the manifests.
const CACHE_SERVER: &str = "http://speech-flow-cache:8090";
const HUB: &str = "https://huggingface.co";
/// Folders that a container may have.
const PLACES: [&str; 4] = ["/models", "/leases", "/etc/speech-flow", "/tmp"];

/// The command of a container whose files are below `folder`.
pub(crate) fn command(folder: &Path, spec: &Spec, volumes: &Volumes, network: &Network) -> Command {
    let mut command = inside(folder, &sources(folder, spec, volumes));
    command.args(&spec.args).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HF_ENDPOINT", &network.hub).env("MODEL_DOWNLOAD_RETRY_DELAY", "10ms");
    for (name, value) in &spec.variables {
        command.env(name, translated(folder, value, network));
    }
    // Pods have addresses of their own; processes have ports.
    command.env("WORKER_LISTEN", "127.0.0.1:0").env("SPEECH_FLOW_SERVER_LISTEN", "127.0.0.1:0");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, with its volumes mounted for it alone where that can be done.
fn inside(folder: &Path, mounts: &[(PathBuf, PathBuf, bool)]) -> Command {
    let program = env!("CARGO_BIN_EXE_speech-flow");
    if !can_mount() {
        for (source, place, _) in mounts {
            fs::remove_dir(place).and_then(|()| std::os::unix::fs::symlink(source, place)).expect("a link");
        }
        return Command::new(program);
    }
    let quoted = |path: &Path| format!("'{}'", path.display());
    let mut script = format!("set -e; mount --bind {0} {0}; mount -o remount,bind,ro {0}", quoted(folder));
    for (source, place, read_only) in mounts {
        script += &format!("; mount --bind {} {1}", quoted(source), quoted(place));
        if *read_only {
            script += &format!("; mount -o remount,bind,ro {}", quoted(place));
        }
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &format!("{script}; exec \"$@\""), "sh", program]);
    command
}

/// Source and place of every mount. The places are made.
fn sources(folder: &Path, spec: &Spec, volumes: &Volumes) -> Vec<(PathBuf, PathBuf, bool)> {
    let source = |mount: &Mount| match mount.path.as_str() {
        "/models" => volumes.models.clone(),
        // `subPath: leases` of the volume, which kubelet makes.
        "/leases" => volumes.models.join("leases"),
        "/etc/speech-flow" => volumes.lockfile.clone().expect("a ConfigMap"),
        "/tmp" => folder.with_extension("tmp"),
        other => panic!("what is {other}?"),
    };
    let prepared = |mount: &Mount| {
        let (source, place) = (source(mount), folder.join(&mount.path[1..]));
        fs::create_dir_all(&source).and_then(|()| fs::create_dir_all(&place)).expect("folders");
        (source, place, mount.read_only)
    };
    spec.mounts.iter().map(prepared).collect()
}

/// A value of the manifests on this machine.
fn translated(folder: &Path, value: &str, network: &Network) -> String {
    match value {
        CACHE_SERVER => network.cache_server.clone(),
        HUB => network.hub.clone(),
        path if PLACES.iter().any(|place| path.starts_with(place)) => folder.join(&path[1..]).display().to_string(),
        other => other.to_owned(),
    }
}

/// Whether a process may have mounts of its own here.
#[expect(clippy::print_stderr, reason = "what is not shown is said aloud")]
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        assert!(
            env::var_os("SPEECH_FLOW_REQUIRE_VOLUMES").is_none(),
            "containers cannot have mounts of their own here"
        );
        eprintln!("SKIPPED: read-only mounts; this user cannot mount here, and folders stand for volumes");
    }
    can
}
