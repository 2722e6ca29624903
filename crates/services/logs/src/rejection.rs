//! Reasons of the log store as AWS's exceptions, with AWS's texts.

use outport_aws_logs::LogsError;
use outport_aws_wire::WireError;
use outport_log_store::{BatchRefusal, LogStoreError};

pub(crate) const GROUP_NOT_FOUND: &str = "The specified log group does not exist.";
pub(crate) const INVALID_TOKEN: &str = "The specified nextToken is invalid.";

pub(crate) fn rejection(error: LogStoreError) -> LogsError {
    let message = error.to_string();
    match error {
        LogStoreError::GroupNotFound => LogsError::resource_not_found_exception(GROUP_NOT_FOUND),
        LogStoreError::StreamNotFound => {
            LogsError::resource_not_found_exception("The specified log stream does not exist.")
        }
        // Source of the text: what callers report of CloudWatch Logs' other quotas.
        LogStoreError::TooManyGroups { .. } => {
            LogsError::limit_exceeded_exception("Resource limit exceeded.")
        }
        LogStoreError::GroupExists => {
            LogsError::resource_already_exists_exception("The specified log group already exists")
        }
        LogStoreError::StreamExists => {
            LogsError::resource_already_exists_exception("The specified log stream already exists")
        }
        LogStoreError::InvalidToken => LogsError::invalid_parameter_exception(INVALID_TOKEN),
        LogStoreError::Batch(refusal) => LogsError::invalid_parameter_exception(text_of(&refusal)),
        LogStoreError::InvalidName { .. }
        | LogStoreError::TooManyTags { .. }
        | LogStoreError::Shipment(_) => LogsError::invalid_parameter_exception(message),
        // The disk may have room again, or another process of ours take over: worth a retry.
        LogStoreError::Disk { .. }
        | LogStoreError::CatalogFull
        | LogStoreError::GroupChanged
        | LogStoreError::Full(_)
        | LogStoreError::WriteFailed(_)
        | LogStoreError::Closed => {
            let unavailable = LogsError::service_unavailable_exception(
                "The service cannot complete the request.",
            );
            WireError::from(unavailable).with_log_message(message).into()
        }
        LogStoreError::Damaged { .. }
        | LogStoreError::Behind { .. }
        | LogStoreError::Catalog(_)
        | LogStoreError::NewerVersion { .. } => WireError::internal(message).into(),
    }
}

/// Source of the texts: CloudWatch Logs.
fn text_of(refusal: &BatchRefusal) -> String {
    match refusal {
        BatchRefusal::TooManyBytes { bytes, max } => {
            format!("Upload too large: {bytes} bytes exceeds limit of {max}")
        }
        BatchRefusal::EventTooLarge { bytes, max } => {
            format!("Log event too large: {bytes} bytes exceeds limit of {max}")
        }
        BatchRefusal::NotChronological => {
            "Log events in a single PutLogEvents request must be in chronological order.".to_owned()
        }
        BatchRefusal::SpanTooLong => "The batch of log events in a single PutLogEvents request \
                                      cannot span more than 24 hours."
            .to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_worth_a_retry_and_said_in_the_log() {
        let full = LogStoreError::Disk {
            path: "journal".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        for error in [full, LogStoreError::CatalogFull] {
            let said = error.to_string();
            let answer = WireError::from(rejection(error));
            assert_eq!(
                (answer.code_in(outport_aws_wire::Protocol::Json11), answer.log_message.as_deref()),
                ("ServiceUnavailableException", Some(said.as_str()))
            );
        }
    }
}
