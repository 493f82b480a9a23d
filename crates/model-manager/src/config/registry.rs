//! How we log in to registries of artifacts.

use std::path::PathBuf;

use speech_flow_model_hub::Secret;

use super::layers::Layers;
use super::origin::Setting;
use super::{ConfigError, options};

/// How we log in to registries of artifacts.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// The user, where Docker's configuration is not asked.
    pub username: Setting<Option<String>>,
    /// The user's password.
    pub password: Setting<Option<Secret>>,
    /// The folder of Docker's configuration; none for a user id without a home.
    pub docker_config: Setting<Option<PathBuf>>,
}

pub(super) fn load_registry(layers: &mut Layers<'_>) -> Result<RegistrySettings, ConfigError> {
    let home = layers.sources.facts.home.clone();
    let mut docker_config = layers.optional(&options::DOCKER_CONFIG)?;
    if docker_config.value.is_none() {
        docker_config.value = home.map(|home| home.join(".docker"));
    }
    Ok(RegistrySettings {
        username: layers.optional(&options::REGISTRY_USERNAME)?,
        password: layers.setting(&options::REGISTRY_PASSWORD, || Ok(None))?,
        docker_config,
    })
}
