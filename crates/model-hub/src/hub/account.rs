//! Who we are to the hub, and what we may see.

use speech_flow_model_types::RepoId;

use super::Hub;
use super::answers::Asked;
use crate::{HubError, ProtocolFault};

/// Largest answer about an account.
const MAX_DOCUMENT: usize = 1 << 20;

#[derive(serde::Deserialize)]
struct WhoAmI {
    name: String,
}

impl Hub {
    /// The name of the account whose token is configured; `None` when the hub knows no such token, or none
    /// is set. Any answer but an error shows that the hub can be reached.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    ///
    /// # Errors
    /// [`HubError`] when the hub cannot be reached or does not answer as a hub.
    pub async fn account(&self) -> Result<Option<String>, HubError> {
        let url = self.url(["api", "whoami-v2"]);
        match self.document(&url, Asked::Account, MAX_DOCUMENT).await {
            Ok(document) => Ok(Some(document.json::<WhoAmI>()?.name)),
            Err(HubError::Protocol { source: ProtocolFault::Status(401 | 403), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn ask_access(&self, repo: &RepoId) -> Result<(), HubError> {
        let url = self.api_url(repo, &["auth-check"]);
        self.document(&url, Asked::Repo(repo), MAX_DOCUMENT).await?;
        Ok(())
    }
}
