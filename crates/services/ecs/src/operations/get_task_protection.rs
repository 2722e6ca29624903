//! `GetTaskProtection`: which tasks of services are protected, and until when.

use outport_aws_ecs::{GetTaskProtectionRequest, GetTaskProtectionResponse};
use outport_identity::{Call, Question, Subject};
use outport_model::{Arn, TaskId};
use outport_store::keys::TaskKey;

use crate::resource::Resource;
use crate::views::task_protection::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `GetTaskProtectionRequest.tasks`.
const TASKS_PER_CALL_MAX: usize = 100;
const ACTION: &str = "ecs:GetTaskProtection";

/// Tasks have to be named. AWS's model does not say so; what it answers without any is not known.
pub async fn get_task_protection(
    service: &EcsService,
    call: &Call,
    input: GetTaskProtectionRequest,
) -> Result<GetTaskProtectionResponse, Rejection> {
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
    let ids: Vec<_> =
        wanted.iter().map(|text| names::task(&scope, &cluster, text)).collect::<Result<_, _>>()?;
    let every = Arn::of("ecs", &scope, format!("task/{cluster}/*"));
    let (tables, rows) = service.store.read(call, |tables| {
        let row = |id: &Option<TaskId>| {
            let key = TaskKey::new(&scope, cluster.clone(), id.clone()?);
            tables.tasks.get(&key).cloned()
        };
        let rows: Vec<_> = ids.iter().map(row).collect();
        let questions = ids.iter().zip(&rows).filter_map(|(id, row)| {
            let resource = Resource::task(&scope, &cluster, id.as_ref()?);
            Some(resource.question_of(ACTION, row.as_ref().map(|row| &row.tags)))
        });
        let questions = questions.collect();
        Subject::about(rows, questions, Question::new(ACTION, every.as_str()))
    })?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let now_ms = call.now_ms;
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for ((text, id), row) in wanted.into_iter().zip(ids).zip(rows) {
        match (id, row.filter(|row| row.holds_resources())) {
            (_, Some(row)) => protected.push(view(&row, now_ms)),
            (Some(id), None) => {
                failures.push(missing(text, Arn::task(&scope, &cluster, &id).into_string()));
            }
            (None, None) => failures.push(failure(text, MISSING)),
        }
    }
    Ok(GetTaskProtectionResponse { protected_tasks: Some(protected), failures: Some(failures) })
}
