//! Calls of macros in the product's sources.
//!
//! **Invariant:** found in the tokens of a file, wherever a call stands: also in a closure, in a `select!`, in another
//! macro. What only tests build is left out.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Folders of the product's sources.
const ROOTS: [&str; 2] = ["crates", "src"];

/// `name!(arguments)`.
pub struct MacroCall {
    /// Relative to the repository.
    pub file: String,
    pub line: usize,
    pub name: String,
    pub arguments: TokenStream,
}

impl MacroCall {
    /// What stands between the commas of the outermost level.
    pub fn parts(&self) -> Vec<Vec<TokenTree>> {
        let tokens: Vec<TokenTree> = self.arguments.clone().into_iter().collect();
        let parts = tokens.split(|token| is_punct(token, ','));
        parts.map(<[TokenTree]>::to_vec).filter(|part| !part.is_empty()).collect()
    }
}

/// Those of these names, by file and line.
pub fn calls(repository: &Path, names: &[&str]) -> Result<Vec<MacroCall>> {
    let mut calls = Vec::new();
    for root in ROOTS {
        read_folder(repository, &repository.join(root), names, &mut calls)?;
    }
    calls.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    Ok(calls)
}

fn read_folder(
    repository: &Path,
    folder: &Path,
    names: &[&str],
    calls: &mut Vec<MacroCall>,
) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "generated", "target"].contains(&name.as_str()) {
                read_folder(repository, &path, names, calls)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_test.rs") {
            let text = std::fs::read_to_string(&path)?;
            let file = path.strip_prefix(repository)?.display().to_string();
            calls.extend(of_text(&file, &text, names).with_context(|| file)?);
        }
    }
    Ok(())
}

/// Of the text of one file.
pub fn of_text(file: &str, text: &str, names: &[&str]) -> Result<Vec<MacroCall>> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("cannot be read: {error}"))?;
    let mut calls = Vec::new();
    read(file, tokens, names, &mut calls);
    Ok(calls)
}

fn read(file: &str, tokens: TokenStream, names: &[&str], calls: &mut Vec<MacroCall>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        rest = match rest {
            [TokenTree::Punct(hash), TokenTree::Group(attribute), after @ ..]
                if hash.as_char() == '#' && is_for_tests(attribute) =>
            {
                after_item(after)
            }
            [
                TokenTree::Ident(name),
                TokenTree::Punct(bang),
                TokenTree::Group(arguments),
                after @ ..,
            ] if bang.as_char() == '!' && names.iter().any(|wanted| name == wanted) => {
                calls.push(MacroCall {
                    file: file.to_owned(),
                    line: name.span().start().line,
                    name: name.to_string(),
                    arguments: arguments.stream(),
                });
                after
            }
            _ => {
                if let TokenTree::Group(group) = first {
                    read(file, group.stream(), names, calls);
                }
                after
            }
        };
    }
}

/// `[cfg(test)]`.
fn is_for_tests(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// What follows the item that begins here: its body, or a semicolon, is its end.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    });
    end.and_then(|end| tokens.get(end + 1..)).unwrap_or_default()
}

pub fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// The text of a string literal as a reader sees it: lines that the source continues are joined.
pub fn unquoted(literal: &str) -> String {
    let text = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(literal);
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        rest = match after.strip_prefix('\n') {
            Some(continued) => continued.trim_start(),
            None => {
                let mut characters = after.chars();
                plain.extend(characters.next());
                characters.as_str()
            }
        };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, usize)]) {
        let calls = of_text("a.rs", text, &["warn", "info"]).unwrap();
        let found: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.line)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_calls_wherever_they_stand() {
        check("fn f() { tracing::warn!(a) }", &[("warn", 1)]);
        check("fn f() {\n select! { () = stop => say(|| info!(b)) } }", &[("info", 2)]);
        check("fn f() { debug!(c) }", &[]);
    }

    #[test]
    fn leaves_out_what_tests_build() {
        check(
            "#[cfg(test)] mod tests { fn f() { warn!(a) } }
             #[cfg(test)] mod elsewhere;
             fn g() { warn!(b) }",
            &[("warn", 3)],
        );
    }
}
