//! Names of artifacts: `oci://registry.example/models/whisper:v1@sha256:…`. Pure.

use std::fmt;
use std::str::FromStr;

use speech_flow_model_types::Digest;
use url::{Host, Url};

/// How a reference begins.
pub const SCHEME: &str = "oci://";

/// An artifact in a registry.
///
/// Invariant: host, name and tag hold only the characters of their grammar, so they build addresses as they are.
/// Source: the OCI distribution specification 1.1, "Pulling manifests".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    host: String,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text names no artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no artifact: {reason}", text.escape_debug())]
pub struct InvalidReference {
    /// The text, without a user and password that may stand in it.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

const MAX_NAME_LEN: usize = 255;
const MAX_TAG_LEN: usize = 128;

impl Reference {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The registry: a host, and a port where one is given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository in the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same artifact with its manifest's digest in place of its tag.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What a request for the manifest names: the digest where one is given.
    pub(crate) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.prefixed(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => String::new(),
        }
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let url = Url::parse(&format!("http://{}", self.host));
        url.is_ok_and(|url| is_loopback(&url))
    }
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason| InvalidReference { text: without_login(text), reason };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| invalid("it begins with `oci://`"))?;
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = Digest::from_prefixed(digest).ok().filter(|digest| matches!(digest, Digest::Sha256(_)));
                (rest, Some(digest.ok_or_else(|| invalid("after `@` stands `sha256:` and 64 hexadecimal digits"))?))
            }
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| invalid("it is `oci://REGISTRY/NAME:TAG`"))?;
        let (name, tag) = match path.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (path, None),
        };
        if !is_host(host) {
            return Err(invalid("the registry is a host name or address, with a port where it needs one"));
        }
        if name.len() > MAX_NAME_LEN || !name.split('/').all(is_component) {
            return Err(invalid("a name in a registry holds lower-case letters, digits and single `.`, `_`, `-`, `/`"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag holds letters, digits, `.`, `_` and `-`"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(invalid("it needs a tag, or a digest after `@`"));
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{}", digest.prefixed()),
            None => Ok(()),
        }
    }
}

/// A user and password before `@` are not repeated in an error.
fn without_login(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((login, rest)) if !rest.starts_with("sha256:") && login.starts_with(SCHEME) => format!("{SCHEME}…@{rest}"),
        _ => text.to_owned(),
    }
}

fn is_host(host: &str) -> bool {
    let fit = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let url = Url::parse(&format!("http://{host}"));
    fit && !host.is_empty() && url.is_ok_and(|url| url.has_host() && url.path() == "/" && url.query().is_none())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(|byte| word(*byte)) && bytes.last().is_some_and(|byte| word(*byte));
    let separators = component.split(|c: char| word(u8::try_from(c).unwrap_or(b'?'))).filter(|part| !part.is_empty());
    ends && separators.into_iter().all(|part| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= MAX_TAG_LEN
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes.iter().all(|byte| word(*byte) || b".-".contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_part_is_read() {
        let text = format!("oci://registry.example:5000/models/whisper__a-b:v1.0@{DIGEST}");
        let reference: Reference = text.parse().unwrap();
        assert_eq!((reference.host(), reference.name()), ("registry.example:5000", "models/whisper__a-b"));
        assert_eq!((reference.tag(), reference.wanted().as_str()), (Some("v1.0"), DIGEST));
        assert_eq!(reference.to_string(), text);
        let pinned = reference.pinned(DIGEST.strip_prefix("sha256:").unwrap().parse().unwrap());
        assert_eq!(pinned.to_string(), format!("oci://registry.example:5000/models/whisper__a-b@{DIGEST}"));
    }

    #[test]
    fn what_is_on_this_machine_is_known() {
        for (host, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("registry.example", false),
            ("127.0.0.1.example", false),
            ("10.0.0.1", false),
        ] {
            let reference: Reference = format!("oci://{host}/a:b").parse().unwrap();
            assert_eq!(reference.is_loopback(), expected, "{host}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for text in [
            "registry.example/a:b",
            "oci://registry.example",
            "oci://registry.example/a",
            "oci:///a:b",
            "oci://user:pass@registry.example/a:b",
            "oci://registry.example/../a:b",
            "oci://registry.example/a//b:c",
            "oci://registry.example/A:b",
            "oci://registry.example/a?x:b",
            "oci://registry.example/a%2fb:c",
            "oci://registry.example/a:b/c",
            "oci://registry.example/a:..",
            "oci://registry.example/a:b@sha1:0",
            "oci://registry.example/a:b@sha256:0",
            "oci://registry.example#/a:b",
            "oci://registry.example:99999/a:b",
        ] {
            assert!(text.parse::<Reference>().is_err(), "accepted {text}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = "oci://user:geheim@registry.example/a:b".parse::<Reference>().unwrap_err();
        assert!(!error.to_string().contains("geheim"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(text in "oci://[a-z.:0-9]{1,12}/[a-z0-9._/-]{1,20}(:[a-zA-Z0-9._-]{1,10})?") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = format!("oci://{text}").parse::<Reference>();
        }
    }
}
