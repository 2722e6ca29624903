//! `PutAccountSetting`: a setting of one principal.

use outport_aws_ecs::{PutAccountSettingRequest, PutAccountSettingResponse};
use outport_identity::{Call, Question};

use crate::{EcsService, Rejection, access, account_setting};

pub async fn put_account_setting(
    service: &EcsService,
    call: &Call,
    input: PutAccountSettingRequest,
) -> Result<PutAccountSettingResponse, Rejection> {
    let scope = access::scope(call);
    let name = input.name.ok_or_else(|| Rejection::client("Name can not be blank."))?;
    let value = input.value.unwrap_or_default();
    account_setting::check(name, &value)?;
    let principal = account_setting::principal(call, input.principal_arn)?;
    let question = Question::without_resource("ecs:PutAccountSetting");
    let question = question.with("ecs:account-setting", name.as_str());
    service
        .store
        .write(
            call,
            |_| question.clone().into(),
            |tx, ()| {
                account_setting::put(tx, &scope, &principal, name, &value);
                let setting = account_setting::view(name, value, &principal);
                Ok(PutAccountSettingResponse { setting: Some(setting) })
            },
        )
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_setting_is_kept() {
        let world = World::new();
        let input = json!({"name": "awsvpcTrunking", "value": "enabled"});
        let setting = json!({
            "name": "awsvpcTrunking", "value": "enabled", "type": "user",
            "principalArn": "arn:aws:iam::000000000000:root",
        });
        world.check("PutAccountSetting", input, json!({"setting": setting})).await;
        world.check("ListAccountSettings", json!({}), json!({"settings": [setting]})).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let input = json!({"name": "awsvpcTrunking", "value": "maybe"});
        let message =
            "Invalid value 'maybe' for setting awsvpcTrunking. Must be one of [enabled, disabled]";
        world.refuses("PutAccountSetting", input, "InvalidParameterException", message).await;
        let input = json!({"name": "taskLongArnFormat", "value": "disabled"});
        let message = "The value disabled of the account setting taskLongArnFormat is not supported by this version of Outport. See /_outport/compatibility at this endpoint.";
        world.refuses("PutAccountSetting", input, "UnsupportedFeatureException", message).await;
    }
}
