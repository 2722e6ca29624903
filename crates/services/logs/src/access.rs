//! Which group a request is about.

use outport_aws_logs::LogsError;
use outport_aws_wire::{CommonError, WireError};
use outport_log_store::{LogGroupName, LogStreamName};
use outport_model::Scope;

use crate::arns::group_in_arn;
use crate::rejection::{GROUP_NOT_FOUND, rejection};

pub(crate) fn group_name(text: Option<&str>) -> Result<LogGroupName, LogsError> {
    LogGroupName::parse(text.unwrap_or_default()).map_err(rejection)
}

pub(crate) fn stream_name(text: Option<&str>) -> Result<LogStreamName, LogsError> {
    LogStreamName::parse(text.unwrap_or_default()).map_err(rejection)
}

/// The group that a request names, or identifies by name or ARN: one of the two.
pub(crate) fn group_by_name_or_identifier(
    scope: &Scope,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<LogGroupName, LogsError> {
    match (name, identifier) {
        (Some(name), None) => group_name(Some(name)),
        (None, Some(identifier)) => group_by_identifier(scope, identifier),
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
    scope: &Scope,
    identifier: &str,
) -> Result<LogGroupName, LogsError> {
    if identifier.starts_with("arn:") {
        group_by_arn(scope, identifier)
    } else {
        group_name(Some(identifier))
    }
}

/// A group by its ARN. Groups of other accounts and regions do not exist here.
pub(crate) fn group_by_arn(scope: &Scope, arn: &str) -> Result<LogGroupName, LogsError> {
    let name = group_in_arn(scope, arn);
    name.and_then(|name| LogGroupName::parse(name).ok())
        .ok_or_else(|| LogsError::resource_not_found_exception(GROUP_NOT_FOUND))
}
