//! `DeleteLogStream`.

use outport_aws_logs::{DeleteLogStreamRequest, LogsError};

use crate::access::{group_name, stream_name};
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn delete_log_stream(
    door: &Door,
    input: DeleteLogStreamRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let stream = stream_name(input.log_stream_name.as_deref())?;
    let Permitted { store, scope, group } = door.stream("logs:DeleteLogStream", &group, &stream)?;
    store.delete_stream(scope, &group, &stream).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Rig, messages};

    #[tokio::test]
    async fn a_stream_goes_with_its_events() {
        let rig = Rig::with_streams().await;
        rig.put("a", &[(0, "in a")]).await;
        rig.put("b", &[(0, "in b")]).await;
        let input = json!({"logGroupName": "/ecs/app", "logStreamName": "a"});
        rig.call("DeleteLogStream", input.clone()).await;
        let left = rig.call("FilterLogEvents", json!({"logGroupName": "/ecs/app"})).await;
        assert_eq!(messages(&left), ["in b"]);
        let text = "The specified log stream does not exist.";
        rig.refuses("DeleteLogStream", input, "ResourceNotFoundException", text).await;
    }
}
