//! Texts with `*` for any characters; `\*` and `\\` are the characters themselves.

/// A wildcard that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// What is between the asterisks; the first is the beginning, the last the end. One alone: there is no asterisk.
    parts: Vec<String>,
}

impl Wildcard {
    /// # Errors
    /// In the words of Event Ruler, which counts positions from the quotation mark.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut characters = text.chars().enumerate().peekable();
        while let Some((at, character)) = characters.next() {
            match (character, characters.peek()) {
                ('*', Some((_, '*'))) => {
                    return Err(format!("Consecutive wildcard characters at pos {}", at + 1));
                }
                ('*', _) => parts.push(String::new()),
                ('\\', Some((_, escaped @ ('*' | '\\')))) => {
                    let escaped = *escaped;
                    characters.next();
                    push(&mut parts, escaped);
                }
                ('\\', _) => return Err(format!("Invalid escape character at pos {}", at + 1)),
                (character, _) => push(&mut parts, character),
            }
        }
        Ok(Self { parts })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.parts.as_slice() else {
            return self.parts.iter().all(|only| only == text);
        };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        // The earliest place leaves the most for what follows.
        for part in between {
            let Some(at) = left.find(part.as_str()) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(last.as_str())
    }
}

fn push(parts: &mut [String], character: char) {
    if let Some(part) = parts.last_mut() {
        part.push(character);
    }
}
