//! Rust text, cut into code, comments and literals, so that a rule looks only where it should.
//!
//! This is no parser: it knows just enough of the lexer to tell a comment from a string from code.

/// One Rust file and its two readings. Both keep every line break, so line numbers stay right.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the workspace root, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// Code alone: comments and the insides of literals are blank.
    pub(crate) code: String,
    /// Comments alone.
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self { path: path.to_owned(), text: text.to_owned(), code, comments }
    }

    /// The code without the bodies of `#[cfg(test)]` items.
    pub(crate) fn code_outside_tests(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code, start);
            let blank = blanked(&code[start..end]);
            code.replace_range(start..end, &blank);
        }
        code
    }

    /// Whether the file as a whole is test, benchmark or example code.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests/", "/benches/", "/examples/"].iter().any(|folder| self.path.contains(folder))
            || self.path.ends_with("/tests.rs")
    }
}

/// The numbers (from 1) of the lines of `text` in which `needle` stands as a whole word.
pub(crate) fn lines_with<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.lines().enumerate().filter(move |(_, line)| has_word(line, needle)).map(|(index, _)| index + 1)
}

/// Whether `needle` stands in `line` with no letter, digit or `_` right before or after it.
pub(crate) fn has_word(line: &str, needle: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back().filter(|_| needle.starts_with(is_word));
        let after = line[at + needle.len()..].chars().next().filter(|_| needle.ends_with(is_word));
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Where the item that starts at `start` (with its attribute) ends: after its block, or its semicolon.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(c, '}' | ';') {
            return start + at + 1;
        }
    }
    code.len()
}

fn blanked(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The code and the comments of `text`, each with all else blank.
fn split(text: &str) -> (String, String) {
    let mut code = String::with_capacity(text.len());
    let mut comments = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = next_piece(rest, code.chars().next_back());
        let piece = &rest[..length];
        code.push_str(&if kind == Kind::Code { piece.to_owned() } else { blanked(piece) });
        comments.push_str(&if kind == Kind::Comment { piece.to_owned() } else { blanked(piece) });
        rest = &rest[length..];
    }
    (code, comments)
}

/// What `rest` begins with and how many bytes of it that takes; quotes count as code.
fn next_piece(rest: &str, before: Option<char>) -> (Kind, usize) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let one = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return (Kind::Literal, quoted_length(rest));
    }
    if !in_word && let Some(length) = raw_string_length(rest) {
        return (Kind::Literal, length);
    }
    if rest.starts_with('\'')
        && let Some(length) = char_length(rest)
    {
        return (Kind::Literal, length);
    }
    (Kind::Code, one)
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` and so on, when `rest` begins with one.
fn raw_string_length(rest: &str) -> Option<usize> {
    let after_prefix = ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix).filter(|tail| tail.starts_with(['"', '#'])))?;
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    let body = after_prefix[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let open = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| open + at + end.len()))
}

/// The length of a character literal; `None` for a lifetime or a label.
fn char_length(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        characters.next()?;
        return characters.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    characters.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str, comments: &str) {
        let source = Source::new("a.rs", text);
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>().join(" "), code, "code of {text}");
        assert_eq!(source.comments.split_whitespace().collect::<Vec<_>>().join(" "), comments, "comments of {text}");
        assert_eq!(source.code.lines().count(), text.lines().count());
    }

    #[test]
    fn comments_and_literals_are_told_from_code() {
        check("a(); // b()\nc();", "a(); c();", "// b()");
        check("/* a /* b */ c */ d", "d", "/* a /* b */ c */");
        check(r#"a("// no comment \" still") + b"#, "a( ) + b", "");
        check("a(r#\"x \" // y\"#); b", "a( ); b", "");
        check("f::<'a>('\"', '\\'', b'x') // end", "f::<'a>( , , b )", "// end");
        check("for c in 'x'..='z' {}", "for c in ..= {}", "");
        check("attr\"text\"", "attr", "");
    }

    #[test]
    fn items_of_tests_are_cut_out_and_lines_stay() {
        let source = Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { { } }\n}\nfn c() {}\n");
        let code = source.code_outside_tests();
        assert!(!code.contains("fn b"), "{code}");
        assert_eq!(lines_with(&code, "fn c").collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn a_declared_test_module_does_not_swallow_what_follows() {
        let source = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn kept() {}\n");
        assert!(source.code_outside_tests().contains("fn kept"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("x std::fs::read", "std::fs"));
        assert!(!has_word("std::fsx", "std::fs"));
        assert!(!has_word("not_dbg!(1)", "dbg!("));
    }
}
