//! Why a listener cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustls::pki_types::pem;

/// A listener cannot start.
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
    /// The certificate or its key cannot be used.
    #[error("cannot speak TLS")]
    Tls(#[from] TlsError),
    /// A metric has a name that is none: a fault of this program.
    #[error("the metrics cannot be made")]
    Metrics(#[source] prometheus::Error),
}

/// A certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no PEM.
    #[error("`{}` is no PEM file", path.display())]
    NoPem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file of the certificate holds none.
    #[error("`{}` holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The file of the key holds none that is not encrypted.
    #[error("`{}` holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// Key and certificate do not belong together.
    #[error("the key in `{}` is not the one of the certificate in `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that cannot be used.
    #[error("the certificate in `{}` cannot be used with its key", certificate.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The certificate in place of one that is valid has run out.
    #[error("the certificate in `{}` ran out at {not_after}", certificate.display())]
    Expired {
        /// The file of the certificate.
        certificate: PathBuf,
        /// When.
        not_after: jiff::Timestamp,
    },
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
            Self::Listen { .. } => Some("choose an address of this machine with `--listen`".to_owned()),
            Self::Tls(error) => Some(error.hint()),
            Self::Metrics(_) => None,
        }
    }
}

impl TlsError {
    /// One thing to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path, and that this user may read the file".to_owned(),
            Self::NoPem { .. } | Self::NoCertificate(_) => {
                "write the server's certificate there, then those that vouch for it, each from `-----BEGIN \
                 CERTIFICATE-----` on"
                    .to_owned()
            }
            Self::NoKey(_) => "write the key there without a passphrase: `openssl pkey -in KEY` makes it".to_owned(),
            Self::Mismatch { .. } => {
                "name the key that the certificate was requested with; the server's own certificate comes first"
                    .to_owned()
            }
            Self::Unusable { .. } => "use an ECDSA, Ed25519 or RSA key of at least 2048 bits".to_owned(),
            Self::Expired { .. } => "renew the certificate".to_owned(),
        }
    }
}
