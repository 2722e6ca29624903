//! Policies that name principals: of roles ("trust policies"), and of resources.

use std::collections::BTreeSet;

use super::principals::read_principals;
use super::texts::{ResourceFault, check_action, check_resource};
use super::{Checked, conditions, has_variables, is_version};
use crate::document::{Document, Element, RawStatement};
use crate::malformed::Malformed;
use crate::policy::PolicyKind;
use crate::principal::Principals;
use crate::statement::Effect;

pub(crate) fn check_granting(
    document: &Document,
    kind: PolicyKind,
) -> Result<Vec<Checked>, Malformed> {
    if !is_version(document.version.as_deref()) {
        return Err(Malformed::InvalidVersion);
    }
    if document.statements.is_empty() {
        return Err(Malformed::NoStatement);
    }
    let variables = has_variables(document.version.as_deref());
    let mut sids = BTreeSet::new();
    let check = |statement: &RawStatement| {
        let checked = check_statement(statement, kind, variables)?;
        let sid = statement.sid.as_deref().filter(|sid| !sid.is_empty());
        let is_new = sid.is_none_or(|sid| sids.insert(sid.to_owned()));
        if is_new { Ok(checked) } else { Err(Malformed::StatementIdsNotUnique) }
    };
    document.statements.iter().map(check).collect()
}

fn check_statement(
    statement: &RawStatement,
    kind: PolicyKind,
    variables: bool,
) -> Result<Checked, Malformed> {
    let effect = match statement.effect.as_deref() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        Some(other) => return Err(Malformed::Effect(other.to_owned())),
        None => return Err(Malformed::Missing("Effect")),
    };
    let principals = check_principals(statement, effect, kind)?;
    let conditions = conditions(statement, variables).ok_or(Malformed::Syntax)?;
    check_actions(statement, kind)?;
    check_resources(statement, kind)?;
    Ok(Checked { effect, principals: Some(principals), conditions })
}

fn check_principals(
    statement: &RawStatement,
    effect: Effect,
    kind: PolicyKind,
) -> Result<Principals, Malformed> {
    let Some(Element { negated, value }) = &statement.principal else {
        return Err(Malformed::Missing("Principal"));
    };
    if *negated && effect == Effect::Allow {
        return Err(Malformed::AllowNotPrincipal);
    }
    let is_trust = kind == PolicyKind::RoleTrust;
    if *negated && is_trust {
        return Err(Malformed::TrustNotPrincipal);
    }
    Ok(Principals::new(*negated, read_principals(value, is_trust)?))
}

fn check_actions(statement: &RawStatement, kind: PolicyKind) -> Result<(), Malformed> {
    let actions = statement.actions.as_ref().filter(|actions| !actions.value.is_empty());
    let Some(actions) = actions else { return Err(Malformed::Missing("Action")) };
    for action in &actions.value {
        let is_of_sts = action.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sts:"));
        if kind == PolicyKind::RoleTrust && !is_of_sts {
            return Err(Malformed::TrustActions);
        }
        check_action(action)?;
    }
    Ok(())
}

fn check_resources(statement: &RawStatement, kind: PolicyKind) -> Result<(), Malformed> {
    let resources = match (&statement.resources, kind) {
        (Some(resources), PolicyKind::RoleTrust) => {
            return Err(if resources.negated {
                Malformed::TrustResources
            } else {
                Malformed::Prohibited("Resource")
            });
        }
        (None, PolicyKind::RoleTrust | PolicyKind::Repository) => return Ok(()),
        (Some(resources), _) if !resources.value.is_empty() => resources,
        _ => return Err(Malformed::Missing("Resource")),
    };
    for resource in &resources.value {
        check_resource(resource).map_err(|fault| match fault {
            ResourceFault::Said(fault) => fault,
            ResourceFault::Legacy => Malformed::Syntax,
        })?;
    }
    Ok(())
}
