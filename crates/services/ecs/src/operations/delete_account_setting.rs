//! `DeleteAccountSetting`: back to the account's default.

use outport_aws_ecs::{DeleteAccountSettingRequest, DeleteAccountSettingResponse};
use outport_identity::{Call, Question};
use outport_model::account_setting::AccountSetting;
use outport_store::keys::AccountSettingKey;

use crate::{EcsService, Rejection, access, account_setting};

pub async fn delete_account_setting(
    service: &EcsService,
    call: &Call,
    input: DeleteAccountSettingRequest,
) -> Result<DeleteAccountSettingResponse, Rejection> {
    let scope = access::scope(call);
    let name = input.name.ok_or_else(|| Rejection::client("Name can not be blank."))?;
    let principal = account_setting::principal(call, input.principal_arn)?;
    let question = Question::without_resource("ecs:DeleteAccountSetting");
    let question = question.with("ecs:account-setting", name.as_str());
    service
        .store
        .write_always(
            call,
            |_| question.clone().into(),
            |tx, ()| {
                let key = AccountSettingKey::new(&scope, name.as_str(), principal.as_str());
                tx.remove::<AccountSetting>(&key);
                let value = account_setting::effective(tx, &scope, &principal, name);
                let setting = account_setting::view(name, value, &principal);
                Ok(DeleteAccountSettingResponse { setting: Some(setting) })
            },
        )
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn the_default_comes_back() {
        let world = World::new();
        world
            .call("PutAccountSetting", json!({"name": "awsvpcTrunking", "value": "enabled"}))
            .await;
        let expected = json!({"setting": {"name": "awsvpcTrunking", "value": "disabled"}});
        world.check("DeleteAccountSetting", json!({"name": "awsvpcTrunking"}), expected).await;
        world.check("ListAccountSettings", json!({}), json!({"settings": []})).await;
    }
}
