//! What is kept as one document of a registry.

use outport_aws_ecr::EcrError;
use outport_aws_wire::WireError;
use outport_image_registry::{Registry, RegistryError, RegistrySetting};
use outport_model::Scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rejection::rejection;

pub(super) trait Kept: Default + Serialize + DeserializeOwned {
    const SETTING: RegistrySetting;
    /// For who has to mend one that does not read.
    const NAME: &'static str;

    /// In the order in which it is shown.
    fn sort(&mut self);
}

/// # Errors
/// Those of the disk. What does not read is a fault.
pub(super) fn of<K: Kept>(registry: &Registry, scope: &Scope) -> Result<K, EcrError> {
    let text = registry.setting(scope, K::SETTING);
    read(text.map_err(|error| rejection(error, scope, None))?.as_deref())
}

/// One at a time.
///
/// # Errors
/// What `change` refuses; those of the disk.
pub(super) fn change<K: Kept, T>(
    registry: &Registry,
    scope: &Scope,
    change: impl FnOnce(&mut K) -> Result<T, EcrError>,
) -> Result<T, EcrError> {
    let changed = registry.change_setting(scope, K::SETTING, |text| {
        let mut kept: K = read(text)?;
        let answer = change(&mut kept)?;
        kept.sort();
        Ok((serde_json::to_string(&kept).unwrap_or_default(), answer))
    });
    changed.map_err(|error: RegistryError| rejection(error, scope, None))?
}

pub(super) fn read<K: Kept>(text: Option<&str>) -> Result<K, EcrError> {
    let Some(text) = text else { return Ok(K::default()) };
    serde_json::from_str(text).map_err(|error| {
        WireError::internal(format!("the {} do not read: {error}", K::NAME)).into()
    })
}
