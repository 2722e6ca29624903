//! `ListTaskDefinitions`: ARNs by family and revision.

use outport_aws_ecs::{
    ListTaskDefinitionsRequest, ListTaskDefinitionsResponse, SortOrder, TaskDefinitionStatus,
};
use outport_identity::{Call, Question};
use outport_model::Family;
use outport_store::keys::FamilyKey;

use crate::page::PageRequest;
use crate::views::task_definition::arn;
use crate::{EcsService, Rejection, access, names};

const PAGE_MAX: usize = 100;

pub async fn list_task_definitions(
    service: &EcsService,
    call: &Call,
    input: ListTaskDefinitionsRequest,
) -> Result<ListTaskDefinitionsResponse, Rejection> {
    let scope = access::scope(call);
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let family = input.family_prefix.filter(|family| !family.is_empty());
    if family.as_deref().is_some_and(|family| !names::is_name(family)) {
        return Err(Rejection::client("Family contains invalid characters."));
    }
    let question = Question::without_resource("ecs:ListTaskDefinitions");
    let status = input.status.unwrap_or(TaskDefinitionStatus::Active);
    let (tables, ()) = service.read(call, |_| question.into())?;
    let rows: Vec<_> = match family {
        Some(family) => {
            let key = FamilyKey::new(&scope, Family::new(family));
            tables.task_definitions.of_family(&key).values().collect()
        }
        None => tables.task_definitions.iter().filter(|row| row.scope == scope).collect(),
    };
    let listed = rows
        .into_iter()
        .filter(|row| row.status.as_str() == status.as_str())
        .map(|row| (format!("{}\u{0}{:010}", row.family, row.revision), arn(row)));
    let page = match input.sort {
        Some(SortOrder::Desc) => {
            request.take_descending(listed.collect::<Vec<_>>().into_iter().rev())
        }
        _ => request.take(listed),
    };
    Ok(ListTaskDefinitionsResponse {
        task_definition_arns: Some(page.items),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::World;

    #[track_caller]
    fn check(answer: &Value, expected: &str) {
        let arns = answer["taskDefinitionArns"].as_array().unwrap();
        let names: Vec<&str> =
            arns.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap()).collect();
        assert_eq!(names.join(" "), expected);
    }

    #[tokio::test]
    async fn lists_by_family_status_and_order() {
        let world = World::new();
        for family in ["app", "app-b", "app"] {
            world.register(family, json!({})).await;
        }
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:1"})).await;
        for (input, expected) in [
            (json!({}), "app:2 app-b:1"),
            (json!({"sort": "DESC"}), "app-b:1 app:2"),
            (json!({"status": "INACTIVE"}), "app:1"),
            (json!({"familyPrefix": "app"}), "app:2"),
            (json!({"familyPrefix": "ap"}), ""),
        ] {
            check(&world.call("ListTaskDefinitions", input).await, expected);
        }
        let first =
            world.call("ListTaskDefinitions", json!({"maxResults": 1, "sort": "DESC"})).await;
        check(&first, "app-b:1");
        let input = json!({"maxResults": 1, "sort": "DESC", "nextToken": first["nextToken"]});
        check(&world.call("ListTaskDefinitions", input).await, "app:2");
    }
}
