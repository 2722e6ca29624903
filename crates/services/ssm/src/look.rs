//! What there may be under a name, and the question about it.

use std::sync::Arc;

use outport_identity::{Question, Subject};
use outport_model::parameter::{Parameter, ParameterVersion};
use outport_model::{Arn, Scope};
use outport_store::Tables;
use outport_store::keys::{ParameterKey, ParameterVersionKey};

use crate::names::{Reference, Selector};
use crate::rejection::Rejection;

/// The parameter, asked about by nobody.
pub fn find(tables: &Tables, scope: &Scope, reference: &Reference) -> Option<Arc<Parameter>> {
    let named = |name: &str| tables.parameters.get(&ParameterKey::new(scope, name)).cloned();
    named(&reference.name).or_else(|| named(reference.other_name.as_deref()?))
}

/// The parameter, and the question whether `action` may be done with it.
///
/// Source of the condition keys: "Actions, resources, and condition keys for AWS Systems Manager".
pub fn look(
    tables: &Tables,
    scope: &Scope,
    reference: &Reference,
    action: &'static str,
) -> Subject<Option<Arc<Parameter>>> {
    let found = find(tables, scope, reference);
    let arn = match Arn::parse(&reference.name) {
        Some(elsewhere) => elsewhere,
        None => Arn::parameter(scope, &reference.name),
    };
    let question = Question::new(action, arn.into_string());
    let question = match &found {
        Some(parameter) => {
            let tags = parameter.tags.iter();
            tags.fold(question.with_resource_tags(&parameter.tags), |question, (key, value)| {
                question.with(&format!("ssm:resourceTag/{key}"), value.as_str())
            })
        }
        None => question,
    };
    Subject::new(found, question)
}

/// # Errors
/// `ParameterNotFound`.
pub fn there(found: Option<Arc<Parameter>>) -> Result<Arc<Parameter>, Rejection> {
    found.ok_or_else(Rejection::no_such_parameter)
}

/// The version of a parameter that is meant.
///
/// # Errors
/// `ParameterVersionNotFound`.
pub fn select<'a>(
    tables: &'a Tables,
    parameter: &Parameter,
    reference: &Reference,
) -> Result<&'a Arc<ParameterVersion>, Rejection> {
    let (version, shown) = match &reference.selector {
        Selector::Latest => (Some(parameter.latest), parameter.latest.to_string()),
        Selector::Version(version) => (Some(*version), version.to_string()),
        Selector::Label(label) => (parameter.labels.get(label).copied(), label.clone()),
    };
    let found = version.and_then(|version| version_of(tables, parameter, version));
    found.ok_or_else(|| Rejection::no_such_version(&parameter.name, &shown))
}

pub fn version_of<'a>(
    tables: &'a Tables,
    parameter: &Parameter,
    version: u64,
) -> Option<&'a Arc<ParameterVersion>> {
    let key = ParameterVersionKey::new(&parameter.scope, parameter.name.as_str(), version);
    tables.parameter_versions.get(&key)
}
