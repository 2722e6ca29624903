//! `${VARIABLE:-default}` in a compose file, and the file `.env`. Source: Compose Specification, "Interpolation"; Docker's
//! "Set, use, and manage variables".

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

/// A default may hold a variable with a default, and so on.
const DEPTH_MAX: usize = 16;

/// Values of the environment, and of a file where the environment has none.
#[derive(Debug, Default)]
pub struct Variables {
    pub values: BTreeMap<String, String>,
    /// Asked for, and not there.
    pub missing: BTreeSet<String>,
}

impl Variables {
    /// The text with its variables replaced.
    ///
    /// # Errors
    /// When it is not written as a variable is, or asks for one that is missing with `${VARIABLE:?reason}`.
    pub fn fill(&mut self, text: &str) -> Result<String> {
        self.fill_within(text, 0)
    }

    fn fill_within(&mut self, text: &str, depth: usize) -> Result<String> {
        if depth > DEPTH_MAX {
            bail!("variables are nested more than {DEPTH_MAX} deep");
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('$') {
                filled.push('$');
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix('{') {
                let end = end_of(behind).ok_or_else(|| wrong(text))?;
                filled.push_str(&self.braced(&behind[..end], depth)?);
                rest = &behind[end + 1..];
            } else {
                let name = name_at(rest);
                if name.is_empty() {
                    return Err(wrong(text));
                }
                filled.push_str(&self.value(name));
                rest = &rest[name.len()..];
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// What stands between the braces.
    fn braced(&mut self, text: &str, depth: usize) -> Result<String> {
        let name = name_at(text);
        let rest = &text[name.len()..];
        if name.is_empty() {
            return Err(wrong(&format!("${{{text}}}")));
        }
        if rest.is_empty() {
            return Ok(self.value(name));
        }
        let (counts_empty, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let found = self.values.get(name).filter(|value| !(counts_empty && value.is_empty()));
        let (operator, word) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
        match (operator, found.cloned()) {
            ("-" | "?", Some(value)) => Ok(value),
            ("-", None) | ("+", Some(_)) => self.fill_within(word, depth + 1),
            ("+", None) => Ok(String::new()),
            ("?", None) => bail!("the variable {name} is needed: {word}"),
            _ => Err(wrong(&format!("${{{text}}}"))),
        }
    }

    fn value(&mut self, name: &str) -> String {
        match self.values.get(name) {
            Some(value) => value.clone(),
            None => {
                self.missing.insert(name.to_owned());
                String::new()
            }
        }
    }
}

fn wrong(text: &str) -> anyhow::Error {
    anyhow::anyhow!("{text:?} has a $ that begins no variable: write $$ for the character")
}

/// Where the brace is closed.
fn end_of(text: &str) -> Option<usize> {
    let mut open = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn name_at(text: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    match text.chars().next() {
        Some(first) if !first.is_ascii_digit() => &text[..end],
        _ => "",
    }
}

/// A line of a file as `.env` and those of `env_file` are: the name, and the value if it says one.
pub type Line = (String, Option<String>);

/// # Errors
/// With the line, when one is no `NAME=value`.
pub fn env_file(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            None => (line, None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            bail!("{}: no NAME=value", number + 1);
        }
        lines.push((name.to_owned(), value));
    }
    Ok(lines)
}

/// Without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> String {
    for quote in ['\'', '"'] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inside, _)) = rest.split_once(quote)
        {
            return match quote {
                '"' => inside.replace("\\n", "\n").replace("\\t", "\t"),
                _ => inside.to_owned(),
            };
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let values = [("TAG", "1.0"), ("EMPTY", "")];
        Variables {
            values: values.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Variables::default()
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = variables().fill(text).unwrap_or_else(|error| format!("error: {error}"));
        assert!(
            found == expected || found.starts_with("error") && found.contains(expected),
            "{text}: {found}"
        );
    }

    #[test]
    fn variables_are_replaced_as_compose_does() {
        check("app:$TAG-x", "app:1.0-x");
        check("app:${TAG}", "app:1.0");
        check("${NONE}|$NONE", "|");
        check("${NONE:-a}${NONE-b}", "ab");
        check("${EMPTY:-a}${EMPTY-b}", "a");
        check("${TAG:+a}${EMPTY:+b}${EMPTY+c}", "ac");
        check("${NONE:-${OTHER:-deep}}", "deep");
        check("${NONE:-http://x:$TAG}", "http://x:1.0");
        check("$$TAG costs 5$$", "$TAG costs 5$");
        check("${NONE:?say it}", "NONE is needed: say it");
        check("${EMPTY:?say it}", "EMPTY is needed");
        check("${EMPTY?say it}", "");
    }

    #[test]
    fn what_begins_no_variable_is_refused() {
        for wrong in ["5$", "${TAG", "${}", "${TAG!x}", "$-", "${1}", "${TAG:ö}"] {
            check(wrong, "begins no variable");
        }
    }

    #[test]
    fn what_is_missing_is_remembered() {
        let mut variables = variables();
        variables.fill("$NONE ${NEVER} ${ALSO:-x} $TAG").unwrap();
        assert_eq!(variables.missing.into_iter().collect::<Vec<_>>(), ["NEVER", "NONE"]);
    }

    #[test]
    fn files_of_variables_are_read() {
        let text =
            "# a comment\nA=1\nexport B = 'two # 2'\nC=\"x\\ny\" # comment\nD=a b # c\nE\nF=\n";
        let lines = env_file(text).unwrap();
        let lines: Vec<_> = lines.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        let expected = [
            ("A", Some("1")),
            ("B", Some("two # 2")),
            ("C", Some("x\ny")),
            ("D", Some("a b")),
            ("E", None),
            ("F", Some("")),
        ];
        assert_eq!(lines, expected);
        assert!(env_file("A=1\nB C=2\n").unwrap_err().to_string().starts_with("2: "));
    }
}
