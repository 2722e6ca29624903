//! Rows as Secrets Manager shows them.

use std::collections::BTreeMap;

use outport_aws_secretsmanager as wire;
use outport_aws_wire::Timestamp;
use outport_model::TimestampMs;
use outport_model::secret::{Rotation, Secret, SecretVersion};

use crate::tags;

const DAY_MS: TimestampMs = 24 * 60 * 60 * 1000;
/// Source: answers of ListSecretVersionIds for secrets without a key of the customer's.
const DEFAULT_KEY: &str = "DefaultEncryptionKey";

pub fn time(ms: TimestampMs) -> Option<Timestamp> {
    Some(Timestamp::from_millis(ms))
}

/// The start of a day in UTC. Source: API reference, LastAccessedDate: "truncated to midnight of the date".
pub fn day_of(ms: TimestampMs) -> TimestampMs {
    ms - ms.rem_euclid(DAY_MS)
}

pub fn arn(secret: &Secret) -> Option<String> {
    Some(secret.arn().into_string())
}

pub fn name(secret: &Secret) -> Option<String> {
    Some(secret.name.clone())
}

/// The labels of a version; left out where there are none.
pub fn stages(version: &SecretVersion) -> Option<Vec<String>> {
    (!version.stages.is_empty()).then(|| version.stages.iter().cloned().collect())
}

/// Deprecated versions are not shown.
fn versions_to_stages(secret: &Secret) -> Option<BTreeMap<String, Vec<String>>> {
    let labelled = secret.versions.iter().filter_map(|(id, one)| Some((id.clone(), stages(one)?)));
    let labelled: BTreeMap<_, _> = labelled.collect();
    (!labelled.is_empty()).then_some(labelled)
}

fn rotation_rules(rotation: &Rotation) -> Option<wire::RotationRulesType> {
    let Rotation { automatically_after_days, duration, schedule_expression, .. } = rotation;
    let is_any = automatically_after_days.is_some() || schedule_expression.is_some();
    is_any.then(|| wire::RotationRulesType {
        automatically_after_days: *automatically_after_days,
        duration: duration.clone(),
        schedule_expression: schedule_expression.clone(),
    })
}

/// Whole, as DescribeSecret shows it. What no secret of this version has is left out.
pub fn description(secret: &Secret) -> wire::DescribeSecretResponse {
    let rotation = secret.rotation.as_ref();
    wire::DescribeSecretResponse {
        arn: arn(secret),
        name: name(secret),
        description: secret.description.clone(),
        kms_key_id: secret.kms_key_id.clone(),
        rotation_enabled: rotation.map(|rotation| rotation.is_enabled),
        rotation_lambda_arn: rotation.and_then(|rotation| rotation.lambda_arn.clone()),
        rotation_rules: rotation.and_then(rotation_rules),
        last_changed_date: time(secret.changed_at_ms),
        last_accessed_date: secret.accessed_at_ms.and_then(time),
        deleted_date: secret.deletion.and_then(|deletion| time(deletion.at_ms())),
        tags: tags::view(&secret.tags),
        version_ids_to_stages: versions_to_stages(secret),
        created_date: time(secret.created_at_ms),
        ..wire::DescribeSecretResponse::default()
    }
}

/// As ListSecrets shows it: the same under a type of its own.
pub fn list_entry(secret: &Secret) -> wire::SecretListEntry {
    let shown = description(secret);
    wire::SecretListEntry {
        arn: shown.arn,
        name: shown.name,
        description: shown.description,
        kms_key_id: shown.kms_key_id,
        rotation_enabled: shown.rotation_enabled,
        rotation_lambda_arn: shown.rotation_lambda_arn,
        rotation_rules: shown.rotation_rules,
        last_changed_date: shown.last_changed_date,
        last_accessed_date: shown.last_accessed_date,
        deleted_date: shown.deleted_date,
        tags: shown.tags,
        secret_versions_to_stages: shown.version_ids_to_stages,
        created_date: shown.created_date,
        ..wire::SecretListEntry::default()
    }
}

pub fn version_entry(
    secret: &Secret,
    id: &str,
    version: &SecretVersion,
) -> wire::SecretVersionsListEntry {
    let key = secret.kms_key_id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned());
    wire::SecretVersionsListEntry {
        version_id: Some(id.to_owned()),
        version_stages: stages(version),
        last_accessed_date: version.accessed_at_ms.and_then(time),
        created_date: time(version.created_at_ms),
        kms_key_ids: Some(vec![key]),
    }
}
