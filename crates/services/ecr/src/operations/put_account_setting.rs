//! `PutAccountSetting`: what holds here anyway is taken, everything else refused by name.

use outport_aws_ecr::{EcrError, PutAccountSettingRequest, PutAccountSettingResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::rejection::invalid_parameter;

/// The settings that ECR has, and what holds here. Source: API reference, `PutAccountSetting`.
///
/// A registry policy is about replication and pull through a cache (V1); a blob that another repository has is mounted for
/// whoever may read it there.
const SETTINGS: [(&str, &str); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE"),
    ("BLOB_MOUNTING", "ENABLED"),
    ("REGISTRY_POLICY_SCOPE", "V1"),
];

pub(crate) async fn put_account_setting(
    service: &EcrService,
    call: &Call,
    input: PutAccountSettingRequest,
) -> Result<PutAccountSettingResponse, EcrError> {
    let (name, value) = holds(input.name.as_deref())?;
    service.whole_registry(call, "ecr:PutAccountSetting")?;
    if input.value.as_deref() != Some(value) {
        let constraint = format!("{name} is {value} here, and nothing else is built");
        return Err(invalid_parameter("value", &constraint));
    }
    Ok(PutAccountSettingResponse { name: Some(name.into()), value: Some(value.into()) })
}

/// A setting of this name, and its value. The text is ours.
///
/// # Errors
/// `InvalidParameterException`.
pub(crate) fn holds(name: Option<&str>) -> Result<(&'static str, &'static str), EcrError> {
    let found = SETTINGS.into_iter().find(|(known, _)| Some(*known) == name);
    found.ok_or_else(|| {
        let names = SETTINGS.map(|(known, _)| known).join(", ");
        invalid_parameter("name", &format!("must be one of [{names}]"))
    })
}
