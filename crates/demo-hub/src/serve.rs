//! The hub as a program of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::hub::DEFAULT_PAGE_SIZE;
use crate::{DemoHub, DemoHubError, FaultRule, Repository};

/// What `speech-flow demo-hub` can be told. The default is the demo repositories on free ports of 127.0.0.1.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where the hub listens.
    pub listen: SocketAddr,
    /// Where the second port for large files listens; without one the hub sends them itself.
    pub cdn_listen: Option<SocketAddr>,
    /// Entries of a listing on one page.
    pub page_size: usize,
    /// A JSON file with fault rules.
    pub faults: Option<PathBuf>,
    /// Folders that are served as repositories: `owner/name` and the folder.
    pub folders: Vec<(String, PathBuf)>,
    /// Whether other processes may set faults and read the request log at `/demo`.
    pub fault_control: bool,
    /// Whether small files are behind a relative redirect to the hub itself.
    pub relative_redirects: bool,
    /// Whether the embedded models are served.
    pub demo_models: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any_port,
            cdn_listen: Some(any_port),
            page_size: DEFAULT_PAGE_SIZE,
            faults: None,
            folders: Vec::new(),
            fault_control: false,
            relative_redirects: false,
            demo_models: true,
        }
    }
}

/// Runs a hub until `stop` is cancelled. `ready` is called once it listens.
///
/// # Errors
/// [`DemoHubError::Read`] and [`DemoHubError::InvalidFaults`] for files that were named,
/// [`DemoHubError::InvalidRepository`] for a bad name, and those of [`crate::DemoHubBuilder::start`].
///
/// # Cancel safety
/// Dropping the future stops the hub.
pub async fn serve(
    options: ServeOptions,
    ready: impl FnOnce(&DemoHub),
    stop: CancellationToken,
) -> Result<(), DemoHubError> {
    let mut builder = DemoHub::builder()
        .listen(options.listen)
        .cdn(options.cdn_listen.is_some())
        .page_size(options.page_size)
        .relative_redirects(options.relative_redirects)
        .fault_control(options.fault_control);
    if let Some(address) = options.cdn_listen {
        builder = builder.cdn_listen(address);
    }
    if options.demo_models {
        builder = builder.demo()?;
    }
    for rule in options.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default() {
        builder = builder.fault(rule);
    }
    for repository in hash(options.folders).await? {
        builder = builder.repository(repository);
    }
    let hub = builder.start().await?;
    ready(&hub);
    stop.cancelled().await;
    hub.stop().await;
    Ok(())
}

/// Hashes what may be many gigabytes away from the runtime's threads.
async fn hash(folders: Vec<(String, PathBuf)>) -> Result<Vec<Repository>, DemoHubError> {
    let build = || folders.into_iter().map(|(id, folder)| Repository::builder(id).folder(folder).build()).collect();
    match tokio::task::spawn_blocking(build).await {
        Ok(repositories) => repositories,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn read_faults(path: &Path) -> Result<Vec<FaultRule>, DemoHubError> {
    let text = std::fs::read(path).map_err(|source| DemoHubError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(DemoHubError::InvalidFaults)
}
