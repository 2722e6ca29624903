//! A pattern constraint, compiled at its first use.

use std::sync::OnceLock;

use regex::Regex;

/// A pattern of the model. Matching means the whole string, as in AWS's own validation.
pub struct Pattern {
    /// As the model words it; error messages repeat it.
    pub text: &'static str,
    /// The same language without look-around, which the `regex` crate does not have.
    regex: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(text: &'static str) -> Self {
        Self::translated(text, text)
    }

    /// A pattern whose text uses look-around: `regex` is its translation by hand.
    pub const fn translated(text: &'static str, regex: &'static str) -> Self {
        Self { text, regex, compiled: OnceLock::new() }
    }

    /// Whether all of `value` matches. The code generator refuses a pattern that does not compile, so one that does
    /// not compile here matches nothing rather than everything.
    pub fn matches(&self, value: &str) -> bool {
        self.compiled
            .get_or_init(|| compile(self.regex).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(value))
    }

    /// Whether a pattern of a model can be used as it is; the error says why not.
    pub fn check(text: &str) -> Result<(), String> {
        compile(text).map(drop).map_err(|error| error.to_string())
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{})$", with_ascii_classes(text)))
}

/// AWS's patterns are Java's, in which `\d`, `\w` and `\s` mean ASCII only; here they would mean all of Unicode.
fn with_ascii_classes(text: &str) -> String {
    let mut translated = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            translated.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => translated.push_str("[0-9]"),
            Some('D') => translated.push_str("[^0-9]"),
            Some('w') => translated.push_str("[0-9A-Za-z_]"),
            Some('W') => translated.push_str("[^0-9A-Za-z_]"),
            Some('s') => translated.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => translated.push_str(r"[^ \t\n\x0B\f\r]"),
            escaped => {
                translated.push('\\');
                translated.extend(escaped);
            }
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &'static str, value: &str, expected: bool) {
        assert_eq!(Pattern::new(pattern).matches(value), expected, "{pattern} {value}");
    }

    #[test]
    fn patterns_match_as_in_java() {
        check("[a-z]+", "abc", true);
        check("[a-z]+", "abc\n", false);
        check("a|b", "ab", false);
        check(r"^\d{3}$", "123", true);
        check(r"^\d{3}$", "١٢٣", false);
        check(r"[\w+=]*", "a_1+", true);
        check(r"[\w+=]*", "é", false);
        check(r"^\S+$", "a\u{a0}b", true);
        check(r"^\S+$", "a b", false);
        check(r"\\d", "\\d", true);
        check(r"[\p{L}]+", "é", true);
        check("(?=a)a", "a", false);
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_found() {
        assert!(Pattern::check("[a-z]+").is_ok());
        assert!(Pattern::check("a(?!b)").is_err());
    }
}
