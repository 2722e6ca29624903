//! Patterns of words by their position: `[ip, user, ..., status = 4* || status = 500, bytes]`.
//! Text between `[ ]` or `" "` in a message is one word.

use super::InvalidPattern;
use super::expression::Expression;
use super::scanner::Scanner;
use super::value::{Comparison, Field, number_of};
use crate::limits::PATTERN_REGEXES_MAX;

#[derive(Clone, Debug)]
pub(super) struct SpacePattern {
    /// The words before the ellipsis, or all of them.
    front: Vec<Word>,
    /// The words behind the ellipsis, if there is one.
    back: Option<Vec<Word>>,
}

/// What one word of the message must be; `None` takes any.
type Word = Option<Expression<Comparison>>;

impl SpacePattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let mut scanner = Scanner::new(text);
        scanner.expect("[")?;
        let mut pattern = Self { front: Vec::new(), back: None };
        let mut regulars = 0;
        loop {
            if scanner.eat("...") {
                if pattern.back.replace(Vec::new()).is_some() {
                    return Err(InvalidPattern::Syntax);
                }
            } else {
                let word = parse_word(&mut scanner, &mut regulars)?;
                pattern.back.as_mut().unwrap_or(&mut pattern.front).push(word);
            }
            if !scanner.eat(",") {
                break;
            }
        }
        scanner.expect("]")?;
        scanner.skip_spaces();
        if regulars > PATTERN_REGEXES_MAX || !scanner.is_at_end() {
            return Err(InvalidPattern::Syntax);
        }
        Ok(pattern)
    }

    pub fn matches(&self, message: &str) -> bool {
        let words = words_of(message);
        let Some(back) = &self.back else { return self.matches_to_the_end(message, &words) };
        let Some(behind) = words.len().checked_sub(back.len()) else { return false };
        behind >= self.front.len()
            && all_hold(&self.front, &words)
            && all_hold(back, &words[behind..])
    }

    /// Without an ellipsis the last word of the pattern takes the rest of the message, so that
    /// `[w1=ERROR, w2]` matches messages of any length that start with ERROR (AWS).
    fn matches_to_the_end(&self, message: &str, words: &[MessageWord<'_>]) -> bool {
        let Some((last, others)) = self.front.split_last() else { return false };
        let Some(word) = words.get(others.len()) else { return false };
        if !all_hold(others, words) {
            return false;
        }
        let is_last = words.len() == self.front.len();
        let text = if is_last { word.text } else { message[word.start..].trim_end() };
        holds(last, text)
    }
}

fn all_hold(expected: &[Word], words: &[MessageWord<'_>]) -> bool {
    expected.iter().zip(words).all(|(expected, word)| holds(expected, word.text))
}

fn holds(expected: &Word, text: &str) -> bool {
    let Some(expression) = expected else { return true };
    let field = match number_of(text) {
        Some(number) => Field::Number(number, text),
        None => Field::Text(text),
    };
    expression.holds(&|comparison: &Comparison| comparison.holds(field))
}

/// Nothing, a name, or conditions on one name.
fn parse_word(scanner: &mut Scanner<'_>, regulars: &mut usize) -> Result<Word, InvalidPattern> {
    scanner.skip_spaces();
    let in_name = |c: char| c.is_alphanumeric() || "_-$".contains(c);
    let mut ahead = Scanner::new(scanner.rest());
    ahead.take_while(in_name);
    ahead.skip_spaces();
    if matches!(ahead.peek(), Some(',' | ']')) {
        scanner.take_while(in_name);
        return Ok(None);
    }
    let mut name: Option<String> = None;
    let expression = Expression::parse(scanner, &mut |scanner| {
        scanner.skip_spaces();
        let this = scanner.take_while(in_name);
        let same = name.get_or_insert_with(|| this.to_owned()) == this;
        if this.is_empty() || !same {
            return Err(InvalidPattern::Syntax);
        }
        let bare = |c: char| !c.is_whitespace() && !",]&|()\"%".contains(c);
        let comparison = Comparison::parse(scanner, bare)?;
        *regulars += usize::from(comparison.has_regular());
        Ok(comparison)
    })?;
    Ok(Some(expression))
}

struct MessageWord<'a> {
    /// Where the word, with its brackets or quotes, starts in the message.
    start: usize,
    text: &'a str,
}

fn words_of(message: &str) -> Vec<MessageWord<'_>> {
    let mut words = Vec::new();
    let mut position = 0;
    loop {
        let rest = &message[position..];
        let start = position + (rest.len() - rest.trim_start().len());
        let rest = &message[start..];
        let Some(first) = rest.chars().next() else { return words };
        let closing = match first {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        let closed = closing.and_then(|closing| rest[1..].find(closing));
        match closed {
            Some(length) => {
                words.push(MessageWord { start, text: &rest[1..1 + length] });
                position = start + length + 2;
            }
            None => {
                let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
                words.push(MessageWord { start, text: &rest[..length] });
                position = start + length;
            }
        }
    }
}
