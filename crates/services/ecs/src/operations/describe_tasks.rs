//! `DescribeTasks`: tasks by id or ARN; those that are not there are `failures`.

use outport_aws_ecs::{DescribeTasksRequest, DescribeTasksResponse, TaskField};
use outport_identity::{Call, Question, Subject};
use outport_model::{Arn, TaskId};
use outport_store::Row;
use outport_store::keys::{ClusterKey, TaskKey};

use crate::resource::Resource;
use crate::views::task::TaskViews;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DescribeTasksRequest.tasks`.
const TASKS_PER_CALL_MAX: usize = 100;
const ACTION: &str = "ecs:DescribeTasks";

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
    let every = Arn::of("ecs", &scope, format!("task/{cluster}/*"));
    let (tables, rows) = service.store.read(call, |tables| {
        let mut shared = ClusterKey::new(&scope, cluster.clone());
        let row = |id: &Option<TaskId>| {
            let row = tables.tasks.get(&TaskKey::in_cluster(&shared, id.clone()?)).cloned();
            // The keys of a cluster's tasks share its texts: with those in hand the next one is found sooner.
            if let Some(row) = &row {
                shared = row.key().cluster_key();
            }
            row
        };
        let rows: Vec<_> = ids.iter().map(row).collect();
        let questions = ids.iter().zip(&rows).filter_map(|(id, row)| {
            let resource = Resource::task(&scope, &cluster, id.as_ref()?);
            Some(resource.question_of(ACTION, row.as_ref().map(|row| &row.tags)))
        });
        let questions = questions.collect();
        Subject::about(rows, questions, Question::new(ACTION, every.as_str()))
    })?;
    let (mut tasks, mut failures) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut views = TaskViews::new(&tables, &service.workloads, with_tags);
    for ((text, id), row) in wanted.into_iter().zip(ids).zip(rows) {
        match (id, row) {
            (_, Some(row)) => tasks.push(views.of(&row)),
            (Some(id), None) => {
                failures.push(missing(text, Arn::task(&scope, &cluster, &id).into_string()));
            }
            (None, None) => failures.push(failure(text, MISSING)),
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
