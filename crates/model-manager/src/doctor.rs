//! `doctor`: what stands in the way of a model, each finding with what to do.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use speech_flow_model_cache::{Cache, Writability, probe_locks, probe_symlinks, space};
use speech_flow_model_hub::HubError;
use speech_flow_model_types::{ByteSize, ModelSource};

use crate::config::contradictions;
use crate::manager::{EnsureOptions, ModelManager};

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Good,
    /// It works, but worse than it could.
    Warning,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How good it is.
    pub status: Status,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Room below which a cache counts as nearly full: the largest Whisper model in float16.
const LITTLE_ROOM_BYTES: u64 = 3 << 30;

/// Clocks further apart than this confuse ages of leases and downloads.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

impl Finding {
    fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, status: Status::Good, message: message.into(), hint: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, status: Status::Warning, message: message.into(), hint: Some(hint.into()) }
    }

    fn bad(check: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { check, status: Status::Bad, message: message.into(), hint }
    }
}

impl ModelManager {
    /// Looks at the volume, the clock, the variables and the hub. Writes at most small probe files, which
    /// it removes, and only into caches that exist and can be written to.
    pub async fn doctor(&self, options: &EnsureOptions) -> Vec<Finding> {
        let mut findings = Vec::new();
        for cache in self.all_caches() {
            findings.extend(look_at_cache(cache));
        }
        for contradiction in contradictions(&self.inner.config) {
            findings.push(Finding::warning("variables", contradiction.what, contradiction.hint));
        }
        findings.extend(self.look_at_hub(options).await);
        findings
    }

    async fn look_at_hub(&self, options: &EnsureOptions) -> Vec<Finding> {
        if self.is_offline(options) {
            return vec![Finding::good("hub", "offline: no request is made")];
        }
        let network = match self.network() {
            Ok(network) => network,
            Err(error) => return vec![Finding::bad("hub", error.to_string(), error.hint())],
        };
        let mut findings = Vec::new();
        let token = if self.inner.config.hub.token.value.is_some() { "a token is sent" } else { "no token is set" };
        for model in self.inner.config.models() {
            let ModelSource::Hub { repo, revision } = &model.spec.source else { continue };
            findings.push(match network.hub.resolve(repo, revision).await {
                Ok(info) => Finding::good(
                    "hub",
                    format!("{} has `{repo}` at {} ({token})", self.source_name(), info.commit.short()),
                ),
                Err(error) => of_hub_error(&self.source_name(), &error),
            });
        }
        findings
    }
}

fn of_hub_error(source: &str, error: &HubError) -> Finding {
    let check = match error {
        HubError::Unauthorized { .. } | HubError::Gated { .. } => "token",
        _ => "hub",
    };
    let mut message = format!("{source}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    Finding::bad(check, message, error.hint().map(Into::into))
}

fn look_at_cache(cache: &Cache) -> Vec<Finding> {
    let root = cache.layout().root();
    let shown = root.display();
    let Some(folder) = root.ancestors().find(|folder| folder.is_dir()) else {
        return vec![Finding::bad("disk", format!("`{shown}` is on no volume"), None)];
    };
    let mut findings = vec![look_at_space(folder)];
    match cache.writability() {
        Writability::Writable if folder == root => {
            findings.push(Finding::good("permissions", format!("`{shown}` can be written to")));
            findings.extend([look_at_symlinks(root), look_at_locks(root)]);
            findings.extend(look_at_clock(root));
        }
        Writability::Writable => {
            findings.push(Finding::good("permissions", format!("`{shown}` does not exist yet and can be made")));
        }
        Writability::ReadOnly => {
            findings
                .push(Finding::good("permissions", format!("`{shown}` is read-only: models are used, never fetched")));
            if cache.config().lease_dir.is_none() {
                let hint = "set `SPEECH_FLOW_LEASE_DIR` to a small writable folder that readers and the cleaner share";
                findings.push(Finding::warning("leases", "readers of this cache can leave no lease", hint));
            }
        }
        Writability::Denied => {
            let hint = "let the user own the folder, or run with its group (`fsGroup` in Kubernetes)".to_owned();
            findings.push(Finding::bad(
                "permissions",
                format!("`{shown}` cannot be written to by this user"),
                Some(hint),
            ));
        }
    }
    findings
}

fn look_at_space(folder: &Path) -> Finding {
    let shown = folder.display();
    match space(folder) {
        Ok(Some(space)) if space.free < LITTLE_ROOM_BYTES => Finding::warning(
            "disk",
            format!("{} free of {} at `{shown}`", ByteSize(space.free), ByteSize(space.total)),
            "make room with `speech-flow gc --max-size SIZE`, or enlarge the volume",
        ),
        Ok(Some(space)) => {
            Finding::good("disk", format!("{} free of {} at `{shown}`", ByteSize(space.free), ByteSize(space.total)))
        }
        Ok(None) => Finding::good("disk", format!("the volume of `{shown}` does not say how much is free")),
        Err(error) => Finding::bad("disk", format!("`{shown}` cannot be looked at: {error}"), None),
    }
}

fn look_at_symlinks(root: &Path) -> Finding {
    match probe_symlinks(root) {
        Ok(true) => Finding::good("symlinks", format!("`{}` has symlinks", root.display())),
        Ok(false) => Finding::warning(
            "symlinks",
            format!("`{}` has no symlinks: snapshots hold plain files", root.display()),
            "set `HF_HUB_DISABLE_SYMLINKS=1` for Python workers too; on SMB, mount with `mfsymlinks`",
        ),
        Err(error) => Finding::bad("symlinks", format!("`{}` cannot be probed: {error}", root.display()), None),
    }
}

fn look_at_locks(root: &Path) -> Finding {
    match probe_locks(root) {
        Ok(true) => Finding::good("locks", format!("`{}` has working locks", root.display())),
        Ok(false) => Finding::warning(
            "locks",
            format!(
                "locks do nothing on `{}`: writers may fetch the same file twice, and all end right",
                root.display()
            ),
            "let one Job preload, or mount with locks (NFS: version 4; Lustre: `-o flock`)",
        ),
        Err(error) => Finding::bad("locks", format!("`{}` cannot be probed: {error}", root.display()), None),
    }
}

/// Compares the volume's clock with this machine's.
fn look_at_clock(root: &Path) -> Option<Finding> {
    let probe = tempfile_in(root)?;
    let volume = probe.1.metadata().and_then(|metadata| metadata.modified()).ok();
    let _ = std::fs::remove_file(&probe.0);
    let now = SystemTime::now();
    let apart = now.duration_since(volume?).unwrap_or_else(|ahead| ahead.duration());
    Some(if apart > CLOCK_TOLERANCE {
        let message = format!("the clock of the volume and of this machine are {} s apart", apart.as_secs());
        Finding::warning("clock", message, "synchronize both with NTP; leases are judged by the volume's clock")
    } else {
        Finding::good("clock", "the volume and this machine agree on the time")
    })
}

fn tempfile_in(root: &Path) -> Option<(std::path::PathBuf, std::fs::File)> {
    let path = root.join(format!(".speech-flow-clock-{}", std::process::id()));
    let file = std::fs::File::options().write(true).create_new(true).open(&path).ok()?;
    Some((path, file))
}
