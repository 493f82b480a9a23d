//! Automatic updates: what moved on the hub since models were locked.
//!
//! Every `server.update-every` each locked model's branch or tag is looked up. Where it stands for another commit,
//! that commit is fetched and validated, beside the one that is locked. Then the policy says whether the lockfile
//! moves, or whether people are told only. A commit that does not validate never moves it.
//!
//! The old entry is kept, with its files pinned, so that [`Server::roll_back`] takes no download. A commit that was
//! rolled back is not taken again by the schedule.
//!
//! Replicas on one volume share a record of the last run and a lock. The lock only saves work: two runs at once end
//! in the same lockfile, since an entry moves only from the commit that was looked at.

use serde::{Deserialize, Serialize};
use speech_flow_model_manager::lockfile::{LockedModel, Lockfile};

mod record;
mod run;
mod schedule;

pub(crate) use run::NoWayBack;

use crate::server::Server;

/// What is known of updates, as it is written down and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) schema: u32,
    /// When the last run ended.
    pub(crate) checked: Option<jiff::Timestamp>,
    pub(crate) models: Vec<ModelRecord>,
}

/// What is known of one locked model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub(crate) repo: String,
    pub(crate) revision: String,
    /// The commit in the lockfile.
    pub(crate) locked: String,
    /// What the revision stands for on the hub, when it was last asked.
    pub(crate) found: Option<String>,
    pub(crate) state: State,
    /// Since when it is in this state.
    pub(crate) since: jiff::Timestamp,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) error: Option<String>,
    /// The entry before, as a lockfile of its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) previous: Option<String>,
    /// The commit that was rolled back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) rejected: Option<String>,
}

/// Where a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// The lockfile has what the hub has.
    Current,
    /// A newer commit is here, valid, and waits for somebody to move the lockfile.
    Ready,
    /// The lockfile was moved to it.
    Applied,
    /// A newer commit was rolled back and is not taken again.
    Rejected,
    /// The hub could not be asked, or the newer commit cannot be fetched or is no valid model.
    Failed,
}

/// Updates as they are shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    pub(crate) schema: u32,
    pub(crate) policy: &'static str,
    pub(crate) every_seconds: u64,
    pub(crate) is_running: bool,
    pub(crate) last_run: Option<String>,
    pub(crate) models: Vec<ModelView>,
}

/// One model of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ModelView {
    pub(crate) model: String,
    pub(crate) revision: String,
    pub(crate) locked: String,
    pub(crate) found: Option<String>,
    pub(crate) state: State,
    pub(crate) since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The commit that a rollback goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
}

impl State {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Ready => "ready",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

impl Record {
    pub(crate) fn find(&self, locked: &LockedModel) -> Option<&ModelRecord> {
        self.models.iter().find(|model| model.is_of(locked))
    }
}

impl ModelRecord {
    pub(crate) fn is_of(&self, locked: &LockedModel) -> bool {
        self.repo == locked.repo().as_str() && self.revision == locked.revision().as_str()
    }

    /// The entry that a rollback goes to.
    pub(crate) fn previous(&self) -> Option<LockedModel> {
        Lockfile::parse(self.previous.as_ref()?).ok()?.models().first().cloned()
    }

    fn view(&self) -> ModelView {
        ModelView {
            model: self.repo.clone(),
            revision: self.revision.clone(),
            locked: self.locked.clone(),
            found: self.found.clone(),
            state: self.state,
            since: self.since.to_string(),
            error: self.error.clone(),
            previous: self.previous().map(|previous| previous.commit().to_string()),
        }
    }
}

impl Server {
    /// What is known of updates of models that the caller may know of. Blocks.
    pub(crate) fn updates(&self, caller: &crate::caller::Caller) -> View {
        let record = self.read_record();
        let may_see = |model: &&ModelRecord| {
            caller.is_admin || model.repo.parse().is_ok_and(|repo| !crate::metadata::disk::is_restricted(self, &repo))
        };
        let settings = &self.inner.settings;
        View {
            schema: 1,
            policy: settings.updates.as_str(),
            every_seconds: settings.update_every.as_secs(),
            is_running: self.inner.updating.try_lock().is_err(),
            last_run: record.checked.map(|checked| checked.to_string()),
            models: record.models.iter().filter(may_see).map(ModelRecord::view).collect(),
        }
    }
}
