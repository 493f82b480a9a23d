//! Why a server cannot start or go on.

/// What ends a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address or the certificate cannot be used.
    #[error(transparent)]
    Listen(#[from] speech_flow_http_listener::Error),
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
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Listen(error) if error.is_transient())
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen(error) => error.hint(),
            Self::Store(_) => {
                Some("check `server.store` and the variables of its provider, such as `AWS_REGION`".to_owned())
            }
            _ => None,
        }
    }
}
