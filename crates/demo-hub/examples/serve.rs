//! Runs the demo hub until it is interrupted: `cargo run -p speech-flow-demo-hub --example serve [PORT] [PAGE_SIZE]`.
//! With a page size small files are behind redirects too, as at the Hub.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use speech_flow_demo_hub::{ServeOptions, serve};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let page_size: Option<usize> = std::env::args().nth(2).map(|size| size.parse()).transpose()?;
    let standard = ServeOptions::default();
    let options = ServeOptions {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        fault_control: true,
        page_size: page_size.unwrap_or(standard.page_size),
        relative_redirects: page_size.is_some(),
        ..standard
    };
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        // The process ends with the hub, so nobody waits for this task.
        let _ = tokio::signal::ctrl_c().await;
        interrupted.cancel();
    });
    let ready = |hub: &speech_flow_demo_hub::DemoHub| {
        let _ = writeln!(std::io::stdout(), "HF_ENDPOINT={}", hub.endpoint());
    };
    Ok(serve(options, ready, stop).await?)
}
