//! Whom to trust: the system's certificates and, beside them, a bundle of the user's.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::ConfigError;

/// Sets up TLS with the ring provider, whatever other provider the process may have installed.
///
/// A machine without certificates (a bare container) must still reach a hub over plain HTTP: there, nobody
/// is trusted and only the handshake fails.
///
/// # Errors
/// [`ConfigError`] when the bundle cannot be used: better than an unknown issuer in every handshake.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ConfigError> {
    let extra = ca_file.map(read_bundle).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Client(error.into()))?;
    let has_extra = !extra.is_empty();
    let trusted = match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(_) if has_extra => {
            let bundle = ca_file.map(Path::to_owned).unwrap_or_default();
            return Err(ConfigError::NoCertificate(bundle));
        }
        Err(error) => {
            tracing::debug!(%error, "the system has no certificates: no https server can be trusted");
            versions.with_root_certificates(rustls::RootCertStore::empty())
        }
    };
    let mut config = trusted.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_bundle(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let unreadable = |source| ConfigError::CaFile { path: path.to_owned(), source };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let certificates = certificates.map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(ConfigError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}
