//! What every command works with.

use std::ffi::OsString;
use std::sync::Arc;

use speech_flow_model_manager::config::{self, Config, Flag};
use speech_flow_model_manager::{EnsureOptions, ModelManager};

use crate::cli::GlobalArgs;
use crate::printer::Printer;
use crate::report::Failure;
use crate::{lockfile, logging};

/// The configuration, and the way to people.
pub(crate) struct Session {
    /// The configuration with the flags of this call.
    pub(crate) config: Config,
    /// What prints.
    pub(crate) printer: Arc<Printer>,
}

impl Session {
    /// Reads the configuration and starts logging. This is the one place that looks at the environment
    /// for the libraries.
    pub(crate) fn open(global: &GlobalArgs, printer: Arc<Printer>) -> Result<Self, Failure> {
        Self::open_with(global, Vec::new(), printer)
    }

    /// As [`Session::open`], with flags of the command's own that stand over settings.
    pub(crate) fn open_with(global: &GlobalArgs, own: Vec<Flag>, printer: Arc<Printer>) -> Result<Self, Failure> {
        let flags = flags(global).into_iter().chain(own).collect();
        let config = config::read(&|name| std::env::var_os(name), flags)?;
        let place = config.log.filter.origin.to_string();
        logging::start(&config.log.filter, &place, *config.log.format, &printer)?;
        Ok(Self { config, printer })
    }

    /// How models are looked for when nothing else is said: as the lockfile has them, where there is one.
    pub(crate) fn options(&self) -> Result<EnsureOptions, Failure> {
        Ok(EnsureOptions { lock: lockfile::choice(self, false)?, ..EnsureOptions::default() })
    }

    /// The model manager for this configuration.
    pub(crate) fn manager(&self) -> Result<ModelManager, Failure> {
        Ok(ModelManager::new(&self.config)?)
    }
}

/// The flags that stand over settings.
fn flags(global: &GlobalArgs) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut set = |name, key, value: OsString| flags.push(Flag { name, key, value });
    if let Some(dir) = &global.cache_dir {
        set("--cache-dir", "cache.dir", dir.into());
    }
    if let Some(file) = &global.config {
        set("--config", "config", file.into());
    }
    if global.offline {
        set("--offline", "hub.offline", "1".into());
    }
    if global.verbose > 0 {
        set("--verbose", "log.filter", logging::filter_of(global.verbose).into());
    }
    if global.quiet {
        set("--quiet", "log.filter", "error".into());
    }
    flags
}
