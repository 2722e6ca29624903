//! Tags of log groups, for the older operations by name and the newer ones by ARN.

use std::collections::BTreeMap;

use outport_aws_logs::{LogsError, TooManyTagsException};
use outport_identity::Call;
use outport_log_store::{LogGroupName, LogStore, LogStoreError};
use outport_model::Tags;
use outport_model::tag::{TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX};

use crate::access::{authorize_tags, scope};
use crate::rejection::rejection;

/// The tags of a request, in the limits that the model does not state.
pub(crate) fn checked_tags(tags: Option<BTreeMap<String, String>>) -> Result<Tags, LogsError> {
    let tags = tags.unwrap_or_default();
    for (key, value) in &tags {
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(LogsError::invalid_parameter_exception(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        let key_length = key.chars().count();
        if key_length == 0 || key_length > TAG_KEY_LENGTH_MAX {
            return Err(LogsError::invalid_parameter_exception(format!(
                "A tag key must have 1 to {TAG_KEY_LENGTH_MAX} characters."
            )));
        }
        if value.chars().count() > TAG_VALUE_LENGTH_MAX {
            return Err(LogsError::invalid_parameter_exception(format!(
                "A tag value must have at most {TAG_VALUE_LENGTH_MAX} characters."
            )));
        }
    }
    Ok(tags)
}

pub(crate) fn list(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
) -> Result<BTreeMap<String, String>, LogsError> {
    authorize_tags(store, call, action, group, [])?;
    store.group_tags(&scope(call), group).map_err(rejection)
}

pub(crate) fn add(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
    tags: Option<BTreeMap<String, String>>,
) -> Result<(), LogsError> {
    let tags = checked_tags(tags)?;
    let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    authorize_tags(store, call, action, group, pairs)?;
    store.set_group_tags(&scope(call), group, tags).map_err(|error| match error {
        LogStoreError::TooManyTags { max } => TooManyTagsException {
            message: Some(format!("A resource can have at most {max} tags.")),
            resource_name: Some(group.to_string()),
        }
        .into(),
        other => rejection(other),
    })
}

pub(crate) fn remove(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
    keys: Option<Vec<String>>,
) -> Result<(), LogsError> {
    let keys = keys.unwrap_or_default();
    authorize_tags(store, call, action, group, keys.iter().map(|key| (key.as_str(), "")))?;
    store.remove_group_tags(&scope(call), group, &keys).map_err(rejection)
}
