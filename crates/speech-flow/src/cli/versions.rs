//! Commands about versions: lockfile, updates, pins.

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "Without a flag, entries that still fit the configuration stay as they are and the rest is resolved.\n\n\
                  Examples:\n  speech-flow lock             write speech-flow.lock\n  \
                  speech-flow lock --check     exit 1 when it does not fit the configuration\n  \
                  speech-flow lock --update    take the newest commit of every branch or tag"
)]
pub(crate) struct LockArgs {
    /// Write nothing; exit 1 when the lockfile does not fit the configuration
    #[arg(long, conflicts_with = "update")]
    pub(crate) check: bool,
    /// Resolve every model again
    #[arg(long)]
    pub(crate) update: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "A model is fetched, verified and validated before the lockfile moves.\n\n\
                  Examples:\n  speech-flow update --check   say what moved; exit 1 when something did\n  \
                  speech-flow update large-v3  only this model")]
pub(crate) struct UpdateArgs {
    /// Only these models
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Fetch and write nothing; exit 1 when something moved
    #[arg(long)]
    pub(crate) check: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  speech-flow pin large-v3")]
pub(crate) struct PinArgs {
    /// The models
    #[arg(value_name = "MODEL", required = true)]
    pub(crate) models: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
