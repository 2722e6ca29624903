//! Where the product's sources write a line of the log.

use std::path::Path;

use anyhow::Result;
use proc_macro2::{Spacing, TokenTree};

use crate::sources::{self, MacroCall, is_punct, unquoted};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// A line at one of these is for operators.
const FOR_OPERATORS: [&str; 3] = ["error", "warn", "info"];
const EVENT: &str = "event";

/// One call of `error!` to `trace!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Relative to the repository.
    pub file: String,
    pub line: usize,
    /// In small letters.
    pub level: String,
    pub event: Option<String>,
    /// The message as it is written, with its places for values.
    pub message: String,
    /// Names of the fields, the event apart, in their order.
    pub fields: Vec<String>,
}

impl Site {
    pub fn must_have_event(&self) -> bool {
        FOR_OPERATORS.contains(&self.level.as_str())
    }

    fn of(call: &MacroCall) -> Self {
        let mut site = Self {
            file: call.file.clone(),
            line: call.line,
            level: call.name.clone(),
            event: None,
            message: String::new(),
            fields: Vec::new(),
        };
        for argument in call.parts() {
            match &argument[..] {
                // The message; what follows it are values for its places.
                [TokenTree::Literal(literal), ..] => {
                    site.message = unquoted(&literal.to_string());
                    break;
                }
                [TokenTree::Ident(name), equals, TokenTree::Literal(value)]
                    if name == EVENT && is_punct(equals, '=') =>
                {
                    site.event = Some(unquoted(&value.to_string()));
                }
                // `target: "…"` and its like.
                [TokenTree::Ident(_), TokenTree::Punct(colon), ..]
                    if colon.as_char() == ':' && colon.spacing() == Spacing::Alone => {}
                argument => site.fields.extend(field(argument)),
            }
        }
        site
    }
}

/// Of all sources of the product, by file and line.
pub fn all(repository: &Path) -> Result<Vec<Site>> {
    Ok(sources::calls(repository, &LEVELS)?.iter().map(Site::of).collect())
}

/// The name of `name`, `%name`, `?a.b` or `name = …`.
fn field(argument: &[TokenTree]) -> Option<String> {
    let name = argument.iter().take_while(|token| !is_punct(token, '='));
    let name: String = name
        .filter(|token| !is_punct(token, '%') && !is_punct(token, '?'))
        .map(ToString::to_string)
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, level: &str, event: Option<&str>, message: &str, fields: &[&str]) {
        let calls = sources::of_text("a.rs", text, &LEVELS).unwrap();
        let site = Site::of(calls.first().unwrap());
        assert_eq!(site.level, level, "{text}");
        assert_eq!(site.event.as_deref(), event, "{text}");
        assert_eq!(site.message, message, "{text}");
        assert_eq!(site.fields, fields, "{text}");
    }

    #[test]
    fn reads_a_call() {
        check(
            r#"fn f() { tracing::warn!(event = "node_refused", %error, node = %message.node, "a \"node\"") }"#,
            "warn",
            Some("node_refused"),
            "a \"node\"",
            &["error", "node"],
        );
        check(
            r#"fn f() { error!(target: "x", ?a.b, count, "gone {}", count, more) }"#,
            "error",
            None,
            "gone {}",
            &["a.b", "count"],
        );
        check("fn f() { info!(\"one \\\n   line\"); }", "info", None, "one line", &[]);
    }
}
