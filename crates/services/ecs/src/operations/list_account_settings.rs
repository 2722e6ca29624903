//! `ListAccountSettings`: the settings of a principal: its own, or all that hold for it.

use outport_aws_ecs::{ListAccountSettingsRequest, ListAccountSettingsResponse, SettingName};
use outport_identity::{Call, Question};

use crate::page::PageRequest;
use crate::{EcsService, Rejection, access, account_setting};

/// AWS documents pages of 1 to 10. There are more settings than that, and callers who name no size expect them all.
const PAGE_MAX: usize = 100;

pub async fn list_account_settings(
    service: &EcsService,
    call: &Call,
    input: ListAccountSettingsRequest,
) -> Result<ListAccountSettingsResponse, Rejection> {
    let scope = access::scope(call);
    // 0 is what an unset integer of old clients looks like.
    let max_results = input.max_results.filter(|count| *count != 0);
    let request = PageRequest::parse(max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let wanted_value = input.value.filter(|value| !value.is_empty());
    if wanted_value.is_some() && input.name.is_none() {
        return Err(Rejection::invalid_parameter(
            "A setting name must be specified to filter by value.",
        ));
    }
    let principal = account_setting::principal(call, input.principal_arn)?;
    let question = Question::without_resource("ecs:ListAccountSettings");
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let is_effective = input.effective_settings == Some(true);
    let listed = SettingName::ALL
        .iter()
        .enumerate()
        .filter(|(_, name)| input.name.is_none_or(|wanted| wanted == **name))
        .filter_map(|(index, name)| {
            let value = if is_effective {
                account_setting::effective(&tables, &scope, &principal, *name)
            } else {
                account_setting::explicit(&tables, &scope, &principal, *name)?
            };
            let is_wanted = wanted_value.as_ref().is_none_or(|wanted| *wanted == value);
            is_wanted
                .then(|| (format!("{index:02}"), account_setting::view(*name, value, &principal)))
        });
    let page = request.take(listed);
    Ok(ListAccountSettingsResponse { settings: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn effective_settings_are_all_there() {
        let world = World::new();
        world.check("ListAccountSettings", json!({}), json!({"settings": []})).await;
        let answer = world.call("ListAccountSettings", json!({"effectiveSettings": true})).await;
        let settings = answer["settings"].as_array().unwrap();
        assert_eq!(settings.len(), outport_aws_ecs::SettingName::ALL.len());
        let input = json!({"effectiveSettings": true, "name": "taskLongArnFormat"});
        let expected = json!({"settings": [{"name": "taskLongArnFormat", "value": "enabled"}]});
        world.check("ListAccountSettings", input, expected).await;
    }
}
