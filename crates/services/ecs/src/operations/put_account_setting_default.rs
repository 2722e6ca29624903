//! `PutAccountSettingDefault`: a setting of all principals that have none of their own.

use outport_aws_ecs::{PutAccountSettingDefaultRequest, PutAccountSettingDefaultResponse};
use outport_identity::{Call, Question};

use crate::{EcsService, Rejection, access, account_setting};

pub async fn put_account_setting_default(
    service: &EcsService,
    call: &Call,
    input: PutAccountSettingDefaultRequest,
) -> Result<PutAccountSettingDefaultResponse, Rejection> {
    let scope = access::scope(call);
    let name = input.name.ok_or_else(|| Rejection::client("Name can not be blank."))?;
    let value = input.value.unwrap_or_default();
    account_setting::check(name, &value)?;
    let question = Question::without_resource("ecs:PutAccountSettingDefault");
    let question = question.with("ecs:account-setting", name.as_str());
    let root = account_setting::root(&scope.account);
    service
        .store
        .write(
            call,
            |_| question.clone().into(),
            |tx, ()| {
                account_setting::put(tx, &scope, &root, name, &value);
                let setting = account_setting::view(name, value, &root);
                Ok(PutAccountSettingDefaultResponse { setting: Some(setting) })
            },
        )
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn it_holds_for_the_account() {
        let world = World::new();
        let input = json!({"name": "containerInsights", "value": "enabled"});
        let expected = json!({"setting": {"principalArn": "arn:aws:iam::000000000000:root"}});
        world.check("PutAccountSettingDefault", input, expected).await;
        let expected =
            json!({"cluster": {"settings": [{"name": "containerInsights", "value": "enabled"}]}});
        world.check("CreateCluster", json!({"clusterName": "web"}), expected).await;
    }
}
