//! How this program reaches a registry of artifacts: settings, Docker's logins, and progress.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use speech_flow_model_hub::{Progress, WaitReason};
use speech_flow_model_manager::{Event, Events, hub_config};
use speech_flow_model_oci::{Access, Credentials, OciError, Reference, Registry, RegistryConfig};

use crate::report::Failure;
use crate::session::Session;

/// Longest configuration of Docker that is read.
const MAX_DOCKER_CONFIG: u64 = 1 << 20;

/// Connects to an artifact's registry.
pub(crate) async fn connect(
    session: &Session,
    reference: &Reference,
    access: Access,
    plain_http: bool,
    events: &Arc<dyn Events>,
) -> Result<Registry, Failure> {
    let mut http = hub_config(&session.config);
    // Nothing of the hub's goes to a registry.
    http.token = None;
    http.progress = Arc::new(Told(Arc::clone(events)));
    let credentials = credentials(session, reference)?;
    Ok(Registry::connect(reference, RegistryConfig { http, plain_http, credentials, access }).await?)
}

/// The login for a registry: the settings', else Docker's.
fn credentials(session: &Session, reference: &Reference) -> Result<Credentials, Failure> {
    let settings = &session.config.registry;
    match (&settings.username.value, &settings.password.value) {
        (Some(user), Some(password)) => {
            return Ok(Credentials::Login { user: user.clone(), password: password.clone() });
        }
        (None, None) => {}
        _ => {
            return Err(Failure::usage(
                "a registry's user and password are set together, and one of them is missing",
                "set both `SPEECH_FLOW_REGISTRY_USERNAME` and `SPEECH_FLOW_REGISTRY_PASSWORD`, or none",
            ));
        }
    }
    let Some(folder) = &settings.docker_config.value else { return Ok(Credentials::NONE) };
    let path = folder.join("config.json");
    let Some(text) = read(&path)? else { return Ok(Credentials::NONE) };
    Credentials::from_docker(&text, reference)
        .map_err(|error| OciError::Credentials(format!("`{}`: {error}", path.display())).into())
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(MAX_DOCKER_CONFIG).read_to_string(&mut text));
    match opened {
        Ok(_) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Failure::refused_by(format!("cannot read Docker's logins in `{}`", path.display()), error)),
    }
}

/// Passes on what a transfer says of itself.
pub(crate) struct Told(pub(crate) Arc<dyn Events>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl Progress for Told {
    fn received(&self, bytes: u64) {
        self.0.event(Event::Received { bytes });
    }

    fn waiting(&self, reason: &WaitReason, delay: Duration) {
        self.0.event(Event::Waiting { reason: reason.to_string(), delay });
    }
}
