//! Takes a pattern apart from left to right.

use super::InvalidPattern;

pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `token` when it comes next, after any spaces.
    pub fn eat(&mut self, token: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub fn expect(&mut self, token: &str) -> Result<(), InvalidPattern> {
        if self.eat(token) { Ok(()) } else { Err(InvalidPattern::Syntax) }
    }

    /// Takes characters as long as they are `wanted`.
    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes a text between two `quote` characters. A backslash takes the character after it as it
    /// is.
    pub fn quoted(&mut self, quote: char) -> Result<String, InvalidPattern> {
        let mut characters = self.rest.char_indices();
        if characters.next().map(|(_, c)| c) != Some(quote) {
            return Err(InvalidPattern::Syntax);
        }
        let mut text = String::new();
        while let Some((position, c)) = characters.next() {
            if c == quote {
                self.rest = &self.rest[position + c.len_utf8()..];
                return Ok(text);
            }
            let escaped = if c == '\\' { characters.next() } else { None };
            text.push(escaped.map_or(c, |(_, escaped)| escaped));
        }
        Err(InvalidPattern::Syntax)
    }

    /// Takes a text between two percent signs, as it is.
    pub fn between_percents(&mut self) -> Result<&'a str, InvalidPattern> {
        let inner = self.rest.strip_prefix('%').ok_or(InvalidPattern::Syntax)?;
        let (inner, rest) = inner.split_once('%').ok_or(InvalidPattern::Syntax)?;
        self.rest = rest;
        Ok(inner)
    }
}
