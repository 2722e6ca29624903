//! `DeleteLogGroup`.

use outport_aws_logs::{DeleteLogGroupRequest, LogsError};

use crate::access::group_name;
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn delete_log_group(door: &Door, input: DeleteLogGroupRequest) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let Permitted { store, scope, group } = door.group("logs:DeleteLogGroup", &group)?;
    store.delete_group(scope, &group).map_err(rejection)
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
