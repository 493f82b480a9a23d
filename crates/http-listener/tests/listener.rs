//! A real listener, and clients that behave badly.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use speech_flow_http_listener::{Closed, Listener, Options, Patience, Peer, Reload, Stats, TlsFiles};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing here takes so long, unless it never ends.
const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    stats: Arc<Stats>,
    reload: Reload,
    /// How many requests for `/slow` came.
    slow: Arc<AtomicUsize>,
    /// Lets their answers go.
    go: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(options: Options) -> Running {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), options).await.expect("listens");
    let (go, stop) = (Arc::<Notify>::default(), CancellationToken::new());
    let slow = Arc::<AtomicUsize>::default();
    let (waiting, counted) = (Arc::clone(&go), Arc::clone(&slow));
    let routes = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/task", get(work))
        .route(
            "/slow",
            get(move || async move {
                let told = waiting.notified();
                counted.fetch_add(1, Ordering::SeqCst);
                told.await;
                "done"
            }),
        )
        .route("/upload", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }));
    let (address, stats, reload) = (listener.address(), listener.stats(), listener.reload());
    let task = tokio::spawn(listener.serve(routes, stop.clone()));
    Running { address, stats, reload, slow, go, stop, task }
}

async fn work(request: Request) -> Response {
    match request.extensions().get::<Peer>() {
        Some(peer) if !peer.is_over => "worked".into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn patient() -> Patience {
    Patience { head: DEADLINE * 9, idle: DEADLINE * 9, send: DEADLINE * 9, receive: DEADLINE * 9 }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.expect("sends");
        stream
    }

    async fn get(&self, path: &str) -> String {
        read(self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await).await
    }

    async fn until(&self, reason: Closed, count: u64) {
        let reached = async {
            while self.stats.closed(reason) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, reached).await.unwrap_or_else(|_| panic!("{reason:?}: {}", self.stats.closed(reason)));
    }
}

impl Running {
    async fn until_slow(&self, count: usize) {
        let reached = async {
            while self.slow.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, reached).await.expect("they come");
    }
}

/// All that comes until the connection ends.
async fn read(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    // A connection that is reset has ended, too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("it ends");
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn clients_that_send_slowly_take_the_service_from_nobody() {
    let running = start(Options { max_connections: 50, patience: patient(), ..Options::default() }).await;
    let mut held = Vec::new();
    for number in 0..200 {
        let begun = if number % 2 == 0 { "GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: " } else { "" };
        held.push(running.send(begun).await);
    }
    for _ in 0..5 {
        assert!(running.get("/livez").await.ends_with("ok"));
        assert!(running.get("/task").await.ends_with("worked"), "there is room for work, too");
    }
    assert!(running.stats.open() <= 50);
    assert!(running.stats.closed(Closed::Evicted) >= 150);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let patience = Patience { head: Duration::from_millis(50), ..patient() };
    let running = start(Options { patience, ..Options::default() }).await;
    assert_eq!(read(running.send("GET /livez HTTP/1.1\r\nhost:").await).await, "");
    assert_eq!(read(running.connect().await).await, "");
    running.until(Closed::Head, 2).await;
    // A head that is too long ends it as well.
    let long = running.send(&format!("GET /livez HTTP/1.1\r\nx: {}", "x".repeat(200 << 10))).await;
    assert!(!read(long).await.contains("200 OK"));
}

#[tokio::test]
async fn a_connection_without_requests_is_ended_and_one_with_a_request_is_not() {
    let patience = Patience { idle: Duration::from_millis(50), head: Duration::from_millis(50), ..patient() };
    let running = start(Options { patience, ..Options::default() }).await;
    let slow = running.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let idle = running.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read(idle).await.ends_with("ok"));
    running.until(Closed::Idle, 1).await;
    running.go.notify_one();
    assert!(read(slow).await.ends_with("done"));
    running.until(Closed::Idle, 2).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_and_a_body_that_stops_end_the_connection() {
    let patience = Patience { send: Duration::from_millis(50), receive: Duration::from_millis(50), ..patient() };
    let running = start(Options { patience, ..Options::default() }).await;
    let unread = running.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    running.until(Closed::Send, 1).await;
    drop(unread);
    let stopped = running.send("POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc").await;
    running.until(Closed::Receive, 1).await;
    assert!(!read(stopped).await.contains("200"));
    let whole = "POST /upload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    assert!(read(running.send(whole).await).await.ends_with('3'));
}

#[tokio::test]
async fn probes_are_answered_while_all_connections_are_at_work() {
    let running = start(Options { max_connections: 3, patience: patient(), ..Options::default() }).await;
    let mut working = Vec::new();
    for number in 1..=3 {
        working.push(running.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await);
        running.until_slow(number).await;
    }
    assert!(running.get("/task").await.starts_with("HTTP/1.1 503"), "more work is refused");
    let probe = running.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read(probe).await.contains("connection: close"), "its place is needed");
    running.go.notify_waiters();
    drop(working);
    let has_room = async {
        while !running.get("/task").await.ends_with("worked") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, has_room).await.expect("there is room again");
}

#[tokio::test]
async fn a_service_that_ends_finishes_answers_and_ends_what_waits() {
    let running = start(Options { patience: patient(), ..Options::default() }).await;
    let slow = running.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let (idle, silent) = (running.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await, running.connect().await);
    running.until_slow(1).await;
    while running.stats.open() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop.cancel();
    assert!(read(idle).await.ends_with("ok"));
    assert_eq!(read(silent).await, "");
    assert!(!running.task.is_finished());
    running.go.notify_one();
    assert!(read(slow).await.ends_with("done"));
    timeout(DEADLINE, running.task).await.expect("it ends").expect("no panic");
    assert!(TcpStream::connect(running.address).await.is_err());
}

/// A private certificate authority and the files of a server.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        Self { issuer, folder: TempDir::new().expect("temp folder") }
    }

    /// Puts another certificate in place; its serial number tells it apart.
    fn issue(&self, serial: u64) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.serial_number = Some(serial.into());
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let files =
            TlsFiles { certificate: self.folder.path().join("tls.crt"), key: self.folder.path().join("tls.key") };
        fs::write(&files.certificate, certificate.pem()).expect("writes");
        fs::write(&files.key, key.serialize_pem()).expect("writes");
        files
    }

    async fn connect(&self, address: SocketAddr) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.expect("connects");
        let name = ServerName::try_from("localhost").expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("agrees")
    }
}

fn serial(stream: &tokio_rustls::client::TlsStream<TcpStream>) -> String {
    let certificates = stream.get_ref().1.peer_certificates().expect("certificates");
    x509_parser::parse_x509_certificate(&certificates[0]).expect("reads").1.serial.to_string()
}

async fn ask(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sends");
    let mut read = Vec::new();
    while !read.ends_with(b"ok") {
        assert!(stream.read_buf(&mut read).await.expect("reads") > 0);
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_open_connections_stay() {
    let authority = Authority::new();
    let options = Options { tls: Some(authority.issue(1)), patience: patient(), ..Options::default() };
    let running = start(options).await;
    let mut before = authority.connect(running.address).await;
    ask(&mut before).await;
    assert_eq!(serial(&before), "1");
    authority.issue(2);
    running.reload.ask();
    let taken = async {
        loop {
            let mut stream = authority.connect(running.address).await;
            ask(&mut stream).await;
            if serial(&stream) == "2" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, taken).await.expect("the new one is taken");
    ask(&mut before).await;
    assert_eq!(running.stats.reloads(), (1, 0));
    // Its key is not there yet: nothing changes.
    fs::write(authority.folder.path().join("tls.key"), "").expect("writes");
    running.reload.ask();
    let said = async {
        while running.stats.reloads() != (1, 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, said).await.expect("it is said");
    assert_eq!(serial(&authority.connect(running.address).await), "2");
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_is_let_go() {
    let authority = Authority::new();
    let patience = Patience { head: Duration::from_millis(100), ..patient() };
    let running = start(Options { tls: Some(authority.issue(1)), patience, ..Options::default() }).await;
    read(running.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
    running.until(Closed::Handshake, 1).await;
    read(running.connect().await).await;
    running.until(Closed::Head, 1).await;
    ask(&mut authority.connect(running.address).await).await;
}
