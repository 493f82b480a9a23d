//! From a status and the Hub's error headers to an error that says what to do.
//!
//! Mirrors often send no `X-Error-Code`; then the status and what was asked for decide.

use speech_flow_model_types::retry_after::server_delay;
use speech_flow_model_types::{CommitHash, RelPath, RepoId, Revision};

use super::Hub;
use crate::transport::Exchange;
use crate::{Answer, HubError, ProtocolFault};

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// The account of the token.
    Account,
    /// A repository.
    Repo(&'a RepoId),
    /// A revision of a repository.
    Revision(&'a RepoId, &'a Revision),
    /// A file of a commit.
    File(&'a RepoId, &'a CommitHash, &'a RelPath),
}

/// The Hub's words for a repository that it has switched off.
const DISABLED: &str = "Access to this resource is disabled.";
/// Longest part of a server's message that is shown.
const MAX_MESSAGE: usize = 300;

impl Hub {
    /// The error that an answer without success stands for.
    pub(super) fn error_of(&self, exchange: &Exchange, asked: Asked<'_>) -> HubError {
        let status = exchange.response.status().as_u16();
        let shorten = |text: &str| text.chars().take(MAX_MESSAGE).collect::<String>();
        let answer = Box::new(Answer {
            url: exchange.url.clone().into(),
            status,
            code: exchange.header("x-error-code").map(shorten),
            message: exchange.header("x-error-message").map(shorten),
            request_id: exchange.request_id,
        });
        let date = self.shared.config.clock.date();
        let retry_after = server_delay(exchange.header("retry-after"), exchange.header("ratelimit"), date);
        match status {
            429 => return HubError::RateLimited { retry_after, source: answer },
            408 | 500..=599 => return HubError::Server { status, retry_after, source: answer },
            // A signed address of the storage runs out of time; asking the hub again gives a new one.
            400..=499 if !self.shared.transport.is_endpoint(&exchange.url) => {
                return HubError::Server { status, retry_after, source: answer };
            }
            _ => {}
        }
        self.refusal(answer, asked).unwrap_or_else(|| exchange.fault(ProtocolFault::Status(status)))
    }

    fn refusal(&self, source: Box<Answer>, asked: Asked<'_>) -> Option<HubError> {
        let token_sent = self.shared.transport.has_token();
        let repo = match asked {
            Asked::Account => return None,
            Asked::Repo(repo) | Asked::Revision(repo, _) | Asked::File(repo, ..) => repo.clone(),
        };
        if source.message.as_deref() == Some(DISABLED) {
            return Some(HubError::Disabled { repo, source });
        }
        match (source.code.as_deref(), source.status) {
            (Some("RepoNotFound"), _) => Some(HubError::RepoNotFound { repo, source }),
            (Some("GatedRepo"), _) => Some(HubError::Gated { repo, token_sent, source }),
            (Some("RevisionNotFound"), _) => Some(revision_not_found(repo, asked, source)),
            (_, 401 | 403) => Some(HubError::Unauthorized { repo, token_sent, source }),
            (_, 404 | 410) => Some(match asked {
                Asked::File(_, commit, file) => {
                    HubError::FileNotFound { repo, commit: commit.clone(), file: file.clone(), source }
                }
                // Without a code the default branch is surely not what is missing.
                Asked::Revision(_, revision) if *revision != Revision::main() => {
                    revision_not_found(repo, asked, source)
                }
                _ => HubError::RepoNotFound { repo, source },
            }),
            _ => None,
        }
    }
}

fn revision_not_found(repo: RepoId, asked: Asked<'_>, source: Box<Answer>) -> HubError {
    match asked {
        Asked::Revision(_, revision) => HubError::RevisionNotFound { repo, revision: revision.clone(), source },
        Asked::File(_, commit, _) => HubError::RevisionNotFound { repo, revision: commit.clone().into(), source },
        Asked::Account | Asked::Repo(_) => HubError::RepoNotFound { repo, source },
    }
}
