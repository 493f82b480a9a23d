//! A hub behind a certificate of one's own authority.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use speech_flow_demo_hub::DemoHub;
use speech_flow_model_hub::{Hub, HubConfig, HubError, Source};
use speech_flow_model_types::{RepoId, RetryPolicy, Revision};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{full_text, repository};

/// A demo hub behind TLS, and the certificate of who signed for it.
struct TlsHub {
    endpoint: String,
    authority: String,
    _hub: DemoHub,
    _tasks: JoinSet<()>,
}

async fn tls_hub() -> TlsHub {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let hub = DemoHub::builder().repository(repository()).cdn(false).start().await.unwrap();
    let target = hub.endpoint().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            connections.spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(&target).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    TlsHub { endpoint, authority: authority.pem(), _hub: hub, _tasks: tasks }
}

fn config(endpoint: &str) -> HubConfig {
    HubConfig { retry: RetryPolicy::NEVER, ..HubConfig::new(endpoint.parse().unwrap()) }
}

fn repo() -> RepoId {
    "org/model".parse().unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_own_authority_is_trusted_when_it_is_given() {
    let hub = tls_hub().await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, &hub.authority).unwrap();
    let client = Hub::new(HubConfig { ca_file: Some(ca_file), ..config(&hub.endpoint) }).unwrap();
    client.resolve(&repo(), &Revision::main()).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_by_name() {
    let hub = tls_hub().await;
    let client = Hub::new(config(&hub.endpoint)).unwrap();
    let error = client.resolve(&repo(), &Revision::main()).await.unwrap_err();
    assert!(full_text(&error).contains("UnknownIssuer"), "{}", full_text(&error));
    assert!(matches!(error, HubError::Untrusted { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.hint().unwrap().contains("SSL_CERT_FILE"));
}

/// Set in the process that has no certificates.
const WITHOUT_CERTIFICATES: &str = "SPEECH_FLOW_TEST_WITHOUT_CERTIFICATES";

#[tokio::test]
async fn a_machine_without_certificates_reaches_a_plain_hub() {
    if std::env::var_os(WITHOUT_CERTIFICATES).is_none() {
        // The system's certificates are found by variables of the whole process: this test runs itself in another.
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::a_machine_without_certificates_reaches_a_plain_hub"])
            .env("SSL_CERT_FILE", "/absent/ca.pem")
            .env("SSL_CERT_DIR", "/absent")
            .env(WITHOUT_CERTIFICATES, "1")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let hub = DemoHub::builder().repository(repository()).start().await.unwrap();
    Hub::new(config(&hub.endpoint())).unwrap().resolve(&repo(), &Revision::main()).await.unwrap();
    let encrypted = tls_hub().await;
    let error = Hub::new(config(&encrypted.endpoint)).unwrap().resolve(&repo(), &Revision::main()).await.unwrap_err();
    assert!(full_text(&error).contains("UnknownIssuer"), "{}", full_text(&error));
}
