//! `DeleteRetentionPolicy`: events are kept for ever again.

use outport_aws_logs::{DeleteRetentionPolicyRequest, LogsError};
use outport_identity::Call;
use outport_log_store::LogStore;

use crate::access::{authorize_group, group_name, scope};
use crate::rejection::rejection;

pub(crate) fn delete_retention_policy(
    store: &LogStore,
    call: &Call,
    input: DeleteRetentionPolicyRequest,
) -> Result<(), LogsError> {
    let group = group_name(input.log_group_name.as_deref())?;
    authorize_group(store, call, "logs:DeleteRetentionPolicy", &group)?;
    store.set_retention(&scope(call), &group, None).map_err(rejection)
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
