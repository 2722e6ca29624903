//! Which group a request is about, and whether the caller may do what it asks.

use outport_aws_logs::LogsError;
use outport_aws_wire::{CommonError, WireError};
use outport_identity::{Call, ConditionContext};
use outport_log_store::{LogGroupName, LogStore, LogStoreError, LogStreamName};
use outport_model::Scope;

use crate::arns::{group_arn, group_in_arn, stream_resource};
use crate::rejection::{GROUP_NOT_FOUND, rejection};

pub(crate) fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

pub(crate) fn group_name(text: Option<&str>) -> Result<LogGroupName, LogsError> {
    LogGroupName::parse(text.unwrap_or_default()).map_err(rejection)
}

pub(crate) fn stream_name(text: Option<&str>) -> Result<LogStreamName, LogsError> {
    LogStreamName::parse(text.unwrap_or_default()).map_err(rejection)
}

/// The group that a request names, or identifies by name or ARN: one of the two.
pub(crate) fn group_by_name_or_identifier(
    call: &Call,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<LogGroupName, LogsError> {
    match (name, identifier) {
        (Some(name), None) => group_name(Some(name)),
        (None, Some(identifier)) => group_by_identifier(call, identifier),
        (None, None) => Err(LogsError::invalid_parameter_exception(
            "Either logGroupName or logGroupIdentifier must be specified.",
        )),
        (Some(_), Some(_)) => Err(WireError::common(
            CommonError::InvalidInput,
            "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
        )
        .into()),
    }
}

/// A group by its name or its ARN.
pub(crate) fn group_by_identifier(
    call: &Call,
    identifier: &str,
) -> Result<LogGroupName, LogsError> {
    if identifier.starts_with("arn:") {
        group_by_arn(call, identifier)
    } else {
        group_name(Some(identifier))
    }
}

/// A group by its ARN. Groups of other accounts and regions do not exist here.
pub(crate) fn group_by_arn(call: &Call, arn: &str) -> Result<LogGroupName, LogsError> {
    let name = group_in_arn(&scope(call), arn);
    name.and_then(|name| LogGroupName::parse(name).ok())
        .ok_or_else(|| LogsError::resource_not_found_exception(GROUP_NOT_FOUND))
}

/// # Errors
/// `ResourceNotFoundException`.
pub(crate) fn existing_group(
    store: &LogStore,
    call: &Call,
    group: &LogGroupName,
) -> Result<(), LogsError> {
    store.group_tags(&scope(call), group).map(drop).map_err(rejection)
}

/// May the caller do `action` to the group as a whole?
pub(crate) fn authorize_group(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
) -> Result<(), LogsError> {
    let resource = stream_resource(&scope(call), group.as_str(), "");
    authorize(call, action, &resource, &group_context(store, call, group)?)
}

/// May the caller do `action` to a stream of the group?
pub(crate) fn authorize_stream(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
    stream: &LogStreamName,
) -> Result<(), LogsError> {
    let resource = stream_resource(&scope(call), group.as_str(), stream.as_str());
    authorize(call, action, &resource, &group_context(store, call, group)?)
}

/// May the caller do `action` to the tags of the group? Here AWS asks about the plain ARN.
pub(crate) fn authorize_tags<'a>(
    store: &LogStore,
    call: &Call,
    action: &str,
    group: &LogGroupName,
    request_tags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), LogsError> {
    let context = group_context(store, call, group)?.with_request_tags(request_tags);
    authorize(call, action, &group_arn(&scope(call), group), &context)
}

pub(crate) fn authorize(
    call: &Call,
    action: &str,
    resource: &str,
    context: &ConditionContext,
) -> Result<(), LogsError> {
    let allowed = call.authorize(action, resource, context);
    allowed.map_err(|denied| WireError::access_denied(denied.message).into())
}

/// The condition keys of a group's own tags; none when it does not exist.
fn group_context(
    store: &LogStore,
    call: &Call,
    group: &LogGroupName,
) -> Result<ConditionContext, LogsError> {
    let tags = match store.group_tags(&scope(call), group) {
        Err(LogStoreError::GroupNotFound) => Default::default(),
        found => found.map_err(rejection)?,
    };
    let tags = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok(ConditionContext::new().with_resource_tags(tags))
}
