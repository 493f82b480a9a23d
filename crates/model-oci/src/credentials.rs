//! Logins for registries, as Docker's `config.json` has them. Pure: who reads the file and the environment hands
//! their text in.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use speech_flow_model_hub::Secret;

use crate::reference::Reference;

/// How we log in to one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    Anonymous {
        /// The helper that keeps the login, which this program does not run.
        helper: Option<String>,
    },
    /// With a user and a password.
    Login {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// The file is not what Docker writes. What is wrong is said without its text, which may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a configuration as Docker writes it: {0}")]
pub struct InvalidDockerConfig(&'static str);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    auths: BTreeMap<String, WireLogin>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct WireLogin {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

impl Credentials {
    /// No login.
    pub const NONE: Self = Self::Anonymous { helper: None };

    /// The login for an artifact's registry. Of several entries that fit, the one for the longest part of its name
    /// counts, as in Kubernetes.
    ///
    /// # Errors
    /// [`InvalidDockerConfig`] when the text or the entry that fits cannot be used.
    pub fn from_docker(text: &str, reference: &Reference) -> Result<Self, InvalidDockerConfig> {
        let wrong = |_| InvalidDockerConfig("it is not JSON of that shape");
        // A list is read as an object without names otherwise.
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(wrong)?;
        let wire: Wire = serde_json::from_value(fields.into()).map_err(wrong)?;
        let entries = wire.auths.iter().filter_map(|(key, login)| Some((fit(key, reference)?, login)));
        let helper = || {
            let own = wire.cred_helpers.iter().find(|(key, _)| fit(key, reference).is_some());
            own.map(|(_, helper)| helper.clone()).or_else(|| wire.creds_store.clone()).filter(|name| !name.is_empty())
        };
        let Some((_, login)) = entries.max_by_key(|(length, _)| *length) else {
            return Ok(Self::Anonymous { helper: helper() });
        };
        match login.read()? {
            Some(credentials) => Ok(credentials),
            // Docker leaves an empty entry where a helper keeps the login.
            None => Ok(Self::Anonymous { helper: helper() }),
        }
    }
}

impl WireLogin {
    fn read(&self) -> Result<Option<Credentials>, InvalidDockerConfig> {
        if self.identitytoken.as_deref().is_some_and(|token| !token.is_empty()) {
            return Err(InvalidDockerConfig("the login is an identity token, which is not supported"));
        }
        let (user, password) = match (&self.auth, &self.username, &self.password) {
            (Some(auth), ..) if !auth.is_empty() => decode(auth)?,
            (_, Some(user), Some(password)) => (user.clone(), password.clone()),
            _ => return Ok(None),
        };
        let password = Secret::from_text(&password).ok_or(InvalidDockerConfig("a login has no password"))?;
        Ok(Some(Credentials::Login { user, password }))
    }
}

fn decode(auth: &str) -> Result<(String, String), InvalidDockerConfig> {
    let damaged = InvalidDockerConfig("a login is not `user:password` in base 64");
    let bytes = STANDARD.decode(auth.trim()).or_else(|_| STANDARD_NO_PAD.decode(auth.trim()));
    let text = String::from_utf8(bytes.map_err(|_| damaged.clone())?).map_err(|_| damaged.clone())?;
    let (user, password) = text.split_once(':').ok_or(damaged)?;
    // Docker once padded passwords with zero bytes.
    Ok((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Docker's own registry under the name that its logins have.
const DOCKER_HUB: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];

/// How much of the artifact's name an entry's key names; `None` where it is for another.
fn fit(key: &str, reference: &Reference) -> Option<usize> {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let is_docker = |host: &str| DOCKER_HUB.contains(&host);
    if host != reference.host() && !(is_docker(host) && is_docker(reference.host())) {
        return None;
    }
    // What the API's first and second version were called stands for the whole registry.
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let is_above = || reference.name().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (path.is_empty() || is_above()).then_some(path.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, reference: &str) -> Result<Credentials, InvalidDockerConfig> {
        Credentials::from_docker(text, &reference.parse().unwrap())
    }

    #[track_caller]
    fn check(text: &str, reference: &str, expected: Option<(&str, &str)>) {
        let login = match at(text, reference).expect("a configuration") {
            Credentials::Login { user, password } => Some((user, password.expose().to_owned())),
            Credentials::Anonymous { .. } => None,
        };
        let login = login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        assert_eq!(login, expected, "{reference}");
    }

    #[test]
    fn a_login_is_for_its_registry_alone() {
        // `user:secret` and `other:pass:word`
        let text = r#"{"auths": {"https://registry.example:5000/v2/": {"auth": "dXNlcjpzZWNyZXQ="},
            "registry.example:5000/team": {"username": "team", "password": "word"},
            "https://index.docker.io/v1/": {"auth": "b3RoZXI6cGFzczp3b3Jk"}}}"#;
        check(text, "oci://registry.example:5000/models/a:b", Some(("user", "secret")));
        check(text, "oci://registry.example:5000/team/a:b", Some(("team", "word")));
        check(text, "oci://registry.example:5000/teams/a:b", Some(("user", "secret")));
        check(text, "oci://docker.io/library/a:b", Some(("other", "pass:word")));
        check(text, "oci://registry.example/models/a:b", None);
        check(text, "oci://evil.example/registry.example:b", None);
        check("{}", "oci://registry.example/a:b", None);
    }

    #[test]
    fn a_helper_is_named_and_not_run() {
        let text = r#"{"auths": {"a.example": {}}, "credHelpers": {"b.example": "gcloud"}, "credsStore": "desktop"}"#;
        for (reference, expected) in [("oci://a.example/x:y", "desktop"), ("oci://b.example/x:y", "gcloud")] {
            assert_eq!(at(text, reference), Ok(Credentials::Anonymous { helper: Some(expected.to_owned()) }));
        }
    }

    #[test]
    fn a_damaged_login_is_an_error_that_does_not_show_it() {
        for login in ["geheim", "Z2VoZWlt", "//4="] {
            let text = format!(r#"{{"auths": {{"a.example": {{"auth": "{login}"}}}}}}"#);
            let error = at(&text, "oci://a.example/x:y").unwrap_err().to_string();
            assert!(!error.contains(login) && !error.contains("geheim"), "{error}");
        }
        assert!(at(r#"{"auths": {"a.example": {"identitytoken": "x"}}}"#, "oci://a.example/x:y").is_err());
        assert!(at("[]", "oci://a.example/x:y").is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        let credentials = at(r#"{"auths":{"a.example":{"auth":"dXNlcjpzZWNyZXQ="}}}"#, "oci://a.example/x:y").unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = at(&text, "oci://a.example/x:y");
        }
    }
}
