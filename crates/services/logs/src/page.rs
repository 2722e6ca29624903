//! Tokens of the Describe operations: the place behind the last answered row.

use outport_aws_logs::LogsError;
use outport_log_store::StreamPlace;
use outport_log_store::limits::DESCRIBE_PAGE_MAX;

use crate::rejection::INVALID_TOKEN;

/// How many rows to answer: the limit of the request, which the model keeps from 1 to 50.
pub(crate) fn rows(limit: Option<i32>) -> usize {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(DESCRIBE_PAGE_MAX).clamp(1, DESCRIBE_PAGE_MAX)
}

pub(crate) fn token_behind_name(name: &str) -> String {
    hex::encode(format!("g{name}"))
}

pub(crate) fn name_in_token(token: &str) -> Result<String, LogsError> {
    Ok(decode(token)?.strip_prefix('g').ok_or_else(invalid)?.to_owned())
}

pub(crate) fn token_behind_stream(place: &StreamPlace) -> String {
    let time = place.last_event_ms.map(|time| time.to_string()).unwrap_or_default();
    hex::encode(format!("s{time}:{}", place.name))
}

pub(crate) fn stream_in_token(token: &str) -> Result<StreamPlace, LogsError> {
    let text = decode(token)?;
    let (time, name) =
        text.strip_prefix('s').and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
    let last_event_ms = match time {
        "" => None,
        time => Some(time.parse().map_err(|_| invalid())?),
    };
    Ok(StreamPlace { last_event_ms, name: name.to_owned() })
}

fn decode(token: &str) -> Result<String, LogsError> {
    let bytes = hex::decode(token).map_err(|_| invalid())?;
    String::from_utf8(bytes).map_err(|_| invalid())
}

fn invalid() -> LogsError {
    LogsError::invalid_parameter_exception(INVALID_TOKEN)
}
