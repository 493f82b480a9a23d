//! Values that must not be shown.

use std::fmt;

/// A token. `Debug` and `Display` hide it; only [`Secret::expose`] gives it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Cleans a token as the Python client does: no line ends, no space around it; an empty text is none.
    /// Source: `_clean_token` in `huggingface_hub/utils/_auth.py`, version 2.4.0.
    pub fn from_text(text: &str) -> Option<Self> {
        let cleaned = text.replace(['\r', '\n'], "").trim().to_owned();
        if cleaned.is_empty() { None } else { Some(Self(cleaned)) }
    }

    /// The token itself, for the header it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set, not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let secret = Secret::from_text("hf_abcdef\n").expect("not empty");
        assert_eq!(format!("{secret} {secret:?}"), "(set, not shown) Secret(…)");
        assert_eq!(secret.expose(), "hf_abcdef");
        assert_eq!(Secret::from_text(" \n"), None);
    }
}
