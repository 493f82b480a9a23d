//! Why a server cannot start or go on.

use std::net::SocketAddr;

/// What ends a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The hub cannot be reached with these settings.
    #[error("the settings of the hub cannot be used")]
    Hub(#[source] speech_flow_model_hub::ConfigError),
    /// The caches cannot be used.
    #[error("the caches cannot be used")]
    Manager(#[source] speech_flow_model_manager::Error),
    /// The object store cannot be reached with these settings.
    #[error("the settings of the object store cannot be used")]
    Store(#[source] object_store::Error),
    /// Something cannot be counted.
    #[error("the metrics cannot be made")]
    Metrics(#[source] prometheus::Error),
    /// The listening socket failed.
    #[error("the server ended")]
    Serve(#[source] std::io::Error),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse)
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
                Some(format!("another program has port {}: end it, or choose another with `--listen`", address.port()))
            }
            Self::Store(_) => {
                Some("check `server.store` and the variables of its provider, such as `AWS_REGION`".to_owned())
            }
            Self::Listen { .. } => Some("choose an address of this machine with `--listen`".to_owned()),
            _ => None,
        }
    }
}
