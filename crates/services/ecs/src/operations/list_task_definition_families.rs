//! `ListTaskDefinitionFamilies`: the families that have revisions.

use std::collections::BTreeMap;

use outport_aws_ecs::{
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse,
    TaskDefinitionFamilyStatus,
};
use outport_identity::{Call, Question};
use outport_model::task_definition::TaskDefinitionStatus;

use crate::page::PageRequest;
use crate::{EcsService, Rejection, access};

const PAGE_MAX: usize = 100;

pub async fn list_task_definition_families(
    service: &EcsService,
    call: &Call,
    input: ListTaskDefinitionFamiliesRequest,
) -> Result<ListTaskDefinitionFamiliesResponse, Rejection> {
    let scope = access::scope(call);
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let question = Question::without_resource("ecs:ListTaskDefinitionFamilies");
    let prefix = input.family_prefix.unwrap_or_default();
    let (tables, ()) = service.read(call, |_| question.into())?;
    // Family to whether one of its revisions is ACTIVE.
    let mut families: BTreeMap<&str, bool> = BTreeMap::new();
    for row in tables.task_definitions.iter().filter(|row| row.scope == scope) {
        if row.family.as_str().starts_with(&prefix) {
            *families.entry(row.family.as_str()).or_default() |=
                row.status == TaskDefinitionStatus::Active;
        }
    }
    let is_listed = |is_active: bool| match input.status {
        Some(TaskDefinitionFamilyStatus::Active) => is_active,
        Some(TaskDefinitionFamilyStatus::Inactive) => !is_active,
        Some(TaskDefinitionFamilyStatus::All) | None => true,
    };
    let listed = families
        .into_iter()
        .filter(|(_, is_active)| is_listed(*is_active))
        .map(|(family, _)| (family.to_owned(), family.to_owned()));
    let page = request.take(listed);
    Ok(ListTaskDefinitionFamiliesResponse {
        families: Some(page.items),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn lists_by_prefix_and_status() {
        let world = World::new();
        for family in ["app", "api", "job"] {
            world.register(family, json!({})).await;
        }
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "api:1"})).await;
        for (input, families) in [
            (json!({}), json!(["api", "app", "job"])),
            (json!({"familyPrefix": "ap"}), json!(["api", "app"])),
            (json!({"status": "ACTIVE"}), json!(["app", "job"])),
            (json!({"status": "INACTIVE"}), json!(["api"])),
        ] {
            world.check("ListTaskDefinitionFamilies", input, json!({"families": families})).await;
        }
    }
}
