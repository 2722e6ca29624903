//! Patterns of terms: words and quoted phrases that a message contains, anywhere and in this case
//! of letters.

use memchr::memmem::Finder;

use super::InvalidPattern;
use super::scanner::Scanner;

#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    required: Vec<Term>,
    excluded: Vec<Term>,
    /// One of these is enough. Empty beside other terms, where AWS ignores them.
    optional: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    text: String,
    finder: Finder<'static>,
}

impl Term {
    fn new(text: String) -> Self {
        let finder = Finder::new(text.as_bytes()).into_owned();
        Self { text, finder }
    }

    fn is_in(&self, message: &str) -> bool {
        self.finder.find(message.as_bytes()).is_some()
    }
}

impl Terms {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let mut terms = Self::default();
        let mut scanner = Scanner::new(text);
        loop {
            scanner.skip_spaces();
            let kind = match scanner.peek() {
                None => break,
                Some('?') => &mut terms.optional,
                Some('-') => &mut terms.excluded,
                Some(_) => &mut terms.required,
            };
            if !scanner.eat("?") {
                scanner.eat("-");
            }
            // A phrase of nothing but spaces matches everything (AWS: "Match everything").
            let term = parse_term(&mut scanner)?;
            if !term.trim().is_empty() {
                kind.push(Term::new(term));
            }
        }
        if !terms.required.is_empty() || !terms.excluded.is_empty() {
            terms.optional.clear();
        }
        Ok(terms)
    }

    pub fn matches(&self, message: &str) -> bool {
        self.required.iter().all(|term| term.is_in(message))
            && !self.excluded.iter().any(|term| term.is_in(message))
            && (self.optional.is_empty() || self.optional.iter().any(|term| term.is_in(message)))
    }

    pub fn could_match(&self, may_contain: impl Fn(&str) -> bool) -> bool {
        self.required.iter().all(|term| may_contain(&term.text))
            && (self.optional.is_empty()
                || self.optional.iter().any(|term| may_contain(&term.text)))
    }
}

/// A phrase in quotes, or a word of letters, digits and `_ - . /`.
fn parse_term(scanner: &mut Scanner<'_>) -> Result<String, InvalidPattern> {
    if scanner.peek() == Some('"') {
        let phrase = scanner.quoted('"')?;
        return match phrase.is_empty() {
            true => Err(InvalidPattern::Characters("\"\"".to_owned())),
            false => Ok(phrase),
        };
    }
    let in_word = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let word = scanner.take_while(in_word);
    let foreign = scanner.take_while(|c| !in_word(c) && !c.is_whitespace());
    if !foreign.is_empty() {
        return Err(InvalidPattern::Characters(foreign.to_owned()));
    }
    if word.is_empty() { Err(InvalidPattern::Syntax) } else { Ok(word.to_owned()) }
}
