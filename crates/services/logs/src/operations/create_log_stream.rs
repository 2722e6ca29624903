//! `CreateLogStream`.

use outport_aws_logs::{CreateLogStreamRequest, LogsError};

use crate::access::{group_name, stream_name};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn create_log_stream(
    door: &Door,
    input: CreateLogStreamRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let stream = stream_name(input.log_stream_name.as_deref())?;
    let Permitted { store, scope, group } = door.stream("logs:CreateLogStream", &group, &stream)?;
    store.create_stream(scope, &group, &stream).map_err(rejection)
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
