//! Commands that look at the caches or clean them.

use std::time::Duration;

use clap::Args;
use speech_flow_model_types::ByteSize;

use super::duration::parse_duration;
use super::preload::ModelChoice;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  speech-flow list\n  speech-flow list --json | jq '.caches[].repos[].repo'")]
pub(crate) struct ListArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  speech-flow info            the configured models\n  speech-flow info large-v3 --json"
)]
pub(crate) struct InfoArgs {
    /// Models; without one, the configured models
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Exits 1 when a file is missing, damaged or not what its model needs.\n\n\
                  Examples:\n  speech-flow verify          the configured models\n  speech-flow verify large-v3 --json")]
pub(crate) struct VerifyArgs {
    /// Models; without one, the configured models
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Hash every file, whatever was remembered of it; this is the default
    #[arg(long, conflicts_with = "quick")]
    pub(crate) full: bool,
    /// Compare presence, size and format only; hash nothing
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  MODEL_DIR=$(speech-flow path large-v3)")]
pub(crate) struct PathArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
#[command(after_help = "It asks before it removes anything, and refuses without `--yes` where nobody can answer.\n\n\
                  Examples:\n  speech-flow clear large-v2\n  speech-flow clear --all --dry-run\n  speech-flow clear --whisper --yes")]
pub(crate) struct ClearArgs {
    #[command(flatten)]
    pub(crate) choice: ModelChoice,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Without a limit it removes only what is left over from downloads that nobody continues.\n\n\
                  Examples:\n  speech-flow gc --max-size 50GiB --dry-run\n  speech-flow gc --keep-revisions 2 --unused-for 30d")]
pub(crate) struct GcArgs {
    /// Remove the least recently used until each cache is no larger
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,
    /// Keep so many revisions of each model
    #[arg(long, value_name = "N")]
    pub(crate) keep_revisions: Option<usize>,
    /// Remove what nobody used for so long: `12h`, `30d`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) unused_for: Option<Duration>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
