//! What the cache server takes from the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use speech_flow_model_hub::Secret;
use speech_flow_model_types::ByteSize;

use super::layers::Layers;
use super::listen::{DEFAULT_KEEP_ALIVE, TlsSettings, server_tls};
use super::origin::Setting;
use super::store::{StoreSettings, load_store};
use super::{ConfigError, UpdatePolicy, options};

/// How the cache server is reached, whom it serves, and its limits.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: Setting<SocketAddr>,
    /// Its certificate, where it speaks TLS.
    pub tls: TlsSettings,
    /// Its own access token, when one is set.
    pub token: Setting<Option<Secret>>,
    /// Whether reading needs the access token as well.
    pub protect_reads: Setting<bool>,
    /// Repositories that are fetched with the server's own token and served to every caller.
    pub shared_repos: Setting<Vec<String>>,
    /// How long metadata is served before the hub is asked again.
    pub metadata_ttl: Setting<Duration>,
    /// How long the hub's decision about a caller counts.
    pub access_ttl: Setting<Duration>,
    /// Connections at once.
    pub max_connections: Setting<u32>,
    /// How long a connection may stay open without a request.
    pub keep_alive: Setting<Duration>,
    /// Requests of one address at once.
    pub max_per_client: Setting<u32>,
    /// Files fetched from the hub at once.
    pub fetches: Setting<u32>,
    /// Requests a second to the hub; as many as come when `None`.
    pub request_limit: Setting<Option<u32>>,
    /// Bytes that each cache may take; a share of the volume when `None`.
    pub max_size: Setting<Option<ByteSize>>,
    /// What is done with locked models that moved on the hub.
    pub updates: Setting<UpdatePolicy>,
    /// How often it is looked for them.
    pub update_every: Setting<Duration>,
    /// The object store behind it.
    pub store: StoreSettings,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
const DEFAULT_UPDATE_EVERY: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_TTL: Duration = Duration::from_secs(60);

pub(super) fn load_server(layers: &mut Layers<'_>) -> Result<ServerSettings, ConfigError> {
    Ok(ServerSettings {
        listen: layers.setting(&options::SERVER_LISTEN, || Ok(DEFAULT_LISTEN))?,
        tls: server_tls(layers)?,
        token: layers.setting(&options::SERVER_TOKEN, || Ok(None))?,
        protect_reads: layers.setting(&options::SERVER_PROTECT_READS, || Ok(false))?,
        shared_repos: layers.setting(&options::SERVER_SHARED, || Ok(Vec::new()))?,
        metadata_ttl: layers.setting(&options::SERVER_METADATA_TTL, || Ok(DEFAULT_TTL))?,
        access_ttl: layers.setting(&options::SERVER_ACCESS_TTL, || Ok(DEFAULT_TTL))?,
        max_connections: layers.setting(&options::SERVER_CONNECTIONS, || Ok(1024))?,
        keep_alive: layers.setting(&options::SERVER_KEEP_ALIVE, || Ok(DEFAULT_KEEP_ALIVE))?,
        max_per_client: layers.setting(&options::SERVER_PER_CLIENT, || Ok(256))?,
        fetches: layers.setting(&options::SERVER_FETCHES, || Ok(16))?,
        request_limit: layers.optional(&options::SERVER_REQUEST_LIMIT)?,
        max_size: layers.optional(&options::SERVER_MAX_SIZE)?,
        updates: layers.setting(&options::SERVER_UPDATES, || Ok(UpdatePolicy::Never))?,
        update_every: layers.setting(&options::SERVER_UPDATE_EVERY, || Ok(DEFAULT_UPDATE_EVERY))?,
        store: load_store(layers)?,
    })
}
