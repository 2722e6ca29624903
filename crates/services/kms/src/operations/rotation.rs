//! New material for keys: by themselves, and on demand. What there was still opens.

use std::convert::Infallible;

use outport_aws_kms as wire;
use outport_aws_kms::{
    DisableKeyRotationRequest, EnableKeyRotationRequest, GetKeyRotationStatusRequest,
    GetKeyRotationStatusResponse, ListKeyRotationsRequest, ListKeyRotationsResponse,
    RotateKeyOnDemandRequest, RotateKeyOnDemandResponse,
};
use outport_identity::Call;
use outport_kms_keys::{Unusable, Use};
use outport_model::kms::{KmsKey, KmsKeyMaterial, KmsRotation, KmsRotationKind};
use outport_store::keys::KmsKeyKey;
use outport_store::{Row, Tables, WriteError};

use crate::look::Named;
use crate::operations::keys::change_own;
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, quotas, random, view};

/// Source: API reference, EnableKeyRotation, RotationPeriodInDays: 365 without one. Its bounds are the model's.
const PERIOD_DAYS_DEFAULT: u32 = 365;
/// Source: API reference, ListKeyRotations, Limit.
const ROTATIONS_PER_PAGE: usize = 100;
/// Keys that one round rotates; the next goes on.
const ROTATIONS_PER_ROUND_MAX: usize = 100;

/// Only keys that encrypt are rotated. Source: KMS developer guide, "Rotate AWS KMS keys".
fn check_rotates(key: &KmsKey) -> Result<(), Rejection> {
    if key.spec.encrypts() {
        return Ok(());
    }
    let (arn, usage) = (key.arn(), key.spec.usage().as_str());
    let text = format!("{arn} key usage is {usage} which does not support rotation.");
    Err(Rejection::unsupported(text))
}

pub async fn enable_key_rotation(
    service: &KmsService,
    call: &Call,
    input: EnableKeyRotationRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let period = input.rotation_period_in_days.and_then(|days| u32::try_from(days).ok());
    let look = |tables: &Tables| {
        let subject = named.look_at_own(tables, "kms:EnableKeyRotation");
        match period {
            Some(days) => subject.with("kms:RotationPeriodInDays", i64::from(days)),
            None => subject,
        }
    };
    change_own(service, call, &named, look, |tx, key| {
        check_rotates(key)?;
        Unusable::check(key)?;
        let period_days = period.unwrap_or(PERIOD_DAYS_DEFAULT);
        // Switched on again with the same period, the date stays.
        if key.rotation.is_none_or(|rotation| rotation.period_days != period_days) {
            key.rotation = Some(KmsRotation { period_days, since_ms: tx.now_ms() });
        }
        Ok(())
    })
    .await
}

pub async fn disable_key_rotation(
    service: &KmsService,
    call: &Call,
    input: DisableKeyRotationRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:DisableKeyRotation");
    change_own(service, call, &named, look, |_, key| {
        check_rotates(key)?;
        Unusable::check(key)?;
        key.rotation = None;
        Ok(())
    })
    .await
}

/// Also of a key of another account. A disabled key keeps its period; one that is pending deletion is not rotated.
pub async fn get_key_rotation_status(
    service: &KmsService,
    call: &Call,
    input: GetKeyRotationStatusRequest,
) -> Result<GetKeyRotationStatusResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look(tables, Use::new("kms:GetKeyRotationStatus"));
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    let rotation = key.rotation.filter(|_| key.deletion.is_none());
    Ok(GetKeyRotationStatusResponse {
        key_rotation_enabled: Some(rotation.is_some()),
        key_id: view::arn(&key),
        rotation_period_in_days: rotation.and_then(|it| i32::try_from(it.period_days).ok()),
        next_rotation_date: rotation.and_then(|it| view::time(it.next_at_ms())),
        on_demand_rotation_start_date: None,
    })
}

/// The new material is there with the answer.
pub async fn rotate_key_on_demand(
    service: &KmsService,
    call: &Call,
    input: RotateKeyOnDemandRequest,
) -> Result<RotateKeyOnDemandResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let material = random::material()?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:RotateKeyOnDemand");
    change_own(service, call, &named, look, |tx, key| {
        check_rotates(key)?;
        Unusable::check(key)?;
        let kind = KmsRotationKind::OnDemand;
        let before = key.materials.iter().filter(|material| material.by == Some(kind)).count();
        if before >= quotas::ROTATIONS_ON_DEMAND {
            let text = format!(
                "A key is rotated on demand {} times at most.",
                quotas::ROTATIONS_ON_DEMAND
            );
            return Err(Rejection::new(Reason::LimitExceeded, text));
        }
        let place = (&key.scope, key.id.as_str());
        let sealed = material.seal(&service.keyring, place, key.spec, tx.now_ms(), Some(kind));
        key.materials.push(sealed);
        Ok(RotateKeyOnDemandResponse { key_id: view::arn(key) })
    })
    .await
}

/// The rotations that were; with `ALL_KEY_MATERIAL` the first material, too.
pub async fn list_key_rotations(
    service: &KmsService,
    call: &Call,
    input: ListKeyRotationsRequest,
) -> Result<ListKeyRotationsResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let page = PageRequest::parse(input.limit, ROTATIONS_PER_PAGE, input.marker.as_deref())?;
    let is_all = input.include_key_material == Some(wire::IncludeKeyMaterial::AllKeyMaterial);
    let look = |tables: &Tables| named.look_at_own(tables, "kms:ListKeyRotations");
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    check_rotates(&key)?;
    let materials = key.materials.iter().enumerate();
    let shown = materials.filter(|(_, material)| is_all || material.by.is_some());
    let page = page.take(shown.map(|(at, it)| (format!("{at:08}"), entry(&key, it, is_all))));
    Ok(ListKeyRotationsResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        rotations: Some(page.items),
    })
}

fn entry(key: &KmsKey, material: &KmsKeyMaterial, is_all: bool) -> wire::RotationsListEntry {
    let is_current = key.current_material() == Some(material);
    let state = match is_current {
        true => wire::KeyMaterialState::Current,
        false => wire::KeyMaterialState::NonCurrent,
    };
    wire::RotationsListEntry {
        key_id: view::arn(key),
        key_material_id: Some(material.id.clone()),
        key_material_state: is_all.then_some(state),
        rotation_date: material.by.and_then(|_| view::time(material.made_at_ms)),
        rotation_type: material.by.map(|kind| match kind {
            KmsRotationKind::Automatic => wire::RotationType::Automatic,
            KmsRotationKind::OnDemand => wire::RotationType::OnDemand,
        }),
        ..wire::RotationsListEntry::default()
    }
}

impl KmsService {
    /// Gives new material to the keys that are due for it: called from time to time. How many there were.
    ///
    /// # Errors
    /// No randomness, or a fault of the store: the next round tries again.
    pub async fn rotate_due(&self) -> Result<usize, Rejection> {
        let now = self.now();
        let tables = self.own.snapshot();
        let due = tables.kms_keys.iter().filter(|key| key.is_rotation_due(&now));
        let due: Vec<KmsKeyKey> = due.map(|key| key.key()).take(ROTATIONS_PER_ROUND_MAX).collect();
        for key in &due {
            let material = random::material()?;
            let rotated = self.own.write(|tx| {
                let (now, keyring) = (tx.now(), self.keyring.clone());
                tx.update::<KmsKey>(key, |key| {
                    let Some(rotation) = key.rotation.filter(|_| key.is_rotation_due(&now)) else {
                        return;
                    };
                    let kind = Some(KmsRotationKind::Automatic);
                    let place = (&key.scope, key.id.as_str());
                    let sealed = material.seal(&keyring, place, key.spec, now.wall_ms, kind);
                    key.materials.push(sealed);
                    let period_days = rotation.period_days;
                    key.rotation = Some(KmsRotation { period_days, since_ms: now.wall_ms });
                });
                Ok::<(), Infallible>(())
            });
            match rotated.await {
                Ok(()) => {}
                Err(WriteError::Fault(fault)) => return Err(fault.into()),
                Err(WriteError::Rejected(never)) => match never {},
            }
        }
        Ok(due.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{START_MS, World};

    const DAY_MS: i64 = 86_400_000;

    #[tokio::test]
    async fn old_material_opens_after_every_rotation() {
        let world = World::full().await;
        let (id, arn) = world.key("shop").await;
        let key = json!({"KeyId": id});
        world
            .check("GetKeyRotationStatus", key.clone(), json!({"KeyRotationEnabled": false}))
            .await;
        let mut sealed = vec![world.encrypt("alias/shop", "0").await];
        world.check("RotateKeyOnDemand", key.clone(), json!({"KeyId": arn})).await;
        sealed.push(world.encrypt("alias/shop", "1").await);
        world.call("EnableKeyRotation", json!({"KeyId": id, "RotationPeriodInDays": 90})).await;
        let status = world.call("GetKeyRotationStatus", key.clone()).await;
        assert_eq!(
            status["NextRotationDate"].as_f64(),
            Some(((START_MS + 90 * DAY_MS) / 1000) as f64)
        );
        world.clock.advance(90 * DAY_MS - 1);
        assert_eq!(world.service.rotate_due().await, Ok(0));
        world.clock.advance(1);
        assert_eq!(world.service.rotate_due().await, Ok(1));
        assert_eq!(world.service.rotate_due().await, Ok(0));
        sealed.push(world.encrypt("alias/shop", "2").await);
        for (at, blob) in sealed.iter().enumerate() {
            let answer = world.call("Decrypt", json!({"CiphertextBlob": blob})).await;
            assert_eq!(World::text_of(&answer["Plaintext"]), at.to_string());
        }
        let list = world.call("ListKeyRotations", key.clone()).await;
        let kinds: Vec<_> =
            list["Rotations"].as_array().unwrap().iter().map(|it| &it["RotationType"]).collect();
        assert_eq!(kinds, ["ON_DEMAND", "AUTOMATIC"]);
        let all = json!({"KeyId": id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL", "Limit": 2});
        let list = world.call("ListKeyRotations", all).await;
        assert_eq!(
            (&list["Truncated"], &list["Rotations"][0]["KeyMaterialState"]),
            (&json!(true), &json!("NON_CURRENT"))
        );
        // A disabled key waits.
        world.call("DisableKey", key.clone()).await;
        world.clock.advance(90 * DAY_MS);
        assert_eq!(world.service.rotate_due().await, Ok(0));
        world.call("EnableKey", key).await;
        assert_eq!(world.service.rotate_due().await, Ok(1));
    }

    #[tokio::test]
    async fn a_key_is_rotated_on_demand_25_times() {
        let world = World::full().await;
        let (id, _) = world.key("shop").await;
        for _ in 0..25 {
            world.call("RotateKeyOnDemand", json!({"KeyId": id})).await;
        }
        let text = "A key is rotated on demand 25 times at most.";
        world
            .refuses("RotateKeyOnDemand", json!({"KeyId": id}), "LimitExceededException", text)
            .await;
    }
}
