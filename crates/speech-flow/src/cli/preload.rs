//! `preload`, and how models are chosen.

use clap::Args;
use speech_flow_model_types::Revision;

// Which models a command is about. No doc comment: it would stand as the help of a deferred command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ModelChoice {
    /// Models: a Whisper size name, `owner/name[@revision]` or a folder
    #[arg(value_name = "MODEL", conflicts_with_all = ["all", "whisper", "lid"])]
    pub(crate) models: Vec<String>,
    /// Every configured model
    #[arg(long, conflicts_with_all = ["whisper", "lid"])]
    pub(crate) all: bool,
    /// The configured Whisper model
    #[arg(long)]
    pub(crate) whisper: bool,
    /// The configured language identification model
    #[arg(long)]
    pub(crate) lid: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without a model it is `--all`. In a model's place `oci://REGISTRY/NAME:TAG[@DIGEST]` names an artifact of \
                  `speech-flow pack`: all its models are made ready. It exits 0 only when each model is on disk, verified and validated; \
                  one that fails does not stop the others. What arrived before an interruption is kept.\n\n\
                  Examples:\n  \
                  speech-flow preload --all\n  \
                  speech-flow preload large-v3 facebook/mms-lid-126@main\n  \
                  speech-flow preload --all --locked --json\n  \
                  speech-flow preload turbo --dry-run\n  \
                  speech-flow preload --whisper --prepare\n  \
                  speech-flow preload oci://registry.example/models/whisper-large-v3:v1\n  \
                  speech-flow preload openai/whisper-tiny --exclude 'onnx/*' --exclude '*.txt'"
)]
pub(crate) struct PreloadArgs {
    #[command(flatten)]
    pub(crate) choice: ModelChoice,
    /// Branch, tag or commit, for one model
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<Revision>,
    /// Remove the chosen models from the cache first
    #[arg(long, conflicts_with_all = ["info", "dry_run"])]
    pub(crate) clear_cache: bool,
    /// Only say what is on disk
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) info: bool,
    /// Only say what would be fetched
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also keep Whisper's weights in `WHISPER_COMPUTE_TYPE` beside the cache, so that no worker converts them
    #[arg(long, conflicts_with_all = ["info", "dry_run"])]
    pub(crate) prepare: bool,
    /// Accept only what the lockfile says
    #[arg(long)]
    pub(crate) locked: bool,
    /// Take files that match, in place of those that the kind of model needs (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out files that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Speak plain HTTP to a registry; without it only one on this machine is spoken to so
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
