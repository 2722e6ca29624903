//! `CreateLogStream`.

use outport_aws_logs::{CreateLogStreamRequest, LogsError};
use outport_identity::Call;
use outport_log_store::LogStore;

use crate::access::{authorize_stream, group_name, scope, stream_name};
use crate::rejection::rejection;

pub(crate) fn create_log_stream(
    store: &LogStore,
    call: &Call,
    input: CreateLogStreamRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let stream = stream_name(input.log_stream_name.as_deref())?;
    authorize_stream(store, call, "logs:CreateLogStream", &group, &stream)?;
    store.create_stream(&scope(call), &group, &stream).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn a_stream_is_made_once_in_a_group_that_exists() {
        let rig = Rig::with_streams().await;
        let stream = |group: &str| json!({"logGroupName": group, "logStreamName": "a"});
        let text = "The specified log stream already exists";
        let exception = "ResourceAlreadyExistsException";
        rig.refuses("CreateLogStream", stream("/ecs/app"), exception, text).await;
        let text = "The specified log group does not exist.";
        rig.refuses("CreateLogStream", stream("other"), "ResourceNotFoundException", text).await;
    }
}
