//! The certificate: read, checked, and taken anew when its files change.
//!
//! A certificate is renewed while the service runs, by a person or by a controller that swaps the files of a
//! mounted volume. So the content of both files is compared every few seconds, which works on any volume, and at
//! once when the service is told to ([`crate::Reload`]). Connections that are open keep what they agreed on. A pair
//! that cannot be used, such as a new certificate beside the old key, leaves the one before in place.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::TlsError;
use crate::options::TlsFiles;
use crate::stats::Stats;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A certificate that runs out sooner is worth a warning.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// A certificate that may change.
pub(crate) struct Tls {
    files: TlsFiles,
    current: Mutex<Arc<ServerConfig>>,
    stats: Arc<Stats>,
}

/// The text of both files.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What was made of it.
struct Loaded {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl Tls {
    /// Reads the files. Blocks.
    pub(crate) fn load(files: TlsFiles, stats: Arc<Stats>) -> Result<Self, TlsError> {
        let loaded = make(&files, &read(&files)?)?;
        tell(&files, loaded.not_after, &stats);
        Ok(Self { current: Mutex::new(loaded.config), files, stats })
    }

    /// Agrees on TLS with a client.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Takes the files anew when they change, for ever.
    pub(crate) async fn keep_fresh(&self, asked: &Notify) {
        let mut seen: Option<Content> = None;
        let mut is_asked = false;
        loop {
            let files = self.files.clone();
            let content = match tokio::task::spawn_blocking(move || read(&files)).await {
                Ok(content) => content,
                // The service ends.
                Err(_) => return,
            };
            match content {
                Ok(content) => {
                    let is_known = seen.as_ref() == Some(&content);
                    // The first look is the content that is in use, or became another one just now.
                    if !is_known && (seen.is_some() || is_asked) {
                        self.take(&content);
                    }
                    seen = Some(content);
                }
                Err(error) if is_asked => self.stays(&error),
                // Files are away for a moment while they are swapped.
                Err(error) => tracing::debug!(%error, "the certificate cannot be read now"),
            }
            is_asked = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                () = asked.notified() => true,
            };
        }
    }

    fn take(&self, content: &Content) {
        match make(&self.files, content).and_then(|loaded| self.not_expired(loaded)) {
            Ok(loaded) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = loaded.config;
                self.stats.reloaded(true);
                tell(&self.files, loaded.not_after, &self.stats);
            }
            Err(error) => self.stays(&error),
        }
    }

    /// One that has run out takes the place of no other.
    fn not_expired(&self, loaded: Loaded) -> Result<Loaded, TlsError> {
        match loaded.not_after.filter(|not_after| *not_after <= Timestamp::now()) {
            Some(not_after) => Err(TlsError::Expired { certificate: self.files.certificate.clone(), not_after }),
            None => Ok(loaded),
        }
    }

    fn stays(&self, error: &TlsError) {
        self.stats.reloaded(false);
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        tracing::error!(hint = error.hint(), "{error}{cause}: the certificate from before stays in use");
    }
}

fn tell(files: &TlsFiles, not_after: Option<Timestamp>, stats: &Stats) {
    let certificate = files.certificate.display();
    let Some(not_after) = not_after else {
        tracing::info!(%certificate, "a certificate is in use");
        return;
    };
    stats.not_after.set(not_after.as_second());
    let left = not_after.duration_since(Timestamp::now());
    if left.is_negative() {
        tracing::error!(%certificate, %not_after, "the certificate has run out: clients refuse it");
    } else if left.unsigned_abs() < SOON {
        tracing::warn!(%certificate, %not_after, "the certificate runs out soon");
    } else {
        tracing::info!(%certificate, %not_after, "a certificate is in use");
    }
}

fn read(files: &TlsFiles) -> Result<Content, TlsError> {
    let read = |path: &Path| fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source });
    Ok(Content { certificate: read(&files.certificate)?, key: read(&files.key)? })
}

fn make(files: &TlsFiles, content: &Content) -> Result<Loaded, TlsError> {
    let TlsFiles { certificate, key } = files;
    let broken = |path: &Path, source| TlsError::NoPem { path: path.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.certificate).collect();
    let chain = chain.map_err(|source| broken(certificate, source))?;
    let Some(first) = chain.first() else { return Err(TlsError::NoCertificate(certificate.clone())) };
    let not_after = not_after(first);
    let secret = PrivateKeyDer::from_pem_slice(&content.key).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey(key.clone()),
        source => broken(key, source),
    })?;
    let unusable = |source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() },
        source => TlsError::Unusable { certificate: certificate.clone(), source },
    };
    // The ring provider, whatever other provider the process may have installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), not_after })
}

/// When a certificate runs out; `None` for one that does not say so in a way that can be read.
fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;

    fn stats() -> Arc<Stats> {
        Arc::new(Stats::new("", true).expect("sound names"))
    }

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(TempDir::new().expect("temp folder"))
        }

        fn files(&self) -> TlsFiles {
            TlsFiles { certificate: self.0.path().join("tls.crt"), key: self.0.path().join("tls.key") }
        }

        fn put(&self, certificate: &str, key: &str) -> TlsFiles {
            let files = self.files();
            fs::write(&files.certificate, certificate).expect("writes");
            fs::write(&files.key, key).expect("writes");
            files
        }
    }

    fn pair(until: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(until, 1, 1);
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    #[track_caller]
    fn refused(certificate: &str, key: &str, message: &str) {
        let folder = Folder::new();
        let error = Tls::load(folder.put(certificate, key), stats()).err().expect("it is no good");
        let said = error.to_string().replace(&format!("{}/", folder.0.path().display()), "");
        assert_eq!(said, message);
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn each_fault_is_told_apart() {
        let (good, key) = pair(4000);
        let (_, other) = pair(4000);
        refused("", &key, "`tls.crt` holds no certificate in PEM");
        refused(&good, "", "`tls.key` holds no private key in PEM");
        refused(&good, &good, "`tls.key` holds no private key in PEM");
        refused(&good, &other, "the key in `tls.key` is not the one of the certificate in `tls.crt`");
        refused(&good.replace("-----END", "----END"), &key, "`tls.crt` is no PEM file");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAo=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        refused(&good, encrypted, "`tls.key` holds no private key in PEM");
        let folder = Folder::new();
        let absent = TlsFiles { certificate: PathBuf::from("/nowhere/tls.crt"), ..folder.files() };
        let error = Tls::load(absent, stats()).err().expect("it is not there");
        assert_eq!(error.to_string(), "cannot read `/nowhere/tls.crt`");
    }

    #[test]
    fn it_is_known_when_a_certificate_runs_out() {
        let (folder, stats) = (Folder::new(), stats());
        let (certificate, key) = pair(2999);
        Tls::load(folder.put(&certificate, &key), Arc::clone(&stats)).expect("loads");
        // `date -u -d 2999-01-01 +%s`
        assert_eq!(stats.not_after.get(), 32_472_144_000);
    }

    #[test]
    fn a_bad_pair_leaves_the_one_before_in_use() {
        let (folder, stats) = (Folder::new(), stats());
        let (certificate, key) = pair(3000);
        let tls = Tls::load(folder.put(&certificate, &key), Arc::clone(&stats)).expect("loads");
        let (newer, newer_key) = pair(3001);
        let (expired, expired_key) = pair(2001);
        let take = |certificate: &str, key: &str| {
            tls.take(&Content { certificate: certificate.into(), key: key.into() });
            stats.reloads()
        };
        let before = Arc::clone(&tls.current.lock().expect("not poisoned"));
        assert_eq!(take(&newer, &key), (0, 1), "half of a renewal");
        assert_eq!(take(&expired, &expired_key), (0, 2), "out of date");
        assert!(Arc::ptr_eq(&before, &tls.current.lock().expect("not poisoned")));
        assert_eq!(take(&newer, &newer_key), (1, 2));
        assert!(!Arc::ptr_eq(&before, &tls.current.lock().expect("not poisoned")));
    }
}
