//! Filter patterns: which messages `FilterLogEvents` answers. Source: "Filter pattern syntax for
//! metric filters, subscription filters, filter log events, and Live Tail" in the user guide of
//! CloudWatch Logs.
//!
//! | pattern | matches |
//! |---|---|
//! | nothing | everything |
//! | `ERROR "two words" -DEBUG` | messages that contain all but those after a minus |
//! | `?ERROR ?WARN` | messages that contain one of them; ignored beside other terms |
//! | `%expression%` | messages in which the regular expression is found |
//! | `{ $.status >= 500 && $.path = "/a*" }` | JSON objects |
//! | `[ip, ..., status = 4*, bytes]` | words by their position |
//!
//! **Invariant:** pure. A pattern that parsed can be applied to any text without failing.

mod expression;
mod json;
mod regular;
mod scanner;
mod space;
mod terms;
mod value;

use crate::limits::PATTERN_CHARS_MAX;

/// A parsed filter pattern.
#[derive(Clone, Debug)]
pub struct FilterPattern {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Everything,
    Terms(terms::Terms),
    Regular(regular::Regular),
    Json(json::JsonPattern),
    Space(space::SpacePattern),
}

/// Why a pattern was refused. Its text is AWS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("Invalid filter pattern")]
    Syntax,
    #[error("Invalid character(s) in term '{0}'")]
    Characters(String),
}

impl FilterPattern {
    /// Matches every message.
    pub fn everything() -> Self {
        Self { kind: Kind::Everything }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(InvalidPattern::Syntax);
        }
        let text = text.trim();
        let kind = match text.chars().next() {
            None => Kind::Everything,
            Some('{') => Kind::Json(json::JsonPattern::parse(text)?),
            Some('[') => Kind::Space(space::SpacePattern::parse(text)?),
            Some('%') => Kind::Regular(regular::Regular::parse_whole(text)?),
            Some(_) => Kind::Terms(terms::Terms::parse(text)?),
        };
        Ok(Self { kind })
    }

    pub fn matches(&self, message: &str) -> bool {
        match &self.kind {
            Kind::Everything => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Regular(regular) => regular.is_found_in(message),
            Kind::Json(pattern) => pattern.matches(message),
            Kind::Space(pattern) => pattern.matches(message),
        }
    }

    /// Whether a text that surely lacks what `may_contain` denies could have a matching message in
    /// it. `may_contain` may say yes to anything and no only to what is not there.
    pub(crate) fn could_match(&self, may_contain: impl Fn(&str) -> bool) -> bool {
        match &self.kind {
            Kind::Terms(terms) => terms.could_match(may_contain),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
