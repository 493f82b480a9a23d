//! What every service takes from the configuration for its socket.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::Layers;
use super::options::Declared;
use super::origin::Setting;
use super::{ConfigError, options};

/// The certificate of a service, and its key.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    certificate: Setting<Option<PathBuf>>,
    key: Setting<Option<PathBuf>>,
}

/// How long a connection may stay open without a request. Longer than most load balancers keep theirs.
pub(super) const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(75);

impl TlsSettings {
    /// The files of the certificate and of its key, where the service speaks TLS.
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.value.clone().zip(self.key.value.clone())
    }
}

pub(super) fn server_tls(layers: &mut Layers<'_>) -> Result<TlsSettings, ConfigError> {
    load(layers, &options::SERVER_TLS_CERTIFICATE, &options::SERVER_TLS_KEY)
}

pub(super) fn worker_tls(layers: &mut Layers<'_>) -> Result<TlsSettings, ConfigError> {
    load(layers, &options::WORKER_TLS_CERTIFICATE, &options::WORKER_TLS_KEY)
}

/// One without the other is an error: whoever asked for TLS must not get plain HTTP.
fn load(
    layers: &mut Layers<'_>,
    certificate: &Declared<PathBuf>,
    key: &Declared<PathBuf>,
) -> Result<TlsSettings, ConfigError> {
    let tls = TlsSettings { certificate: layers.optional(certificate)?, key: layers.optional(key)? };
    let alone = |given: &Declared<PathBuf>, missing: &Declared<PathBuf>| {
        let [given, missing] = [given, missing].map(|declared| declared.declaration.variables[0]);
        Err(ConfigError::Alone { given, missing })
    };
    match (&tls.certificate.value, &tls.key.value) {
        (Some(_), None) => alone(certificate, key),
        (None, Some(_)) => alone(key, certificate),
        _ => Ok(tls),
    }
}
