//! The long-running workers.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) kind: WorkerKind,
}

// What a worker does. No doc comment: it would take the place of the command's own.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerKind {
    /// Transcribe: OpenAI's `/v1/audio/transcriptions` and `/v1/audio/translations`
    Whisper(WorkerRunArgs),
    /// Say which language is spoken: `/v1/audio/language`
    Lid(WorkerRunArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "It prints its address on stdout once it listens; `/readyz` says when the model is loaded. SIGTERM lets it finish \
                  what it took, SIGHUP loads a new version of the model beside the old one. `WORKER_*` variables set its \
                  limits; `speech-flow config` shows them.\n\n\
                  Examples:\n  \
                  speech-flow worker whisper --listen 0.0.0.0:8000\n  \
                  curl -F file=@meeting.mp3 http://127.0.0.1:8000/v1/audio/transcriptions\n  \
                  speech-flow worker lid --locked"
)]
pub(crate) struct WorkerRunArgs {
    /// Address to listen on, in place of `WORKER_LISTEN`; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Take only the commit that the lockfile has
    #[arg(long)]
    pub(crate) locked: bool,
}
