//! Addresses that may be shown.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// A URL whose `Display` and `Debug` hide what grants access: user, password and query (signed addresses
/// carry their signature there). Boxed, since errors carry it and should be small.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUrl(Box<Url>);

impl SafeUrl {
    /// The address itself, to connect to.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl From<Url> for SafeUrl {
    fn from(url: Url) -> Self {
        Self(Box::new(url))
    }
}

impl FromStr for SafeUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, url::ParseError> {
        text.parse::<Url>().map(Self::from)
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        if !url.has_host() {
            // Whatever follows the scheme of such an address may be anything.
            return write!(f, "{}:…", url.scheme());
        }
        write!(f, "{}://", url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            f.write_str("…@")?;
        }
        f.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        f.write_str(if url.query().is_some() { "?…" } else { "" })
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafeUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        let url: SafeUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("SafeUrl({shown})"));
    }

    #[test]
    fn signatures_and_passwords_are_hidden() {
        check("https://huggingface.co/api/models/a/b", "https://huggingface.co/api/models/a/b");
        check("https://cdn.example:8443/x?Signature=abc&Key=1#frag", "https://cdn.example:8443/x?…");
        check("http://user:pass@proxy:3128/", "http://…@proxy:3128/");
        check("http://token@proxy/", "http://…@proxy/");
        check("http://[::1]:80/x", "http://[::1]/x");
        check("data:secret", "data:…");
    }
}
