//! What the server is told. Plain values: who reads the configuration fills them in.

use std::time::Duration;

use speech_flow_http_listener::{Patience as ConnectionPatience, TlsFiles};
use speech_flow_model_hub::Secret;
use speech_flow_model_manager::Config;
use speech_flow_model_manager::config::UpdatePolicy;
use speech_flow_model_types::RepoId;

use crate::shelf::Patience;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether no hub is asked.
    pub offline: bool,
    /// The server's own access token.
    pub token: Option<Secret>,
    /// Whether reading needs it as well.
    pub protect_reads: bool,
    /// Repositories that are fetched with the server's own hub token and served to every caller.
    pub shared_repos: Vec<String>,
    /// How long metadata is fresh.
    pub metadata_ttl: Duration,
    /// How long the hub's decision about a caller is fresh.
    pub access_ttl: Duration,
    /// How long a decision counts while the hub cannot be asked.
    pub access_grace: Duration,
    /// How long a caller waits for metadata that is not known.
    pub patience: Duration,
    /// How long a caller waits for newer metadata than is known.
    pub newer_patience: Duration,
    /// How long a caller waits for the first byte of a file before it gets the answer's head alone.
    pub first_byte_patience: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// How long clients may take.
    pub connection_patience: ConnectionPatience,
    /// The server's certificate; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Requests of one address at once.
    pub max_per_client: usize,
    /// Files fetched at once.
    pub fetches: usize,
    /// Requests a second to the hub.
    pub request_limit: Option<u32>,
    /// Bytes that each cache may take.
    pub max_size: Option<u64>,
    /// What is done with models that moved on the hub.
    pub updates: UpdatePolicy,
    /// How often it is looked for them.
    pub update_every: Duration,
    /// How long running answers may take to end when the server stops.
    pub drain: Duration,
}

impl Settings {
    /// The settings of a configuration.
    pub fn of(config: &Config) -> Self {
        let server = &config.server;
        Self {
            offline: config.hub.offline.value,
            token: server.token.value.clone(),
            protect_reads: server.protect_reads.value,
            shared_repos: server.shared_repos.value.clone(),
            metadata_ttl: server.metadata_ttl.value,
            access_ttl: server.access_ttl.value,
            // An outage of the hub for an hour stops nobody who could read before.
            access_grace: Duration::from_secs(3600).max(server.access_ttl.value),
            // Clients give up a HEAD after ten seconds.
            patience: Duration::from_secs(8),
            newer_patience: Duration::from_secs(1),
            first_byte_patience: Duration::from_secs(8),
            max_connections: server.max_connections.value as usize,
            connection_patience: ConnectionPatience { idle: server.keep_alive.value, ..ConnectionPatience::default() },
            tls: server.tls.files().map(|(certificate, key)| TlsFiles { certificate, key }),
            max_per_client: server.max_per_client.value as usize,
            fetches: server.fetches.value as usize,
            request_limit: server.request_limit.value,
            max_size: server.max_size.value.map(|size| size.0),
            updates: server.updates.value,
            update_every: server.update_every.value,
            drain: Duration::from_secs(30),
        }
    }

    /// Whether the configuration names the repository as one that all callers share.
    pub(crate) fn is_shared(&self, repo: &RepoId) -> bool {
        self.shared_repos.iter().any(|pattern| match pattern.strip_suffix("/*") {
            Some(owner) => repo.as_str().split_once('/').is_some_and(|(named, _)| named == owner),
            None => pattern == repo.as_str(),
        })
    }

    pub(crate) fn metadata_patience(&self) -> Patience {
        Patience { first: self.patience, newer: self.newer_patience }
    }
}
