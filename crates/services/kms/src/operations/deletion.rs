//! Deletion of keys: scheduled, and taken back.

use std::sync::Arc;

use outport_aws_kms::{
    CancelKeyDeletionRequest, CancelKeyDeletionResponse, KeyState, ScheduleKeyDeletionRequest,
    ScheduleKeyDeletionResponse,
};
use outport_identity::Call;
use outport_kms_keys::Unusable;
use outport_model::kms::{KmsKey, KmsKeyDeletion};
use outport_store::Tables;

use crate::look::Named;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, view};

/// Source: API reference, ScheduleKeyDeletion, PendingWindowInDays: "between 7 and 30, inclusive … defaults to 30".
const WINDOW_DAYS: std::ops::RangeInclusive<u32> = 7..=30;
const WINDOW_DAYS_DEFAULT: u32 = 30;

/// From then on the key is not used; when its waiting period is over it is gone, with all that it would open.
pub async fn schedule_key_deletion(
    service: &KmsService,
    call: &Call,
    input: ScheduleKeyDeletionRequest,
) -> Result<ScheduleKeyDeletionResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let window_days = parse_window(input.pending_window_in_days)?;
    let look = |tables: &Tables| {
        named
            .look_at_own(tables, "kms:ScheduleKeyDeletion")
            .with("kms:ScheduleKeyDeletionPendingWindowInDays", i64::from(window_days))
    };
    let scheduled = service
        .store
        .write_always(call, look, |tx, found| {
            let key = named.there(found)?;
            if let Err(pending @ Unusable::PendingDeletion { .. }) = Unusable::check(&key) {
                return Err(pending.into());
            }
            let deletion = KmsKeyDeletion { requested_at_ms: tx.now_ms(), window_days };
            let answer = ScheduleKeyDeletionResponse {
                key_id: view::arn(&key),
                deletion_date: view::time(deletion.at_ms()),
                key_state: Some(KeyState::PendingDeletion),
                pending_window_in_days: i32::try_from(window_days).ok(),
            };
            tx.put(KmsKey { is_enabled: false, deletion: Some(deletion), ..KmsKey::clone(&key) });
            Ok(answer)
        })
        .await;
    scheduled.map_err(|refused| named.denied(refused))
}

/// The model allows 1 to 365, the service 7 to 30. The text is ours, in the words of the common validation.
fn parse_window(days: Option<i32>) -> Result<u32, Rejection> {
    let Some(days) = days else { return Ok(WINDOW_DAYS_DEFAULT) };
    let allowed = u32::try_from(days).ok().filter(|days| WINDOW_DAYS.contains(days));
    allowed.ok_or_else(|| {
        let bound = match days < 7 {
            true => "greater than or equal to 7",
            false => "less than or equal to 30",
        };
        Rejection::validation(format!(
            "1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have \
             value {bound}"
        ))
    })
}

/// The key is there again, and disabled.
pub async fn cancel_key_deletion(
    service: &KmsService,
    call: &Call,
    input: CancelKeyDeletionRequest,
) -> Result<CancelKeyDeletionResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:CancelKeyDeletion");
    let cancelled = service
        .store
        .write_always(call, look, |tx, found| {
            let key: Arc<KmsKey> = named.there(found)?;
            if key.deletion.is_none() {
                // Source: KMS developer guide, "Key states of AWS KMS keys".
                let text = format!("{} is not pending deletion.", key.arn());
                return Err(Rejection::new(Reason::InvalidState, text));
            }
            tx.put(KmsKey { is_enabled: false, deletion: None, ..KmsKey::clone(&key) });
            Ok(CancelKeyDeletionResponse { key_id: view::arn(&key) })
        })
        .await;
    cancelled.map_err(|refused| named.denied(refused))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{START_MS, World};

    const DAY_MS: i64 = 86_400_000;

    #[tokio::test]
    async fn a_key_can_be_kept_until_its_waiting_period_is_over() {
        let world = World::full().await;
        let (id, arn) = world.key("shop").await;
        let sealed = world.encrypt("alias/shop", "secret").await;
        let schedule = json!({"KeyId": id, "PendingWindowInDays": 7});
        let scheduled = world.call("ScheduleKeyDeletion", schedule.clone()).await;
        let gone_at = ((START_MS + 7 * DAY_MS) / 1000) as f64;
        assert_eq!(scheduled["DeletionDate"].as_f64(), Some(gone_at));
        assert_eq!(
            (&scheduled["KeyId"], &scheduled["KeyState"]),
            (&json!(arn), &json!("PendingDeletion"))
        );
        let pending = format!("{arn} is pending deletion.");
        let decrypt = json!({"CiphertextBlob": sealed});
        world.refuses("Decrypt", decrypt.clone(), "KMSInvalidStateException", &pending).await;
        world
            .refuses("EnableKey", json!({"KeyId": id}), "KMSInvalidStateException", &pending)
            .await;
        world
            .refuses("ScheduleKeyDeletion", schedule.clone(), "KMSInvalidStateException", &pending)
            .await;
        world.clock.advance(7 * DAY_MS - 1);
        world.check("CancelKeyDeletion", json!({"KeyId": id}), json!({"KeyId": arn})).await;
        let disabled = format!("{arn} is disabled.");
        world.refuses("Decrypt", decrypt.clone(), "DisabledException", &disabled).await;
        world.call("EnableKey", json!({"KeyId": id})).await;
        world.check("Decrypt", decrypt.clone(), json!({"KeyId": arn})).await;

        world.call("ScheduleKeyDeletion", schedule).await;
        world.clock.advance(7 * DAY_MS);
        let gone = format!("Key '{arn}' does not exist");
        for operation in ["DescribeKey", "CancelKeyDeletion", "EnableKey"] {
            world.refuses(operation, json!({"KeyId": id}), "NotFoundException", &gone).await;
        }
        let (status, answer) = world.reply("Decrypt", &decrypt).await;
        assert!(
            status == 400 && crate::testing::code(&answer) == "AccessDeniedException",
            "{answer}"
        );
    }
}
