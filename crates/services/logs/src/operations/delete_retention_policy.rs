//! `DeleteRetentionPolicy`: events are kept for ever again.

use outport_aws_logs::{DeleteRetentionPolicyRequest, LogsError};

use crate::access::group_name;
use crate::rejection::rejection;
use crate::service::{Door, Permitted};

pub(crate) fn delete_retention_policy(
    door: &Door,
    input: DeleteRetentionPolicyRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    let Permitted { store, scope, group } = door.group("logs:DeleteRetentionPolicy", &group)?;
    store.set_retention(scope, &group, None).map_err(rejection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Rig;

    #[tokio::test]
    async fn the_group_must_exist() {
        let rig = Rig::new();
        let text = "The specified log group does not exist.";
        let input = json!({"logGroupName": "g"});
        rig.refuses("DeleteRetentionPolicy", input, "ResourceNotFoundException", text).await;
    }
}
