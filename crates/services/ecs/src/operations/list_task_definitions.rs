//! `ListTaskDefinitions`: ARNs by family and revision.

use std::ops::Bound;

use outport_aws_ecs::{
    ListTaskDefinitionsRequest, ListTaskDefinitionsResponse, SortOrder, TaskDefinitionStatus,
};
use outport_identity::{Call, Question};
use outport_model::{Arn, Family, Revision, task_definition};

use crate::page::{self, PageRequest};
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
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let revisions = tables.task_definitions.in_status(&scope, stored(status));
    let family = family.map(Family::new);
    let listed = |(family, revision): &(Family, Revision)| {
        let arn = Arn::task_definition(&scope, family, *revision);
        (format!("{family}\u{0}{revision:010}"), arn.to_string())
    };
    let is_asked = |entry: &&(Family, Revision)| family.as_ref().is_none_or(|f| *f == entry.0);
    let page = match input.sort {
        Some(SortOrder::Desc) => {
            let end = match (&request.after, &family) {
                (Some(after), _) => Bound::Excluded(entry(after).ok_or_else(page::invalid_token)?),
                (None, Some(family)) => Bound::Included((family.clone(), Revision::MAX)),
                (None, None) => Bound::Unbounded,
            };
            let rows = revisions.range((Bound::Unbounded, end)).rev().take_while(is_asked);
            request.take_descending(rows.map(listed))
        }
        _ => {
            let first = family.clone().unwrap_or_else(|| Family::new(""));
            let start = request.start((first, 0), entry).ok_or_else(page::invalid_token)?;
            let rows = revisions.range((start, Bound::Unbounded)).take_while(is_asked);
            request.take(rows.map(listed))
        }
    };
    Ok(ListTaskDefinitionsResponse {
        task_definition_arns: Some(page.items),
        next_token: page.next_token,
    })
}

/// What the key of a page's last item names.
fn entry(key: &str) -> Option<(Family, Revision)> {
    let (family, revision) = key.split_once('\u{0}')?;
    Some((Family::new(family), revision.parse().ok()?))
}

fn stored(status: TaskDefinitionStatus) -> task_definition::TaskDefinitionStatus {
    match status {
        TaskDefinitionStatus::Active => task_definition::TaskDefinitionStatus::Active,
        TaskDefinitionStatus::Inactive => task_definition::TaskDefinitionStatus::Inactive,
        TaskDefinitionStatus::DeleteInProgress => {
            task_definition::TaskDefinitionStatus::DeleteInProgress
        }
    }
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
