//! Whether a document is a policy, and of which kind.
//!
//! IAM has two readers: [`attached`] reads what is attached to principals, [`granting`] what names principals.

mod attached;
mod granting;
mod principals;
mod texts;

pub(crate) use self::attached::check_attached;
pub(crate) use self::granting::check_granting;

use crate::condition::{Condition, Limits};
use crate::document::{RawCondition, RawStatement};
use crate::principal::Principals;
use crate::statement::Effect;

/// What a reader has understood of a statement, beside its actions and resources.
#[derive(Debug)]
pub(crate) struct Checked {
    pub effect: Effect,
    pub principals: Option<Principals>,
    pub conditions: Box<[Condition]>,
}

/// The version of the language that has variables, and that managed policies must have.
const CURRENT_VERSION: &str = "2012-10-17";
/// The only other. A document that names none is of this one.
const OLD_VERSION: &str = "2008-10-17";

/// Whether variables are read in a document.
pub(crate) fn has_variables(version: Option<&str>) -> bool {
    version == Some(CURRENT_VERSION)
}

fn is_version(version: Option<&str>) -> bool {
    version.is_none_or(|version| version == CURRENT_VERSION || version == OLD_VERSION)
}

/// `None` when a value cannot be compared as its operator compares.
fn conditions(statement: &RawStatement, variables: bool) -> Option<Box<[Condition]>> {
    let condition = |RawCondition { operator, key, values }: &RawCondition| {
        let limits = Limits::parse(operator.comparison, values, variables)?;
        Some(Condition::new(*operator, key, limits))
    };
    statement.conditions.iter().map(condition).collect()
}
