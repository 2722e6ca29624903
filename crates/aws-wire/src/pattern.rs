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
            .get_or_init(|| Regex::new(&format!("^(?:{})$", self.regex)).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(value))
    }
}
