//! The cluster query language: which container instances an expression means. `memberOf` constraints and the `filter` of
//! ListContainerInstances are written in it.
//!
//! ```text
//! expression   all { ("||" | "or") all }
//! all          one { ("&&" | "and") one }
//! one          ("!" | "not") one | "(" expression ")" | comparison
//! comparison   subject operator [argument]
//! argument     word | 'text' | "text" | "[" argument { "," argument } "]"
//! ```
//!
//! **Invariant:** a query is typed when it is parsed: which operators a subject has, and what its argument means, is
//! settled there, and looking at an instance cannot fail.
//!
//! Source: "Create expressions to define container instances for Amazon ECS tasks" in the Amazon ECS Developer Guide. What
//! it does not say, and is a guess here: words of the language are in lower case; a subject that is an attribute
//! takes every operator; an attribute compares by size as a number where both sides are one, else as text; `matches` means
//! the whole value, as Java's `String.matches`; a negative operator on an attribute holds only where the attribute is there
//! (the guide's example "exclude an attribute value" says so of `!=`); of `task:group` it holds where no task of the group is.

mod evaluate;
mod literal;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use regex::Regex;

pub use evaluate::Instance;
use literal::Version;
use outport_model::TimestampMs;

/// Characters of an expression. Source: botocore's documentation of `PlacementConstraint.expression`.
pub const EXPRESSION_LENGTH_MAX: usize = 2_000;
/// How deep parentheses and negations may stand in each other. Ours.
const DEPTH_MAX: usize = 32;
/// Bytes that a pattern may take when it is compiled. Ours.
const PATTERN_SIZE_MAX: usize = 256 << 10;

/// An expression that was understood.
#[derive(Clone, Debug)]
pub struct Query(Expression);

#[derive(Clone, Debug)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Comparison),
}

/// A subject with what is asked of it.
#[derive(Clone, Debug)]
enum Comparison {
    AgentConnected(TextTest),
    AgentVersion(Ordered<Version>),
    Attribute(String, AttributeTest),
    Ec2InstanceId(TextTest),
    RegisteredAt(Ordered<TimestampMs>),
    RunningTasksCount(Ordered<u64>),
    TaskGroup(AttributeTest),
}

#[derive(Clone, Debug)]
enum AttributeTest {
    Exists,
    NotExists,
    Text(TextTest),
    /// By size.
    Ordered(Relation, String),
}

/// A test of a text, or that it fails.
#[derive(Clone, Debug)]
struct TextTest {
    is_negative: bool,
    test: PositiveTest,
}

#[derive(Clone, Debug)]
enum PositiveTest {
    Equals(String),
    In(Vec<String>),
    Matches(Regex),
}

#[derive(Clone, Debug)]
struct Ordered<T> {
    relation: Relation,
    than: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// Why an expression is none. `Display` says it for the caller; the words are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    Empty,
    TooLong,
    TooDeep,
    /// What is there, at which character (from 1), and what could be there.
    Unexpected {
        at: usize,
        found: String,
        expected: &'static str,
    },
    UnknownSubject(String),
    /// A subject does not have the operator.
    Operator {
        subject: String,
        operator: &'static str,
    },
    /// The argument is no number, date or version.
    Argument {
        subject: String,
        argument: String,
        expected: &'static str,
    },
    /// It is no pattern, or one that is not built: which asks for looking around or for what a group has matched.
    Pattern(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the expression is empty"),
            Self::TooLong => {
                write!(f, "an expression can have at most {EXPRESSION_LENGTH_MAX} characters")
            }
            Self::TooDeep => {
                write!(f, "parentheses and negations can be nested at most {DEPTH_MAX} deep")
            }
            Self::Unexpected { at, found, expected } => {
                write!(f, "expected {expected} at character {at}, but found {found}")
            }
            Self::UnknownSubject(subject) => write!(f, "unknown subject '{subject}'"),
            Self::Operator { subject, operator } => {
                write!(f, "the subject '{subject}' does not support the operator '{operator}'")
            }
            Self::Argument { subject, argument, expected } => {
                write!(f, "the argument '{argument}' of '{subject}' must be {expected}")
            }
            Self::Pattern(pattern) => write!(
                f,
                "'{pattern}' is not a regular expression that is supported: look-around and back-references are not"
            ),
        }
    }
}

impl std::error::Error for Invalid {}

impl Query {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > EXPRESSION_LENGTH_MAX {
            return Err(Invalid::TooLong);
        }
        if text.trim().is_empty() {
            return Err(Invalid::Empty);
        }
        parse::expression(text).map(Self)
    }
}
