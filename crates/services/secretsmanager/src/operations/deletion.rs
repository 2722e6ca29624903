//! Secrets deleted and restored.
//!
//! ```text
//! there ── DeleteSecret ──► marked for deletion ── the window is over ──► gone
//!   ▲                              │
//!   └─────── RestoreSecret ────────┘
//! ```

use std::sync::Arc;

use outport_aws_secretsmanager::{
    DeleteSecretRequest, DeleteSecretResponse, RestoreSecretRequest, RestoreSecretResponse,
};
use outport_identity::Call;
use outport_model::Arn;
use outport_model::secret::{Deletion, Secret};
use outport_store::{Row, Tables};

use crate::look::{Named, there};
use crate::names::scope;
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::{SecretsManagerService, random, view};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Source: API reference, DeleteSecret, RecoveryWindowInDays: "from 7 to 30 days (inclusive) … defaults to 30 days".
const WINDOW_DAYS: std::ops::RangeInclusive<i64> = 7..=30;
const WINDOW_DAYS_DEFAULT: i64 = 30;

/// Marks a secret for deletion, or removes it at once.
pub async fn delete_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: DeleteSecretRequest,
) -> Result<DeleteSecretResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let is_forced = input.force_delete_without_recovery.unwrap_or(false);
    let window_days = parse_window(input.recovery_window_in_days, is_forced)?;
    let (named, suffix) = (Named::new(call, service.now(), &id), random::suffix()?);
    let ask = |tables: &Tables| {
        let subject = named
            .look(tables, "secretsmanager:DeleteSecret")
            .with("secretsmanager:ForceDeleteWithoutRecovery", is_forced);
        match input.recovery_window_in_days {
            Some(days) => subject.with("secretsmanager:RecoveryWindowInDays", days),
            None => subject,
        }
    };
    service
        .write_always(call, &id, ask, |tx, found| {
            if is_forced {
                if let Some(secret) = &found {
                    tx.remove_secret(&secret.key());
                }
                return Ok(removed(call, &id, found, &suffix, tx.now_ms()));
            }
            let mut secret = Secret::clone(&*there(found)?);
            if secret.deletion.is_some() {
                return Err(Rejection::InvalidRequest(
                    "You can't perform this operation on the secret because it was already scheduled for deletion."
                        .to_owned(),
                ));
            }
            let deletion =
                Deletion { requested_at_ms: tx.now_ms(), window_ms: window_days * DAY_MS };
            secret.deletion = Some(deletion);
            let answer = DeleteSecretResponse {
                arn: view::arn(&secret),
                name: view::name(&secret),
                deletion_date: view::time(deletion.at_ms()),
            };
            put_changed(tx, secret);
            Ok(answer)
        })
        .await
}

fn parse_window(days: Option<i64>, is_forced: bool) -> Result<i64, Rejection> {
    match days {
        Some(_) if is_forced => Err(Rejection::invalid(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )),
        Some(days) if !WINDOW_DAYS.contains(&days) => Err(Rejection::invalid(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        )),
        days => Ok(days.unwrap_or(WINDOW_DAYS_DEFAULT)),
    }
}

/// The answer of a forced deletion, also of what is not there.
///
/// Source: API reference, DeleteSecret: "If you forcibly delete an already deleted or nonexistent secret, the operation does not
/// return ResourceNotFoundException."
fn removed(
    call: &Call,
    id: &str,
    found: Option<Arc<Secret>>,
    suffix: &str,
    now_ms: i64,
) -> DeleteSecretResponse {
    let (arn, name) = match (found, Arn::parse(id)) {
        (Some(secret), _) => (secret.arn().into_string(), secret.name.clone()),
        (None, Some(arn)) => {
            let resource = arn.resource();
            let name = resource.strip_prefix("secret:").unwrap_or(resource).to_owned();
            (arn.into_string(), name)
        }
        (None, None) => (Arn::secret(&scope(call), id, suffix).into_string(), id.to_owned()),
    };
    DeleteSecretResponse { arn: Some(arn), name: Some(name), deletion_date: view::time(now_ms) }
}

/// One that is not marked for deletion stays as it is.
pub async fn restore_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: RestoreSecretRequest,
) -> Result<RestoreSecretResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| named.look(tables, "secretsmanager:RestoreSecret");
    service
        .write_always(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*there(found)?);
            let (arn, name) = (view::arn(&secret), view::name(&secret));
            if secret.deletion.take().is_some() {
                put_changed(tx, secret);
            }
            Ok(RestoreSecretResponse { arn, name })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::DAY_MS;
    use crate::testing::{CLEAR, START_MS, World};

    const NOT_THERE: &str = "Secrets Manager can't find the specified secret.";

    #[tokio::test]
    async fn a_secret_can_be_restored_until_its_window_is_over() {
        let world = World::full().await;
        let db = json!({"SecretId": "db"});
        let deleted =
            world.call("DeleteSecret", json!({"SecretId": "db", "RecoveryWindowInDays": 7})).await;
        let gone_at = ((START_MS + 7 * DAY_MS) / 1000) as f64;
        assert_eq!(deleted["DeletionDate"].as_f64(), Some(gone_at));
        let described = world.call("DescribeSecret", db.clone()).await;
        assert_eq!(described["DeletedDate"].as_f64(), Some(gone_at));
        assert!(world.names(json!({})).await.is_empty());
        assert_eq!(world.names(json!({"IncludePlannedDeletion": true})).await, ["db", "gone"]);
        world.clock.advance(7 * DAY_MS - 1);
        world.check("RestoreSecret", db.clone(), json!({"Name": "db"})).await;
        world.check("GetSecretValue", db.clone(), json!({"SecretString": CLEAR})).await;

        world.call("DeleteSecret", json!({"SecretId": "db", "RecoveryWindowInDays": 7})).await;
        world.clock.advance(7 * DAY_MS);
        for operation in ["DescribeSecret", "RestoreSecret", "GetSecretValue", "DeleteSecret"] {
            world.refuses(operation, db.clone(), "ResourceNotFoundException", NOT_THERE).await;
        }
        let with_deleted = json!({"IncludePlannedDeletion": true});
        assert_eq!(world.names(with_deleted).await, ["gone"], "its window is 30 days");
        // Its name is free, and nothing of it comes back.
        let arn = world.call("CreateSecret", json!({"Name": "db"})).await["ARN"].clone();
        assert_ne!(arn, deleted["ARN"]);
        world.check("DescribeSecret", db, json!({"VersionIdsToStages": null, "Tags": null})).await;
        assert_eq!(world.store.snapshot().secret_values.len(), 1, "that of gone");
    }

    #[tokio::test]
    async fn a_forced_deletion_leaves_nothing() {
        let world = World::full().await;
        let forced = |id: &str| json!({"SecretId": id, "ForceDeleteWithoutRecovery": true});
        for id in ["db", "gone", "none"] {
            world.check("DeleteSecret", forced(id), json!({"Name": id})).await;
        }
        let tables = world.store.snapshot();
        assert!(tables.secrets.is_empty() && tables.secret_values.is_empty());
    }
}
