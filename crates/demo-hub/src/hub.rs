//! A running hub and the handle that tests hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use speech_flow_model_types::CommitHash;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::fault::FaultRules;
use crate::http::{Server, serve_connection};
use crate::log::{RequestLog, RequestRecord};
use crate::repository::FileSummary;
use crate::{DemoHubError, FaultId, FaultRule, FaultState, Repository};

mod answer;
mod builder;

pub(crate) use answer::Answer;
pub(crate) use builder::DEFAULT_PAGE_SIZE;
pub use builder::DemoHubBuilder;

/// How long to wait before the next try when no connection can be accepted, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A hub that runs on loopback until it is stopped or dropped.
///
/// ```
/// use speech_flow_demo_hub::{Action, DemoHub, FaultRule, Repository};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), speech_flow_demo_hub::DemoHubError> {
/// let repository = Repository::builder("org/name").generated("model.bin", 64 << 20, 1).build()?;
/// let hub = DemoHub::builder().repository(repository).start().await?;
/// hub.add_fault(FaultRule::new(Action::CutAfter { bytes: 1 << 20 }).path("*.bin").first(1))?;
/// // … point a client at `hub.endpoint()` …
/// assert!(hub.requests().is_empty());
/// hub.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DemoHub {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Set when the hub was started from code that is not async.
    runtime: Option<tokio::runtime::Runtime>,
}

/// What every connection of a hub needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) catalog: Catalog,
    pub(crate) faults: FaultRules,
    pub(crate) log: RequestLog,
    pub(crate) address: SocketAddr,
    /// The second port, when there is one.
    pub(crate) cdn_address: Option<SocketAddr>,
    /// How long a signed address is good for.
    pub(crate) cdn_lifetime: Duration,
    pub(crate) page_size: usize,
    pub(crate) relative_redirects: bool,
    pub(crate) fault_control: bool,
    connections: AtomicU64,
    requests: AtomicU64,
}

impl DemoHub {
    /// Begins the description of a hub without repositories.
    pub fn builder() -> DemoHubBuilder {
        DemoHubBuilder::new()
    }

    /// What `HF_ENDPOINT` is set to, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> String {
        self.shared.endpoint()
    }

    /// Origin of the second port, where large files are; `None` when the hub sends them itself.
    pub fn cdn_endpoint(&self) -> Option<String> {
        self.shared.cdn_address.map(|address| format!("http://{address}"))
    }

    /// The commit that a branch, a tag or a full commit hash stands for now.
    pub fn commit(&self, repo: &str, revision: &str) -> Option<CommitHash> {
        let hosted = self.shared.catalog.get(repo)?;
        hosted.commit(revision).map(|commit| commit.hash.clone())
    }

    /// The files of a repository as its branches stand now; empty when there is no such revision.
    pub fn files(&self, repo: &str, revision: &str) -> Vec<FileSummary> {
        let commit = self.commit(repo, revision);
        let hosted = self.shared.catalog.get(repo);
        hosted.zip(commit).map(|(hosted, commit)| hosted.repository.files(commit.as_str())).unwrap_or_default()
    }

    /// Moves a branch to a commit, named by its hash or by another branch or tag; makes the branch where there is none.
    ///
    /// # Errors
    /// [`DemoHubError::UnknownRepository`] and [`DemoHubError::UnknownRevision`].
    pub fn set_head(&self, repo: &str, branch: &str, commit: &str) -> Result<CommitHash, DemoHubError> {
        self.shared.catalog.set_head(repo, branch, commit)
    }

    /// Adds a repository, or replaces the one of this name.
    pub fn publish(&self, repository: Repository) {
        self.shared.catalog.publish(repository);
    }

    /// Takes a repository away; `false` when there is none of this name.
    pub fn withdraw(&self, repo: &str) -> bool {
        self.shared.catalog.withdraw(repo)
    }

    /// Adds a fault behind those in force. The first rule whose turn it is happens.
    ///
    /// # Errors
    /// [`DemoHubError::InvalidPattern`] for a path pattern that cannot be read.
    pub fn add_fault(&self, rule: FaultRule) -> Result<FaultId, DemoHubError> {
        self.shared.faults.add(rule)
    }

    /// Takes a fault away; `false` when it was away already.
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.shared.faults.remove(id.number())
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The faults in force and how often they happened.
    pub fn faults(&self) -> Vec<FaultState> {
        self.shared.faults.states()
    }

    /// All requests since the start or the last [`DemoHub::clear_requests`], at both ports, in the order they
    /// were read. Numbers of an answer under way still grow. The oldest beyond 100,000 are forgotten.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log.snapshot()
    }

    /// Forgets all requests so far.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Stops listening, closes all connections and waits until that is done.
    ///
    /// # Cancel safety
    /// Dropping the future stops the hub as well, without waiting for the end of its tasks.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    /// Listens on both ports. The tasks run on the current runtime.
    async fn listen(
        shared: impl FnOnce(SocketAddr, Option<SocketAddr>) -> Shared,
        hub: SocketAddr,
        cdn: Option<SocketAddr>,
    ) -> Result<Self, DemoHubError> {
        let (hub, address) = bind(hub).await?;
        let cdn = match cdn {
            Some(cdn) => Some(bind(cdn).await?),
            None => None,
        };
        let shared = Arc::new(shared(address, cdn.as_ref().map(|(_, address)| *address)));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let listeners = [(Server::Hub, Some(hub)), (Server::Cdn, cdn.map(|(listener, _)| listener))];
        for (server, listener) in listeners {
            if let Some(listener) = listener {
                tasks.spawn(accept(Arc::clone(&shared), server, listener, stop.clone(), tasks.clone()));
            }
        }
        tasks.close();
        tracing::debug!(status = "listening", "demo hub started");
        Ok(Self { shared, stop, tasks, runtime: None })
    }
}

impl Drop for DemoHub {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            // A runtime that is dropped in the usual way would panic inside another one.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), DemoHubError> {
    let failed = |source| DemoHubError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

async fn accept(
    shared: Arc<Shared>,
    server: Server,
    listener: TcpListener,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = serve_connection(Arc::clone(&shared), server, number, stream);
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(connection).await });
    }
}
