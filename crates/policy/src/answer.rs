//! Yes, no, or not known: whether a part of a statement is about a request.
//!
//! **Invariant**: what is not known never allows. It is a no for a statement that allows and a yes for one that denies.

use crate::statement::Effect;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

impl Answer {
    /// Whether one of several patterns matches, or, `negated`, none. A pattern that stands for nothing (`None`: a variable
    /// without value, a value that cannot be read) matches nothing; whether it is *another* than the value is not known.
    pub fn of_any(matches: impl Iterator<Item = Option<bool>>, negated: bool) -> Self {
        let mut all_known = true;
        for is_match in matches {
            match is_match {
                Some(true) => return if negated { Answer::No } else { Answer::Yes },
                Some(false) => {}
                None => all_known = false,
            }
        }
        match (negated, all_known) {
            (false, _) => Answer::No,
            (true, true) => Answer::Yes,
            (true, false) => Answer::Unknown,
        }
    }

    /// Yes to all; nothing at all is a yes.
    pub fn all(answers: impl Iterator<Item = Self>) -> Self {
        let mut result = Answer::Yes;
        for answer in answers {
            match answer {
                Answer::Yes => {}
                Answer::No => return Answer::No,
                Answer::Unknown => result = Answer::Unknown,
            }
        }
        result
    }

    /// Yes to one at least.
    pub fn any(answers: impl Iterator<Item = Self>) -> Self {
        Self::all(answers.map(Self::opposite)).opposite()
    }

    /// The same answer for each; else it is not known.
    pub fn agreed(mut answers: impl Iterator<Item = Self>) -> Self {
        let first = answers.next().unwrap_or(Answer::Unknown);
        if answers.all(|answer| answer == first) { first } else { Answer::Unknown }
    }

    fn opposite(self) -> Self {
        match self {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            Answer::Unknown => Answer::Unknown,
        }
    }

    pub fn counts_for(self, effect: Effect) -> bool {
        match self {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Unknown => effect == Effect::Deny,
        }
    }
}
