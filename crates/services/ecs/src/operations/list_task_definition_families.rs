//! `ListTaskDefinitionFamilies`: the families that have revisions.

use std::ops::Bound;

use outport_aws_ecs::{
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse,
    TaskDefinitionFamilyStatus,
};
use outport_identity::{Call, Question};
use outport_model::Family;
use outport_store::FamilyStatus;

use crate::page::{self, PageRequest};
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
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let status = match input.status {
        Some(TaskDefinitionFamilyStatus::Active) => FamilyStatus::Active,
        Some(TaskDefinitionFamilyStatus::Inactive) => FamilyStatus::Inactive,
        Some(TaskDefinitionFamilyStatus::All) | None => FamilyStatus::Any,
    };
    let start = request.start(Family::new(&prefix), |name| Some(Family::new(name)));
    let start = start.ok_or_else(page::invalid_token)?;
    let families = tables.task_definitions.families(&scope, status);
    let listed = families
        .range((start, Bound::Unbounded))
        .take_while(|family| family.as_str().starts_with(&prefix))
        .map(|family| (family.to_string(), family.to_string()));
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
