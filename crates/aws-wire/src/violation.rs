//! What is wrong with an input that could be read.

use std::fmt;

use crate::path::Path;
use crate::schema::{Kind, Target};

/// A constraint of the model that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub path: Path,
    /// The refused value; `None` for a missing member.
    pub value: Option<String>,
    pub kind: ViolationKind,
}

/// Which constraint, with the limit from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    Required,
    LengthMin(i64),
    LengthMax(i64),
    ValueMin(i64),
    ValueMax(i64),
    Pattern(&'static str),
    Enum(&'static [&'static str]),
    /// An item of a list of scalars breaks one of these: AWS names the list, and all constraints of its items.
    Items(Vec<ViolationKind>),
    /// As [`ViolationKind::Items`] for the keys of a map.
    Keys(Vec<ViolationKind>),
    /// As [`ViolationKind::Items`] for the values of a map.
    Values(Vec<ViolationKind>),
}

impl ViolationKind {
    /// Every constraint on a scalar, in AWS's order.
    pub(crate) fn all_of(target: &Target) -> Vec<Self> {
        let constraint = target.constraint;
        let is_number =
            matches!(target.kind, Kind::Integer | Kind::Long | Kind::Float | Kind::Double);
        let names = match target.kind {
            Kind::Enum(names) => Some(names),
            _ => None,
        };
        let most = |max| if is_number { Self::ValueMax(max) } else { Self::LengthMax(max) };
        let least = |min| if is_number { Self::ValueMin(min) } else { Self::LengthMin(min) };
        let limits = constraint.max.map(most).into_iter().chain(constraint.min.map(least));
        let pattern = constraint.pattern.map(|pattern| Self::Pattern(pattern.text));
        limits.chain(pattern).chain(names.map(Self::Enum)).collect()
    }

    /// The names that were allowed, when the value is none of them.
    pub fn allowed_names(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::Enum(names) => Some(names),
            Self::Items(kinds) | Self::Keys(kinds) | Self::Values(kinds) => {
                kinds.iter().find_map(Self::allowed_names)
            }
            _ => None,
        }
    }
}

/// The constraint in the words of AWS's common validation: `Member must not be null`.
impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViolationKind::Required => f.write_str("Member must not be null"),
            ViolationKind::LengthMin(min) => {
                write!(f, "Member must have length greater than or equal to {min}")
            }
            ViolationKind::LengthMax(max) => {
                write!(f, "Member must have length less than or equal to {max}")
            }
            ViolationKind::ValueMin(min) => {
                write!(f, "Member must have value greater than or equal to {min}")
            }
            ViolationKind::ValueMax(max) => {
                write!(f, "Member must have value less than or equal to {max}")
            }
            ViolationKind::Pattern(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {pattern}")
            }
            ViolationKind::Enum(names) => {
                write!(f, "Member must satisfy enum value set: [{}]", names.join(", "))
            }
            ViolationKind::Items(kinds) => all(f, "Member", kinds),
            ViolationKind::Keys(kinds) => all(f, "Map keys", kinds),
            ViolationKind::Values(kinds) => all(f, "Map value", kinds),
        }
    }
}

fn all(f: &mut fmt::Formatter<'_>, what: &str, kinds: &[ViolationKind]) -> fmt::Result {
    let words: Vec<String> = kinds.iter().map(ViolationKind::to_string).collect();
    write!(f, "{what} must satisfy constraint: [{}]", words.join(", "))
}

/// `Value 'x' at 'logGroupName' failed to satisfy constraint: Member must …`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str("Value null")?,
            Some(value) => write!(f, "Value '{value}'")?,
        }
        write!(f, " at '{}' failed to satisfy constraint: {}", self.path, self.kind)
    }
}

/// The message of AWS's common validation: `2 validation errors detected: …; …`.
pub fn coral_message(violations: &[Violation]) -> String {
    let count = violations.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let words: Vec<String> = violations.iter().map(Violation::to_string).collect();
    format!("{count} validation {noun} detected: {}", words.join("; "))
}
