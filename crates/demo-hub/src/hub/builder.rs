//! The description of a hub.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{DemoHub, Shared};
use crate::catalog::{Catalog, Token};
use crate::fault::FaultRules;
use crate::log::RequestLog;
use crate::models::{DEMO_GATED, DEMO_PRIVATE, DEMO_TOKEN, DEMO_TOKEN_WITHOUT_ACCESS, demo_repositories};
use crate::{DemoHubError, FaultRule, Repository};

/// Entries of a listing on one page, as the Hub has it.
pub(crate) const DEFAULT_PAGE_SIZE: usize = 1000;

/// Describes a [`DemoHub`]: on free ports of 127.0.0.1, with a second port for large files, without repositories.
#[derive(Debug)]
pub struct DemoHubBuilder {
    repositories: Vec<Repository>,
    tokens: Vec<Token>,
    faults: Vec<FaultRule>,
    page_size: usize,
    listen: SocketAddr,
    cdn_listen: SocketAddr,
    cdn: bool,
    cdn_lifetime: Duration,
    relative_redirects: bool,
    fault_control: bool,
}

impl DemoHubBuilder {
    pub(super) fn new() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            repositories: Vec::new(),
            tokens: Vec::new(),
            faults: Vec::new(),
            page_size: DEFAULT_PAGE_SIZE,
            listen: any_port,
            cdn_listen: any_port,
            cdn: true,
            cdn_lifetime: Duration::from_secs(3600),
            relative_redirects: false,
            fault_control: false,
        }
    }

    /// Adds a repository; one that was added before under the same name is replaced.
    #[must_use]
    pub fn repository(mut self, repository: Repository) -> Self {
        self.repositories.push(repository);
        self
    }

    /// Adds the repositories and the tokens of a demo: see [`crate::models`].
    ///
    /// # Errors
    /// Those of [`demo_repositories`].
    pub fn demo(mut self) -> Result<Self, DemoHubError> {
        self.repositories.extend(demo_repositories()?);
        Ok(self.token(DEMO_TOKEN, [DEMO_GATED, DEMO_PRIVATE]).token(DEMO_TOKEN_WITHOUT_ACCESS, [""]))
    }

    /// Adds a token that may read these repositories beyond the public ones; `*` stands for all.
    #[must_use]
    pub fn token<R: Into<String>>(
        mut self,
        secret: impl Into<String>,
        repositories: impl IntoIterator<Item = R>,
    ) -> Self {
        let repositories = repositories.into_iter().map(Into::into).collect();
        self.tokens.push(Token { secret: secret.into(), repositories });
        self
    }

    /// Puts a fault in force from the start.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Entries of a listing on one page; 1000 by default.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = entries.max(1);
        self
    }

    /// Whether LFS files are at a second port, as at the Hub (the default), or are sent by the hub itself.
    #[must_use]
    pub fn cdn(mut self, cdn: bool) -> Self {
        self.cdn = cdn;
        self
    }

    /// How long the signed address of a file at the second port is good for; an hour by default.
    #[must_use]
    pub fn cdn_lifetime(mut self, lifetime: Duration) -> Self {
        self.cdn_lifetime = lifetime;
        self
    }

    /// Whether small files are behind a relative redirect to the hub itself, as at the Hub; off by default.
    #[must_use]
    pub fn relative_redirects(mut self, relative_redirects: bool) -> Self {
        self.relative_redirects = relative_redirects;
        self
    }

    /// Whether other processes may set faults and read the request log at `/demo`; off by default.
    #[must_use]
    pub fn fault_control(mut self, fault_control: bool) -> Self {
        self.fault_control = fault_control;
        self
    }

    /// Where the hub listens.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where the second port listens.
    #[must_use]
    pub fn cdn_listen(mut self, address: SocketAddr) -> Self {
        self.cdn_listen = address;
        self
    }

    /// Starts the hub on the current runtime.
    ///
    /// # Errors
    /// [`DemoHubError::Listen`] and, for a fault that was given, [`DemoHubError::InvalidPattern`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<DemoHub, DemoHubError> {
        let faults = FaultRules::default();
        for rule in self.faults {
            faults.add(rule)?;
        }
        let catalog = Catalog::new(self.tokens);
        for repository in self.repositories {
            catalog.publish(repository);
        }
        let shared = |address, cdn_address| Shared {
            catalog,
            faults,
            log: RequestLog::default(),
            address,
            cdn_address,
            cdn_lifetime: self.cdn_lifetime,
            page_size: self.page_size,
            relative_redirects: self.relative_redirects,
            fault_control: self.fault_control,
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        };
        DemoHub::listen(shared, self.listen, self.cdn.then_some(self.cdn_listen)).await
    }

    /// Starts the hub on threads of its own: for tests that start processes and wait for them.
    ///
    /// # Errors
    /// Those of [`DemoHubBuilder::start`].
    ///
    /// # Panics
    /// Inside a tokio runtime.
    pub fn start_blocking(self) -> Result<DemoHub, DemoHubError> {
        let address = self.listen;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|source| DemoHubError::Listen { address, source })?;
        let mut hub = runtime.block_on(self.start())?;
        hub.runtime = Some(runtime);
        Ok(hub)
    }
}
