//! `identify`.

use std::path::PathBuf;

use clap::Args;

use super::transcribe::EngineArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Several stretches of speech are listened to, wherever they are in the recording. Below a floor of certainty the \
                  language is `und`. A recording that fails does not stop the others; the exit code is then 1.\n\n\
                  Examples:\n  \
                  speech-flow identify call.ogg\n  \
                  speech-flow identify *.wav --json | jq -r '.results[] | [.file, .language] | @tsv'\n  \
                  speech-flow identify a.flac --plain --top 3"
)]
pub(crate) struct IdentifyArgs {
    /// Recordings; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The model, in place of the configured one: `owner/name[@revision]` or a folder
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Listen to the first 30 s as they are, without voice activity detection, and never answer `und`
    #[arg(long)]
    pub(crate) plain: bool,
    /// Languages that are named, the likeliest first
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) top: usize,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
