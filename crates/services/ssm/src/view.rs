//! Parameters as Parameter Store shows them.

use outport_aws_ssm as wire;
use outport_aws_wire::Timestamp;
use outport_model::parameter::{Parameter, ParameterTier, ParameterValue, ParameterVersion};
use outport_store::{Row, Tables};

use crate::names::Reference;
use crate::rejection::Rejection;
use crate::{SsmService, keys};

/// The only type of data that this version takes.
pub const DATA_TYPE: &str = "text";

pub fn kind(value: &ParameterValue) -> wire::ParameterType {
    match value {
        ParameterValue::String(_) => wire::ParameterType::String,
        ParameterValue::StringList(_) => wire::ParameterType::StringList,
        ParameterValue::SecureString { .. } => wire::ParameterType::SecureString,
    }
}

pub fn key_id(value: &ParameterValue) -> Option<&String> {
    match value {
        ParameterValue::SecureString { key_id, .. } => Some(key_id),
        _ => None,
    }
}

pub fn tier(tier: ParameterTier) -> wire::ParameterTier {
    match tier {
        ParameterTier::Standard => wire::ParameterTier::Standard,
        ParameterTier::Advanced => wire::ParameterTier::Advanced,
    }
}

fn time(version: &ParameterVersion) -> Option<Timestamp> {
    Some(Timestamp::from_millis(version.modified_at_ms))
}

/// What a value is sealed for.
pub fn place(version: &ParameterVersion) -> String {
    format!("parameter {}", version.key())
}

/// The value of a version, of a `SecureString` in clear only for who asks for it.
///
/// # Errors
/// `InvalidKeyId`, for one whose key is gone or not enabled; a fault, for one that does not open: the log says why.
pub fn value(
    service: &SsmService,
    tables: &Tables,
    version: &ParameterVersion,
    is_decrypted: bool,
) -> Result<String, Rejection> {
    let sealed = match &version.value {
        ParameterValue::String(text) | ParameterValue::StringList(text) => return Ok(text.clone()),
        ParameterValue::SecureString { sealed, .. } => sealed,
    };
    if !is_decrypted {
        return Ok(sealed.clone());
    }
    let unreadable = |why: String| {
        Rejection::server(format!("the value of the parameter version {}: {why}", version.key()))
    };
    let bytes = match keys::open(service, tables, version)? {
        Some(bytes) => bytes,
        // It was kept before there were keys.
        None => {
            let opened = service.keyring.open(&place(version), sealed);
            opened.map_err(|error| unreadable(error.to_string()))?
        }
    };
    String::from_utf8(bytes).map_err(|_| unreadable("it is no text".to_owned()))
}

pub fn parameter(
    (service, tables): (&SsmService, &Tables),
    parameter: &Parameter,
    version: &ParameterVersion,
    reference: Option<&Reference>,
    is_decrypted: bool,
) -> Result<wire::Parameter, Rejection> {
    Ok(wire::Parameter {
        name: Some(parameter.name.clone()),
        r#type: Some(kind(&version.value)),
        value: Some(value(service, tables, version, is_decrypted)?),
        version: i64::try_from(version.version).ok(),
        selector: reference.and_then(Reference::shown_selector),
        source_result: None,
        last_modified_date: time(version),
        arn: Some(parameter.arn().into_string()),
        data_type: Some(DATA_TYPE.to_owned()),
    })
}

/// As DescribeParameters shows it.
pub fn metadata(parameter: &Parameter, version: &ParameterVersion) -> wire::ParameterMetadata {
    wire::ParameterMetadata {
        name: Some(parameter.name.clone()),
        arn: Some(parameter.arn().into_string()),
        r#type: Some(kind(&version.value)),
        key_id: key_id(&version.value).cloned(),
        last_modified_date: time(version),
        last_modified_user: Some(version.modified_by.clone()),
        description: version.description.clone(),
        allowed_pattern: version.allowed_pattern.clone(),
        version: i64::try_from(version.version).ok(),
        tier: Some(tier(version.tier)),
        policies: Some(Vec::new()),
        data_type: Some(DATA_TYPE.to_owned()),
    }
}

/// As GetParameterHistory shows it.
pub fn history(
    (service, tables): (&SsmService, &Tables),
    parameter: &Parameter,
    version: &ParameterVersion,
    is_decrypted: bool,
) -> Result<wire::ParameterHistory, Rejection> {
    Ok(wire::ParameterHistory {
        name: Some(parameter.name.clone()),
        r#type: Some(kind(&version.value)),
        key_id: key_id(&version.value).cloned(),
        last_modified_date: time(version),
        last_modified_user: Some(version.modified_by.clone()),
        description: version.description.clone(),
        value: Some(value(service, tables, version, is_decrypted)?),
        allowed_pattern: version.allowed_pattern.clone(),
        version: i64::try_from(version.version).ok(),
        labels: Some(parameter.labels_of(version.version).cloned().collect()),
        tier: Some(tier(version.tier)),
        policies: Some(Vec::new()),
        data_type: Some(DATA_TYPE.to_owned()),
    })
}
