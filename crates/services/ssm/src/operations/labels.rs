//! Labels of versions.
//!
//! Source: user guide, "Working with parameter labels": 10 for each version; of letters, digits, periods, hyphens and underscores;
//! not beginning with a digit, `aws` or `ssm`; moved to another version by giving them to it.

use outport_aws_ssm::{
    LabelParameterVersionRequest, LabelParameterVersionResult, UnlabelParameterVersionRequest,
    UnlabelParameterVersionResult,
};
use outport_identity::Call;
use outport_model::parameter::Parameter;
use outport_store::Tables;

use crate::look::{look, there, version_of};
use crate::names::{Reference, scope};
use crate::rejection::{Reason, Rejection};
use crate::{SsmService, quotas};

/// Where a label is not valid, none is given.
pub async fn label_parameter_version(
    service: &SsmService,
    call: &Call,
    input: LabelParameterVersionRequest,
) -> Result<LabelParameterVersionResult, Rejection> {
    let scope = scope(call);
    let reference = Reference::parse(&scope, &input.name.unwrap_or_default())?;
    let labels = input.labels.unwrap_or_default();
    let ask = |tables: &Tables| look(tables, &scope, &reference, "ssm:LabelParameterVersion");
    service
        .store
        .write(call, ask, |tx, found| {
            let mut parameter = Parameter::clone(&*there(found)?);
            let version = match input.parameter_version {
                Some(version) => existing(tx, &parameter, version)?,
                None => parameter.latest,
            };
            let (valid, invalid): (Vec<_>, Vec<_>) =
                labels.into_iter().partition(|label| is_valid(label));
            if invalid.is_empty() {
                parameter.labels.extend(valid.into_iter().map(|label| (label, version)));
                check_count(&parameter, version)?;
                tx.put(parameter);
            }
            Ok(LabelParameterVersionResult {
                invalid_labels: Some(invalid),
                parameter_version: i64::try_from(version).ok(),
            })
        })
        .await
}

pub async fn unlabel_parameter_version(
    service: &SsmService,
    call: &Call,
    input: UnlabelParameterVersionRequest,
) -> Result<UnlabelParameterVersionResult, Rejection> {
    let scope = scope(call);
    let reference = Reference::parse(&scope, &input.name.unwrap_or_default())?;
    let labels = input.labels.unwrap_or_default();
    let ask = |tables: &Tables| look(tables, &scope, &reference, "ssm:UnlabelParameterVersion");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut parameter = Parameter::clone(&*there(found)?);
            let version = existing(tx, &parameter, input.parameter_version.unwrap_or_default())?;
            let (removed, invalid): (Vec<_>, Vec<_>) =
                labels.into_iter().partition(|label| parameter.labels.get(label) == Some(&version));
            for label in &removed {
                parameter.labels.remove(label);
            }
            tx.put(parameter);
            Ok(UnlabelParameterVersionResult {
                removed_labels: Some(removed),
                invalid_labels: Some(invalid),
            })
        })
        .await
}

fn existing(tables: &Tables, parameter: &Parameter, version: i64) -> Result<u64, Rejection> {
    let found = u64::try_from(version).ok().and_then(|it| version_of(tables, parameter, it));
    let found =
        found.ok_or_else(|| Rejection::no_such_version(&parameter.name, &version.to_string()))?;
    Ok(found.version)
}

fn is_valid(label: &str) -> bool {
    let is_allowed = |one: char| one.is_ascii_alphanumeric() || ".-_".contains(one);
    let lower = label.to_ascii_lowercase();
    label.chars().all(is_allowed)
        && !label.starts_with(|one: char| one.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

fn check_count(parameter: &Parameter, version: u64) -> Result<(), Rejection> {
    if parameter.labels_of(version).count() > quotas::LABELS_PER_VERSION {
        let text = "A parameter version can have maximum 10 labels.Move one or more labels to another version and try again.";
        return Err(Rejection::new(Reason::ParameterVersionLabelLimitExceeded, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, code};

    #[tokio::test]
    async fn a_label_moves_and_a_bad_one_stops_them_all() {
        let world = World::full().await;
        let label = |names: &[&str]| json!({"Name": "/prod/db", "Labels": names});
        let bad = ["1st", "aws-x", "SSM", "a b"];
        let answer = json!({"InvalidLabels": bad, "ParameterVersion": 2});
        world.check("LabelParameterVersion", label(&[&["live"][..], &bad].concat()), answer).await;
        let version = async || {
            let answer = world.call("GetParameter", json!({"Name": "/prod/db:live"})).await;
            answer["Parameter"]["Version"].clone()
        };
        assert_eq!(version().await, 1);
        world.call("LabelParameterVersion", label(&["live"])).await;
        assert_eq!(version().await, 2);
    }

    #[tokio::test]
    async fn a_version_has_ten_labels_at_most() {
        let world = World::full().await;
        let names: Vec<String> = (0..10).map(|number| format!("l{number}")).collect();
        world.call("LabelParameterVersion", json!({"Name": "/prod/db", "Labels": names})).await;
        let more = json!({"Name": "/prod/db", "Labels": ["more"]});
        let (_, answer) = world.reply("LabelParameterVersion", &more).await;
        assert_eq!(code(&answer), "ParameterVersionLabelLimitExceeded");
    }
}
