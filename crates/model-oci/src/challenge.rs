//! How a registry asks for a login: the `WWW-Authenticate` header. Pure.
//!
//! Source: RFC 9110, section 11.6.1; the Distribution project's `docs/spec/auth/token.md`.

/// A login that a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A user and password with each request.
    Basic,
    /// A token from a service.
    Bearer {
        /// Where the service is.
        realm: String,
        /// The name of the registry at the service.
        service: Option<String>,
    },
}

/// The login that one header asks for; a token before a password where it offers both.
pub fn parse_challenge(value: &str) -> Option<Challenge> {
    let mut basic = false;
    let mut rest = value.trim();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(|c: char| c.is_ascii_whitespace() || c == ',').unwrap_or((rest, ""));
        let (parameters, next) = parameters(after);
        if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = find(&parameters, "realm")
        {
            return Some(Challenge::Bearer { realm, service: find(&parameters, "service") });
        }
        basic |= scheme.eq_ignore_ascii_case("basic");
        rest = next;
    }
    basic.then_some(Challenge::Basic)
}

fn find(parameters: &[(String, String)], name: &str) -> Option<String> {
    parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
}

/// The parameters of one scheme, and the text from the next scheme on.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=').filter(|_| !name.is_empty()) else {
            return (found, skip_odd(rest, name));
        };
        let (value, next) = read_value(value.trim_start());
        found.push((name.to_owned(), value));
        rest = next;
    }
}

/// What is neither a parameter nor the name of a scheme is passed over, so that any text comes to its end.
fn skip_odd<'a>(rest: &'a str, name: &str) -> &'a str {
    if !name.is_empty() {
        return rest;
    }
    let mut characters = rest.chars();
    characters.next();
    characters.as_str()
}

fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<(&str, Option<&str>)>) {
        let bearer = expected
            .map(|(realm, service)| Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) });
        assert_eq!(parse_challenge(value), bearer, "{value}");
    }

    #[test]
    fn a_token_service_is_found_in_every_form() {
        let service = Some(("https://auth.example/token", Some("registry.example")));
        check(
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull""#,
            service,
        );
        check(r#"bearer service=registry.example , realm="https://auth.example/token""#, service);
        check(
            r#"Basic realm="x, Bearer", Bearer realm="https://auth.example/token", service="registry.example""#,
            service,
        );
        check(r#"Bearer realm="a\"b",error="invalid_token""#, Some(("a\"b", None)));
        check("Bearer", None);
        check("Negotiate, NTLM", None);
        check("", None);
    }

    #[test]
    fn a_password_is_asked_for_where_there_is_no_token_service() {
        for value in [r#"Basic realm="registry""#, "BASIC", r#"Negotiate, Basic realm="x""#, "Bearer, Basic"] {
            assert_eq!(parse_challenge(value), Some(Challenge::Basic), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_to_an_end(value in any::<String>(), soup in "[a-z=\",\\\\ ]{0,60}") {
            let _ = parse_challenge(&value);
            let _ = parse_challenge(&soup);
        }
    }
}
