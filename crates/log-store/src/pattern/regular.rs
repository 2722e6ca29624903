//! Regular expressions between percent signs, in AWS's small dialect: letters, digits,
//! `:_#=@/;,-` and space, and the operators `^ $ ? [ ] { } | \ * + .`, without groups.

use super::InvalidPattern;
use super::scanner::Scanner;

const SYMBOLS: &str = ":_#=@/;,- ";
const OPERATORS: &str = "^$?[]{}|\\*+.";
/// Memory for one compiled expression.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Regular(regex::bytes::Regex);

impl Regular {
    /// Reads `%…%` with nothing behind it.
    pub fn parse_whole(text: &str) -> Result<Self, InvalidPattern> {
        let mut scanner = Scanner::new(text);
        let regular = Self::parse(&mut scanner)?;
        if scanner.is_at_end() { Ok(regular) } else { Err(InvalidPattern::Syntax) }
    }

    /// Reads `%…%`.
    pub fn parse(scanner: &mut Scanner<'_>) -> Result<Self, InvalidPattern> {
        let source = scanner.between_percents()?;
        if source.is_empty() {
            return Err(InvalidPattern::Syntax);
        }
        let foreign = |c: &char| {
            !(c.is_ascii_alphanumeric() || SYMBOLS.contains(*c) || OPERATORS.contains(*c))
        };
        if let Some(c) = source.chars().find(foreign) {
            return Err(InvalidPattern::Characters(c.to_string()));
        }
        regex::bytes::RegexBuilder::new(&in_our_dialect(source))
            .unicode(false)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(Self)
            .map_err(|_| InvalidPattern::Syntax)
    }

    pub fn is_found_in(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// The same expression for the `regex` crate, in whose classes `[` and `--` mean more and which
/// wants a lower bound in `{,n}`.
fn in_our_dialect(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut in_class = false;
    let mut before = ' ';
    let mut characters = source.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(characters.next());
            }
            '[' if in_class => out.push_str("\\["),
            '-' if in_class && before == '-' => out.push_str("\\-"),
            '{' if !in_class && characters.peek() == Some(&',') => out.push_str("{0"),
            _ => {
                in_class = (in_class || c == '[') && c != ']';
                out.push(c);
            }
        }
        before = c;
    }
    out
}
