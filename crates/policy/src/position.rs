//! Where things stand in the text of a document: its statements, for the `StartPosition` and `EndPosition` of a simulation, and
//! what is wrong, for messages.

use std::fmt;
use std::ops::Range;

use crate::json::Json;

/// A line and a column, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({},{})", self.line, self.column)
    }
}

/// Where the statements of a document begin and end: behind the brace that opens and the brace that closes each, as AWS
/// counts (source: LocalStack's recordings of SimulatePrincipalPolicy). Empty when `text` is no policy document.
pub fn statement_positions(text: &str) -> Vec<(Position, Position)> {
    if Json::parse(text).is_none_or(|json| json.object().is_none()) {
        return Vec::new();
    }
    let mut scan = Scan { text, at: 0 };
    let mut found = Vec::new();
    for (name, value) in scan.members() {
        if name == "\"Statement\"" {
            found = match text.as_bytes().get(value.start) {
                Some(b'[') => Scan { text, at: value.start }.elements(),
                _ => vec![value],
            };
        }
    }
    found.iter().map(|span| (position(text, span.start + 1), position(text, span.end))).collect()
}

/// Where AWS says that a value is: behind the bracket or the quote that opens it, or behind a number or a word. `path` has the
/// numbers of the members and elements that lead to it, the last first. Source: positions in messages that users report.
pub(crate) fn position_of(text: &str, path: &[usize]) -> Position {
    let mut place = 0..text.len();
    for number in path.iter().rev() {
        let mut scan = Scan { text, at: place.start };
        scan.skip_blanks();
        place = match scan.byte() {
            Some(b'[') => scan.elements().get(*number).cloned(),
            _ => scan.members().get(*number).map(|(_, value)| value.clone()),
        }
        .unwrap_or(place);
    }
    let is_opened = matches!(text.as_bytes().get(place.start), Some(b'"' | b'{' | b'['));
    position(text, if is_opened { place.start + 1 } else { place.end })
}

/// Behind the last character of a document.
pub(crate) fn end_of(text: &str) -> Position {
    position(text, text.trim_end().len())
}

/// Reads JSON that is known to be JSON, to see where things stand.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// At the value that begins at this place.
    pub(crate) fn at(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// The names, with their quotes, and the places of the values of an object.
    pub(crate) fn members(&mut self) -> Vec<(&'a str, Range<usize>)> {
        let mut members = Vec::new();
        self.enter();
        while let Some(name) = self.value() {
            let Some(value) = self.value() else { break };
            members.push((&self.text[name], value));
        }
        members
    }

    /// The places of the elements of a list.
    pub(crate) fn elements(&mut self) -> Vec<Range<usize>> {
        self.enter();
        std::iter::from_fn(|| self.value()).collect()
    }

    /// Over the bracket that opens.
    fn enter(&mut self) {
        self.skip_blanks();
        self.at += 1;
    }

    /// Over one value and what parts it from the one before; `None` at the bracket that closes, and at the end.
    fn value(&mut self) -> Option<Range<usize>> {
        self.skip_blanks();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.byte()? {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b'}' | b']' => break,
                _ => self.at += 1,
            }
            if depth == 0 && self.byte().is_none_or(|byte| b",:}] \t\r\n".contains(&byte)) {
                break;
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    fn skip_blanks(&mut self) {
        while self.byte().is_some_and(|byte| b",: \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

fn position(text: &str, at: usize) -> Position {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    Position { line, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line and a column.
    type Place = (usize, usize);

    #[track_caller]
    fn check(text: &str, expected: &[(Place, Place)]) {
        let pair = |position: Position| (position.line, position.column);
        let found = statement_positions(text);
        let found: Vec<_> = found.iter().map(|(start, end)| (pair(*start), pair(*end))).collect();
        assert_eq!(found, expected, "{text}");
    }

    /// The document and the places of the recording.
    #[test]
    fn as_aws_counts() {
        let text = r#"{"Version": "2012-10-17", "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}}"#;
        check(text, &[((1, 41), (1, 113))]);
    }

    #[test]
    fn wherever_they_stand() {
        check(
            "{\n \"Statement\" : [\n  {\"a\": [{}, \"}\\\"\"]},\n {}\n ], \"Id\": \"Statement\"}",
            &[((3, 4), (3, 21)), ((4, 3), (4, 4))],
        );
        check(r#"{"Statement":[]}"#, &[]);
        check(r#"{"Id":{"Statement":{}},"Statement":{"é":1}}"#, &[((1, 37), (1, 43))]);
    }

    #[test]
    fn no_document_has_no_statements() {
        for text in [
            "",
            "{",
            "[",
            "}",
            "\"",
            "{\"Statement\"",
            "{\"Statement\":",
            "{\"Statement\":[{\"a\\",
            "null",
        ] {
            check(text, &[]);
        }
    }
}
