//! Texts with `*` (any characters, none too) and `?` (any one character).
//!
//! **Invariant**: no backtracking. The pieces between two `*` are looked for from left to right, and the first place of each
//! is taken: if there is a match at all, there is one with that choice. A piece without `?` is looked for in linear time; one
//! with `?` in a 64th of the product of its length and the text's, and only if it is not longer than the text.

use std::collections::BTreeMap;

/// A text with wildcards, cut at its `*`: a first and a last piece that stand at the ends of what matches, and those
/// between. One piece is a text without `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Box<[Piece]>,
}

/// A part without `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Piece {
    /// Where a `?` stands, a character of one byte holds its place.
    text: String,
    /// Those places, in bytes, from left to right.
    gaps: Vec<usize>,
}

/// Collects a pattern from left to right.
#[derive(Debug, Default)]
pub(crate) struct PatternBuilder {
    done: Vec<Piece>,
    current: Piece,
}

/// What holds the place of a `?`.
const PLACE: char = '?';

impl PatternBuilder {
    /// Characters that mean themselves.
    pub fn text(&mut self, text: &str) {
        self.current.text.push_str(text);
    }

    /// A `?`.
    pub fn one(&mut self) {
        self.current.gaps.push(self.current.text.len());
        self.current.text.push(PLACE);
    }

    /// A `*`. Several in a row are as one.
    pub fn many(&mut self) {
        if self.done.is_empty() || !self.current.text.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    pub fn build(mut self) -> Pattern {
        self.done.push(self.current);
        Pattern { pieces: self.done.into() }
    }
}

impl Pattern {
    /// Reads `*` and `?` as wildcards.
    pub fn parse(text: &str) -> Self {
        let mut builder = PatternBuilder::default();
        let mut rest = text;
        while let Some(at) = rest.find(['*', '?']) {
            builder.text(&rest[..at]);
            if rest.as_bytes()[at] == b'*' {
                builder.many()
            } else {
                builder.one()
            }
            rest = &rest[at + 1..];
        }
        builder.text(rest);
        builder.build()
    }

    /// The only text that matches, if there is only one.
    pub fn literal(&self) -> Option<&str> {
        match &*self.pieces {
            [only] if only.gaps.is_empty() => Some(&only.text),
            _ => None,
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match &*self.pieces {
            [only] => only.strip_start(text) == Some(""),
            [first, between @ .., last] => {
                let rest = first.strip_start(text);
                let rest = between.iter().try_fold(rest, |rest, piece| Some(piece.strip_to(rest?)));
                rest.flatten().is_some_and(|rest| last.is_end_of(rest))
            }
            [] => false,
        }
    }
}

impl Piece {
    /// What follows, if `text` begins with the piece.
    fn strip_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.gaps.is_empty() {
            return text.strip_prefix(self.text.as_str());
        }
        let mut rest = text.chars();
        let begins = self.characters().all(|wanted| fits(wanted, rest.next()));
        begins.then_some(rest.as_str())
    }

    fn is_end_of(&self, text: &str) -> bool {
        if self.gaps.is_empty() {
            return text.ends_with(self.text.as_str());
        }
        let mut rest = text.chars();
        self.characters().rev().all(|wanted| fits(wanted, rest.next_back()))
    }

    /// What follows the first place of the piece in `text`.
    fn strip_to<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.gaps.is_empty() {
            return text.find(self.text.as_str()).map(|at| &text[at + self.text.len()..]);
        }
        // Each character of the piece takes one of the text, of at least one byte.
        if self.text.chars().count() > text.len() {
            return None;
        }
        let end = Places::of(self).end_of_first(text)?;
        Some(&text[end..])
    }

    /// Its characters, `None` for a `?`.
    fn characters(&self) -> impl DoubleEndedIterator<Item = Option<char>> {
        self.text.char_indices().map(|(at, character)| {
            (character != PLACE || self.gaps.binary_search(&at).is_err()).then_some(character)
        })
    }
}

fn fits(wanted: Option<char>, found: Option<char>) -> bool {
    found.is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
}

/// Bits, one for each character of a piece.
type Bits = Vec<u64>;

/// Where in a piece a character may stand. While a text is read, a bit says that the text so far ends with the piece up to
/// that character; the next character of the text moves all bits by one, and those stay that it fits ("shift-and").
struct Places {
    length: usize,
    /// The places of `?`.
    of_all: Bits,
    of_character: BTreeMap<char, Standing>,
}

/// The places of one character, in the smaller of two forms.
enum Standing {
    Few(Vec<usize>),
    Many(Bits),
}

const WORD: usize = u64::BITS as usize;

impl Places {
    fn of(piece: &Piece) -> Self {
        let mut lists = BTreeMap::<char, Vec<usize>>::new();
        let mut length = 0;
        let mut gaps = Vec::new();
        for (place, wanted) in piece.characters().enumerate() {
            length = place + 1;
            wanted.map_or(&mut gaps, |wanted| lists.entry(wanted).or_default()).push(place);
        }
        let words = length.div_ceil(WORD);
        let standing = |list: Vec<usize>| {
            if list.len() < words {
                Standing::Few(list)
            } else {
                Standing::Many(bits(words, &list))
            }
        };
        let of_character =
            lists.into_iter().map(|(character, list)| (character, standing(list))).collect();
        Self { length, of_all: bits(words, &gaps), of_character }
    }

    /// Where the first place of the piece in `text` ends, in bytes.
    fn end_of_first(&self, text: &str) -> Option<usize> {
        let mut state = vec![0; self.of_all.len()];
        let last = self.length - 1;
        for (at, character) in text.char_indices() {
            let moved = moved_by_one(&state);
            for (word, (moved, all)) in state.iter_mut().zip(moved.iter().zip(&self.of_all)) {
                *word = moved & all;
            }
            match self.of_character.get(&character) {
                None => {}
                Some(Standing::Few(list)) => {
                    for place in list {
                        state[place / WORD] |= moved[place / WORD] & (1 << (place % WORD));
                    }
                }
                Some(Standing::Many(places)) => {
                    for (word, (moved, here)) in state.iter_mut().zip(moved.iter().zip(places)) {
                        *word |= moved & here;
                    }
                }
            }
            if state[last / WORD] & (1 << (last % WORD)) != 0 {
                return Some(at + character.len_utf8());
            }
        }
        None
    }
}

fn bits(words: usize, places: &[usize]) -> Bits {
    let mut bits = vec![0; words];
    for place in places {
        bits[place / WORD] |= 1 << (place % WORD);
    }
    bits
}

/// Every bit at the next place, and the first one set: a piece may begin anywhere.
fn moved_by_one(state: &Bits) -> Bits {
    let mut carried = 1;
    let moved = state.iter().map(|word| {
        let moved = word << 1 | carried;
        carried = word >> (WORD - 1);
        moved
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Pattern::parse(pattern).matches(text), expected, "{pattern} on {text}");
    }

    #[test]
    fn first_places_are_enough() {
        check("*ab*b", "abab", true);
        check("*ab*b", "ab", false);
        check("a*a", "a", false);
        check("**", "", true);
        check("", "", true);
        check("", "a", false);
        check("*?*", "", false);
        check("*?*", "é", true);
    }

    #[test]
    fn a_piece_with_gaps_is_found_wherever_it_stands() {
        check("*a?c*", "xxabxabc", true);
        check("*a?c*", "xxabxab", false);
        check("*a??d*e", "aaxxdabbde", true);
        check("*é?ü*", "xéöü", true);
        let long = format!("*{}b*", "a?".repeat(100));
        check(&long, &format!("{}b", "a".repeat(200)), true);
        check(&long, &format!("{}b", "a".repeat(199)), false);
        check(&long, &format!("x{}ab", "a".repeat(199)), true);
    }

    /// A `?` that was handed over as a text means itself.
    #[test]
    fn a_text_means_itself() {
        let mut builder = PatternBuilder::default();
        builder.text("a?");
        builder.one();
        builder.text("*");
        let pattern = builder.build();
        assert!(pattern.matches("a?x*"));
        assert!(!pattern.matches("abx*"));
        assert!(!pattern.matches("a?xy"));
    }
}
