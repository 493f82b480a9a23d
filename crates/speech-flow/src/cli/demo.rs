//! The demo and its hub.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "It takes a few seconds and needs no network. `SPEECH_FLOW_PYTHON` names a Python with huggingface_hub, \
                  which then reads the same cache; `make demo` sets it.\n\n\
                  Examples:\n  speech-flow demo\n  speech-flow demo --keep ./demo-cache"
)]
pub(crate) struct DemoArgs {
    /// Use this folder and keep it, in place of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It prints its address on stdout once it listens. It serves tiny models under the names that a default \
                  configuration asks for, and `speech-flow/tiny-whisper`, `…-ct2`, `tiny-lid`, `demo/gated`, `demo/private`.\n\n\
                  Examples:\n  \
                  speech-flow demo-hub --listen 127.0.0.1:8090\n  \
                  HF_ENDPOINT=http://127.0.0.1:8090 speech-flow preload --all\n  \
                  speech-flow demo-hub --repo me/mine=./folder --faults faults.json"
)]
pub(crate) struct DemoHubArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = loopback())]
    pub(crate) listen: SocketAddr,
    /// Address of the second port, where large files are, as at the Hub
    #[arg(long, value_name = "ADDR", default_value_t = loopback(), conflicts_with = "no_cdn")]
    pub(crate) cdn_listen: SocketAddr,
    /// Send large files from the first port
    #[arg(long)]
    pub(crate) no_cdn: bool,
    /// Entries of a listing on one page
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) page_size: usize,
    /// JSON file with rules for faults
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Serve a folder as a repository (repeatable)
    #[arg(long, value_name = "NAME=DIR", value_parser = folder)]
    pub(crate) repo: Vec<(String, PathBuf)>,
    /// Let other processes set faults and read the request log, at `/demo`
    #[arg(long)]
    pub(crate) fault_control: bool,
    /// Put a relative redirect before small files, as the Hub does for renamed repositories
    #[arg(long)]
    pub(crate) relative_redirects: bool,
    /// Do not serve the embedded models
    #[arg(long)]
    pub(crate) no_models: bool,
    /// Print the addresses as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), folder.into())),
        _ => Err("it takes `owner/name=FOLDER`".to_owned()),
    }
}
