//! Asking a service whether it is well.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::parse_duration;

#[derive(Debug, Args)]
#[command(
    after_help = "For the health check of a container, and for scripts. It asks `/readyz` at the address that the service is \
                  configured to listen on, by the loopback where that is every address. Without SERVICE it asks worker and \
                  cache server, and each that answers must be well.\n\n\
                  Examples:\n  \
                  speech-flow health                           is what runs here ready for work?\n  \
                  speech-flow health serve --live              does the cache server still answer at all?\n  \
                  speech-flow health --listen 127.0.0.1:9000   a service that was started with this `--listen`\n\n\
                  Exit codes: 0 well; 1 not, or nothing answers."
)]
pub(crate) struct HealthArgs {
    /// Ask only this one
    #[arg(value_name = "SERVICE")]
    pub(crate) service: Option<ServiceName>,
    /// Ask whether it lives (`/livez`), not whether it is ready for work
    #[arg(long)]
    pub(crate) live: bool,
    /// Address that the service listens on, in place of the configured one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// How long the answer may take
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

// The services that listen. No doc comment: it would stand in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceName {
    /// `worker whisper` or `worker lid`
    Worker,
    /// The cache server
    Serve,
}
