//! The cache server.

use std::net::SocketAddr;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "It prints its address on stdout once it listens. Clients set `HF_ENDPOINT` to it and need no other change; \
                  one that holds a cache from the hub itself also sets `HF_HUB_DISABLE_XET=1`. The lockfile, where there is \
                  one, settles what its revisions stand for. With `--offline` it asks no hub and serves what it has.\n\n\
                  Examples:\n  \
                  speech-flow serve --listen 0.0.0.0:8090\n  \
                  HF_ENDPOINT=http://cache:8090 hf download Systran/faster-whisper-tiny.en\n  \
                  HF_ENDPOINT=http://cache:8090 speech-flow preload --all"
)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Print the address as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
