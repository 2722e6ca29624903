//! `DeregisterTaskDefinition`: a revision becomes INACTIVE. What runs of it goes on; nothing new starts but tasks of
//! the services that use it.

use outport_aws_ecs::{DeregisterTaskDefinitionRequest, DeregisterTaskDefinitionResponse};
use outport_identity::{Call, Question};
use outport_model::Scope;
use outport_model::task_definition::TaskDefinitionStatus;
use outport_store::{Tables, Transaction};

use crate::names::TaskDefinitionName;
use crate::views::task_definition::view;
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn deregister_task_definition(
    service: &EcsService,
    call: &Call,
    input: DeregisterTaskDefinitionRequest,
) -> Result<DeregisterTaskDefinitionResponse, Rejection> {
    let scope = access::scope(call);
    let text = input.task_definition.unwrap_or_default();
    let name = names::task_definition(&scope, &text)?;
    if name.as_ref().is_some_and(|name| name.revision.is_none()) {
        return Err(Rejection::client("Revision is missing."));
    }
    let question = Question::without_resource("ecs:DeregisterTaskDefinition");
    let ask = |_: &Tables| question.clone().into();
    service.store.write_always(call, ask, |tx, ()| deregister(tx, &scope, name.as_ref())).await
}

fn deregister(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    name: Option<&TaskDefinitionName>,
) -> Result<DeregisterTaskDefinitionResponse, Rejection> {
    let row = name
        .and_then(|name| lookup::task_definition(tx, scope, name))
        .ok_or_else(|| Rejection::client("The specified task definition does not exist."))?;
    let mut row = (*row).clone();
    if row.status == TaskDefinitionStatus::DeleteInProgress {
        return Err(Rejection::client(
            "The specified task definition is in the process of being deleted.",
        ));
    }
    if row.status == TaskDefinitionStatus::Active {
        row.status = TaskDefinitionStatus::Inactive;
        row.deregistered_at_ms = Some(tx.now_ms());
        tx.put(row.clone());
    }
    Ok(DeregisterTaskDefinitionResponse { task_definition: Some(view(&row)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_revision_becomes_inactive() {
        let world = World::new();
        world.register("app", json!({})).await;
        let input = json!({"taskDefinition": "app:1"});
        let expected =
            json!({"taskDefinition": {"status": "INACTIVE", "deregisteredAt": world.now_s()}});
        world.check("DeregisterTaskDefinition", input.clone(), expected.clone()).await;
        world.check("DeregisterTaskDefinition", input, expected).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (name, message) in [
            ("app", "Revision is missing."),
            ("app:1", "The specified task definition does not exist."),
        ] {
            let input = json!({"taskDefinition": name});
            world.refuses("DeregisterTaskDefinition", input, "ClientException", message).await;
        }
    }
}
