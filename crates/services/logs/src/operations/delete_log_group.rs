//! `DeleteLogGroup`.

use outport_aws_logs::{DeleteLogGroupRequest, LogsError};
use outport_identity::Call;
use outport_log_store::LogStore;

use crate::access::{authorize_group, group_name, scope};
use crate::rejection::rejection;

pub(crate) fn delete_log_group(
    store: &LogStore,
    call: &Call,
    input: DeleteLogGroupRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    authorize_group(store, call, "logs:DeleteLogGroup", &group)?;
    store.delete_group(&scope(call), &group).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn a_group_goes_with_its_streams() {
        let rig = Rig::with_streams().await;
        let input = json!({"logGroupName": "/ecs/app"});
        rig.call("DeleteLogGroup", input.clone()).await;
        let text = "The specified log group does not exist.";
        for operation in ["DeleteLogGroup", "DescribeLogStreams"] {
            rig.refuses(operation, input.clone(), "ResourceNotFoundException", text).await;
        }
    }
}
