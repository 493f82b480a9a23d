//! What can be typed.

mod cache;
mod demo;
mod duration;
mod health;
mod identify;
mod pack;
mod preload;
mod serve;
mod transcribe;
mod versions;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use cache::{ClearArgs, GcArgs, InfoArgs, ListArgs, PathArgs, VerifyArgs};
pub(crate) use demo::{DemoArgs, DemoHubArgs};
pub(crate) use health::{HealthArgs, ServiceName};
pub(crate) use identify::IdentifyArgs;
pub(crate) use pack::{PackArgs, PackFormat};
pub(crate) use preload::{ModelChoice, PreloadArgs};
pub(crate) use serve::ServeArgs;
pub(crate) use transcribe::{OutputFormat, TranscribeArgs};
pub(crate) use versions::{LockArgs, PinArgs, UpdateArgs};
pub(crate) use worker::{WorkerArgs, WorkerKind};

/// Gets speech models to workers: fetched once, verified, pinned to a version, shared by every process.
#[derive(Debug, Parser)]
#[command(
    name = "speech-flow",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "MODEL is a Whisper size name (`tiny.en` … `large-v3`, `turbo`, `distil-large-v3`), `owner/name[@revision]` \
                  or a folder.\n\n\
                  Examples:\n  \
                  speech-flow preload --all            fetch the configured models, verify them, keep them\n  \
                  speech-flow preload large-v3 --json  one model, as one JSON document\n  \
                  speech-flow path large-v3            print the folder that a worker loads\n  \
                  speech-flow demo                     see it all, without a network\n\n\
                  Exit codes: 0 done; 1 the request cannot be met (not found, no access, failed verification, not in \
                  the cache, no space); 2 wrong usage or an unexpected error; 128 + n ended by signal n."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Base of all caches, in place of `MODEL_CACHE_DIR` and the folders below it
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Configuration file, in place of the usual ones
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Make no request; what is not in the cache is an error
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Log more on stderr; twice for decisions, three times for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show no progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// The commands. Deferred: only the options of the one that is typed are built, a third of parsing's cost.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Make models ready: fetch what is missing, verify, validate
    Preload(PreloadArgs),
    /// List what is in the caches
    List(ListArgs),
    /// Say which version of a model is on disk, where, and where it came from; asks no network
    Info(InfoArgs),
    /// Hash every file of models and compare; asks no network
    Verify(VerifyArgs),
    /// Print the folder of a model that is on disk; asks no network
    Path(PathArgs),
    /// Remove models from the caches; what is in use or pinned stays
    Clear(ClearArgs),
    /// Write the lockfile: the exact commit and hashes of every configured model
    Lock(LockArgs),
    /// Move locked models to what their branch or tag stands for now
    Update(UpdateArgs),
    /// Keep the versions on disk from being cleaned up
    Pin(PinArgs),
    /// Let pinned versions be cleaned up again
    Unpin(PinArgs),
    /// Remove old and unused versions; what is in use or pinned stays
    Gc(GcArgs),
    /// Pack models as an OCI artifact, for a registry or a folder
    Pack(PackArgs),
    /// Write down what is said in recordings
    Transcribe(TranscribeArgs),
    /// Say which language is spoken in recordings
    Identify(IdentifyArgs),
    /// Serve the models of the cache to a cluster, and fetch what is missing: a nearer Hub
    Serve(ServeArgs),
    /// Transcribe or identify languages for other programs, over HTTP
    Worker(WorkerArgs),
    /// Ask the worker or cache server of this machine whether it is ready
    Health(HealthArgs),
    /// Show every setting with its value and where it came from
    Config(JsonArgs),
    /// Check disk, permissions, hub, token and settings, and say what to do
    Doctor(DoctorArgs),
    /// Show what this program does, on an embedded hub and without a network
    Demo(DemoArgs),
    /// Serve an embedded hub with tiny models, for tests and trials
    DemoHub(DemoHubArgs),
    /// Print a completion script
    Completions(CompletionsArgs),
    /// Print the manual, or write one page for each command
    Man(ManArgs),
}

/// For commands with no other option.
#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  speech-flow doctor                   is anything in the way of the configured models?\n  \
                  speech-flow doctor --model large-v3  how much memory does a worker with it need?"
)]
pub(crate) struct DoctorArgs {
    /// Say how much memory a worker needs for this model, which is on disk; asks no network
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  speech-flow completions bash > /etc/bash_completion.d/speech-flow")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  speech-flow man | man -l -\n  speech-flow man --out /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write one page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_fit_together() {
        Cli::command().debug_assert();
    }
}
