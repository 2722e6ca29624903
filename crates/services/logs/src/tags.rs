//! Tags of log groups, for the older operations by name and the newer ones by ARN.

use std::collections::BTreeMap;

use outport_aws_logs::{LogsError, TooManyTagsException};
use outport_identity::Question;
use outport_log_store::{LogGroupName, LogStoreError};
use outport_model::Tags;
use outport_model::tag::{self, TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX, TagRefusal};

use crate::rejection::rejection;
use crate::service::{Door, Permitted};

/// The tags of a request, in the limits that the model does not state.
pub(crate) fn checked_tags(tags: Option<BTreeMap<String, String>>) -> Result<Tags, LogsError> {
    let tags = tags.unwrap_or_default();
    for (key, value) in &tags {
        let refusal = match tag::check(key, value) {
            Err(TagRefusal::KeyReserved) => {
                "aws: prefixed tag key names are not allowed for external use.".to_owned()
            }
            Err(TagRefusal::KeyEmpty | TagRefusal::KeyTooLong) => {
                format!("A tag key must have 1 to {TAG_KEY_LENGTH_MAX} characters.")
            }
            Err(TagRefusal::ValueTooLong) => {
                format!("A tag value must have at most {TAG_VALUE_LENGTH_MAX} characters.")
            }
            Ok(()) => continue,
        };
        return Err(LogsError::invalid_parameter_exception(refusal));
    }
    Ok(tags)
}

pub(crate) fn list(
    door: &Door,
    action: &'static str,
    name: &LogGroupName,
) -> Result<BTreeMap<String, String>, LogsError> {
    let Permitted { store, scope, group } = door.tags(action, name, |question| question)?;
    store.group_tags(scope, &group).map_err(rejection)
}

pub(crate) fn add(
    door: &Door,
    action: &'static str,
    name: &LogGroupName,
    tags: Option<BTreeMap<String, String>>,
) -> Result<(), LogsError> {
    let tags = checked_tags(tags)?;
    let with = |question: Question| question.with_request_tags(&tags);
    let Permitted { store, scope, group } = door.tags(action, name, with)?;
    store.set_group_tags(scope, &group, tags).map_err(|error| match error {
        LogStoreError::TooManyTags { max } => TooManyTagsException {
            message: Some(format!("A resource can have at most {max} tags.")),
            resource_name: Some(name.to_string()),
        }
        .into(),
        other => rejection(other),
    })
}

pub(crate) fn remove(
    door: &Door,
    action: &'static str,
    name: &LogGroupName,
    keys: Option<Vec<String>>,
) -> Result<(), LogsError> {
    let keys = keys.unwrap_or_default();
    let with = |question: Question| question.with("aws:TagKeys", keys.clone());
    let Permitted { store, scope, group } = door.tags(action, name, with)?;
    store.remove_group_tags(scope, &group, &keys).map_err(rejection)
}
