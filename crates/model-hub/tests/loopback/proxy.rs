//! Proxies by configuration.

use std::sync::{Arc, Mutex};

use speech_flow_demo_hub::DemoHub;
use speech_flow_model_hub::{ConfigError, Hub, HubConfig, ProxyConfig, Secret, Source};
use speech_flow_model_types::{RetryPolicy, Revision};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Scene, repository};

/// A proxy that forwards plain requests and opens tunnels, and writes down each first line.
struct Proxy {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

async fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let log = Arc::clone(&lines);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            connections.spawn(async move {
                let _ = serve(client, &log).await;
            });
        }
    });
    Proxy { address, lines, _tasks: tasks }
}

async fn serve(client: TcpStream, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut first = String::new();
    client.read_line(&mut first).await?;
    log.lock().unwrap().push(first.trim().to_owned());
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    if first.starts_with("CONNECT ") {
        let mut line = String::new();
        while client.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let mut server = TcpStream::connect(&target).await?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut client, &mut server).await?;
    } else {
        let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let mut server = TcpStream::connect(authority).await?;
        // Our server takes the absolute form as well; only the first line was read so far.
        server.write_all(first.replacen(&format!("http://{authority}"), "", 1).as_bytes()).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

#[tokio::test]
async fn plain_requests_go_through_the_http_proxy() {
    let proxy = proxy().await;
    let builder = DemoHub::builder().repository(repository()).cdn(false);
    let scene = Scene::of(builder, |config| config.proxies.http = Some(proxy.address.parse().unwrap())).await;
    scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap();
    let lines = proxy.lines.lock().unwrap().clone();
    let expected = format!("GET {}/api/models/org/model/revision/main HTTP/1.1", scene.hub.endpoint());
    assert_eq!(lines, [expected]);
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel() {
    let proxy = proxy().await;
    let mut config = HubConfig::new("https://127.0.0.1:1".parse().unwrap());
    config.retry = RetryPolicy::NEVER;
    config.token = Secret::from_text("hf_secret");
    config.proxies.all = Some(proxy.address.parse().unwrap());
    let outcome = Hub::new(config).unwrap().account().await;
    assert!(outcome.unwrap_err().is_transient());
    assert_eq!(*proxy.lines.lock().unwrap(), ["CONNECT 127.0.0.1:1 HTTP/1.1"]);
}

#[tokio::test]
async fn hosts_that_are_excepted_are_reached_directly() {
    let proxy = proxy().await;
    let scene = Scene::of(DemoHub::builder().repository(repository()), |config| {
        let address = Some(proxy.address.parse().unwrap());
        config.proxies =
            ProxyConfig { http: address, no_proxy: Some("localhost,127.0.0.0/8".into()), ..Default::default() };
    })
    .await;
    scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap();
    assert!(proxy.lines.lock().unwrap().is_empty());
}

#[test]
fn settings_that_cannot_work_are_named() {
    let error = |change: fn(&mut HubConfig)| {
        let mut config = HubConfig::default();
        change(&mut config);
        Hub::new(config).unwrap_err()
    };
    let socks = error(|config| config.proxies.all = Some("socks5://user:secret@127.0.0.1:1".parse().unwrap()));
    assert!(matches!(socks, ConfigError::Proxy(_)));
    assert!(!format!("{socks:?} {socks}").contains("secret"));
    assert!(matches!(error(|config| config.endpoint = "file:///x".parse().unwrap()), ConfigError::Endpoint(_)));
    assert!(matches!(error(|config| config.token = Secret::from_text("a\u{1}b")), ConfigError::Header("token")));
    assert!(matches!(error(|config| config.ca_file = Some("/absent.pem".into())), ConfigError::CaFile { .. }));
    assert!(matches!(error(|config| config.ca_file = Some("/dev/null".into())), ConfigError::NoCertificate(_)));
}
