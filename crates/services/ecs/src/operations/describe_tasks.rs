//! `DescribeTasks`: tasks by id or ARN; those that are not there are `failures`.

use outport_aws_ecs::{DescribeTasksRequest, DescribeTasksResponse, TaskField};
use outport_identity::Call;
use outport_model::Arn;
use outport_store::keys::TaskKey;

use crate::resource::Resource;
use crate::views::task::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DescribeTasksRequest.tasks`.
const TASKS_PER_CALL_MAX: usize = 100;

pub async fn describe_tasks(
    service: &EcsService,
    call: &Call,
    input: DescribeTasksRequest,
) -> Result<DescribeTasksResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.tasks.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter("Tasks cannot be empty."));
    }
    if wanted.len() > TASKS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "taskIds can have at most {TASKS_PER_CALL_MAX} items."
        )));
    }
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let with_tags = input.include.is_some_and(|fields| fields.contains(&TaskField::Tags));
    let ids: Vec<_> =
        wanted.iter().map(|text| names::task(&scope, &cluster, text)).collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        ids.iter().flatten().map(|id| Resource::task(&scope, &cluster, id)).collect();
    let every = Arn::of("ecs", &scope, format!("task/{cluster}/*"));
    let (tables, ()) = service.read(call, |tables| {
        Resource::questions(tables, "ecs:DescribeTasks", &resources, &every)
    })?;
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for (text, id) in wanted.into_iter().zip(ids) {
        let Some(id) = id else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let arn = Arn::task(&scope, &cluster, &id).to_string();
        let row = tables.tasks.get(&TaskKey::new(&scope, cluster.clone(), id));
        match row {
            Some(row) => tasks.push(view(&tables, row, with_tags)),
            None => failures.push(missing(text, arn)),
        }
    }
    lookup::active_cluster(&tables, &scope, &cluster)?;
    Ok(DescribeTasksResponse { tasks: Some(tasks), failures: Some(failures) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn by_id_and_by_arn() {
        let world = World::with_node(2048, 4096);
        let arn = world.run("app").await;
        let id = arn.rsplit('/').next().unwrap();
        let gone =
            "arn:aws:ecs:us-east-1:000000000000:task/default/00000000000000000000000000000000";
        let input = json!({"tasks": [id, arn, "0".repeat(32)]});
        let expected = json!({
            "tasks": [{"taskArn": arn, "tags": []}, {"taskArn": arn}],
            "failures": [{"arn": gone, "reason": "MISSING"}],
        });
        world.check("DescribeTasks", input, expected).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let invalid = "InvalidParameterException";
        world
            .refuses("DescribeTasks", json!({"tasks": []}), invalid, "Tasks cannot be empty.")
            .await;
        let many = vec!["x"; 101];
        world
            .refuses(
                "DescribeTasks",
                json!({"tasks": many}),
                invalid,
                "taskIds can have at most 100 items.",
            )
            .await;
        let message = "taskId length should be one of [32,36]";
        world.refuses("DescribeTasks", json!({"tasks": ["None"]}), invalid, message).await;
        let input = json!({"tasks": ["0".repeat(32)], "cluster": "none"});
        world
            .refuses("DescribeTasks", input, "ClusterNotFoundException", "Cluster not found.")
            .await;
    }
}
