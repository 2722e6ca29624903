//! Policies of principals: managed ones, inline ones, session policies. They name no principal.
//!
//! What is looked at in which order is as IAM does it, as far as moto's tests found it out: what an older reader refuses
//! ("legacy parsing") comes before what a newer one has a message for.

use std::collections::BTreeSet;

use super::texts::{ResourceFault, check_action, check_resource};
use super::{CURRENT_VERSION, Checked, conditions, has_variables, is_version};
use crate::document::{Document, Element, RawStatement};
use crate::malformed::Malformed;
use crate::statement::Effect;

/// `managed`: a policy with an ARN, which has to be of the current version.
pub(crate) fn check_attached(
    document: &Document,
    managed: bool,
) -> Result<Vec<Checked>, Malformed> {
    let statements = &document.statements;
    check_syntax(document)?;
    if managed && document.version.as_deref() != Some(CURRENT_VERSION) {
        return Err(Malformed::OldVersion);
    }
    let variables = has_variables(document.version.as_deref());
    let checked = statements.iter().map(|statement| read(statement, variables));
    let checked = checked.collect::<Option<Vec<_>>>().ok_or(Malformed::LegacyParsing)?;
    let resource_fault = first_resource_fault(statements)?;
    check_sids(statements)?;
    if statements.iter().any(|statement| statement.principal.is_some()) {
        return Err(Malformed::Principal);
    }
    if statements.iter().any(|statement| is_nothing(statement.actions.as_ref())) {
        return Err(Malformed::NoActions);
    }
    if let Some(fault) = resource_fault {
        return Err(fault);
    }
    // All of `Action`, then all of `NotAction`.
    for negated in [false, true] {
        let elements = statements.iter().filter_map(|statement| statement.actions.as_ref());
        let elements = elements.filter(|actions| actions.negated == negated);
        elements.flat_map(|actions| &actions.value).try_for_each(|action| check_action(action))?;
    }
    if statements.iter().any(|statement| is_nothing(statement.resources.as_ref())) {
        return Err(Malformed::NoResources);
    }
    Ok(checked)
}

fn check_syntax(document: &Document) -> Result<(), Malformed> {
    let is_effect = |effect: &String| {
        effect.eq_ignore_ascii_case("Allow") || effect.eq_ignore_ascii_case("Deny")
    };
    let is_well = is_version(document.version.as_deref())
        && !document.statements.is_empty()
        && document.statements.iter().all(|statement| statement.effect.iter().any(is_effect));
    if is_well { Ok(()) } else { Err(Malformed::Syntax) }
}

/// `None` when the older reader refuses it.
fn read(statement: &RawStatement, variables: bool) -> Option<Checked> {
    let effect = match statement.effect.as_deref()? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        _ => return None,
    };
    Some(Checked { effect, principals: None, conditions: conditions(statement, variables)? })
}

/// What is first wrong with a resource, to be said once more important things are looked at.
fn first_resource_fault(statements: &[RawStatement]) -> Result<Option<Malformed>, Malformed> {
    let elements = statements.iter().filter_map(|statement| statement.resources.as_ref());
    let mut first = None;
    for resource in elements.flat_map(|resources| &resources.value) {
        match check_resource(resource) {
            Err(ResourceFault::Legacy) if first.is_none() => return Err(Malformed::LegacyParsing),
            Err(ResourceFault::Said(fault)) => drop(first.get_or_insert(fault)),
            Ok(()) | Err(ResourceFault::Legacy) => {}
        }
    }
    Ok(first)
}

fn check_sids(statements: &[RawStatement]) -> Result<(), Malformed> {
    let sids = || statements.iter().filter_map(|statement| statement.sid.as_deref());
    let is_plain = |sid: &str| sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !sids().all(is_plain) {
        return Err(Malformed::SidCharacters);
    }
    let mut seen = BTreeSet::new();
    let is_new = |sid: &str| sid.is_empty() || seen.insert(sid.to_owned());
    if sids().all(is_new) { Ok(()) } else { Err(Malformed::SidNotUnique) }
}

fn is_nothing(element: Option<&Element<Vec<String>>>) -> bool {
    element.is_none_or(|element| element.value.is_empty())
}
