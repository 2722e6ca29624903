//! What is wrong with an input that could be read.

use std::fmt;

use crate::path::Path;

/// A constraint of the model that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub path: Path,
    /// The refused value, shortened; `None` for a missing member.
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
        }
    }
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
