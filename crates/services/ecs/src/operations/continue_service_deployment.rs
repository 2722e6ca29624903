//! `ContinueServiceDeployment`: the answer to a pause of a service deployment. The service controller goes on from there.

use outport_aws_ecs::{
    ContinueServiceDeploymentRequest, ContinueServiceDeploymentResponse,
    DeploymentLifecycleHookAction,
};
use outport_identity::Call;
use outport_model::ServiceDeploymentId;
use outport_model::deployment::ServiceDeployment;
use outport_model::deployment_configuration::HookAction;
use outport_planner::service::is_unfinished;
use outport_store::keys::ServiceDeploymentKey;
use outport_store::{Tables, Transaction};

use crate::names::BelowService;
use crate::{EcsService, Rejection, access, names};

pub async fn continue_service_deployment(
    service: &EcsService,
    call: &Call,
    input: ContinueServiceDeploymentRequest,
) -> Result<ContinueServiceDeploymentResponse, Rejection> {
    let scope = access::scope(call);
    let text = input.service_deployment_arn.unwrap_or_default();
    let named = names::below_service(&scope, "service-deployment", &text)?.ok_or_else(not_found)?;
    let hook = input.hook_id.unwrap_or_default();
    let action = match input.action {
        Some(DeploymentLifecycleHookAction::Rollback) => HookAction::Rollback,
        Some(DeploymentLifecycleHookAction::Continue) | None => HookAction::Continue,
    };
    let asked = [named.clone()];
    let ask = |tables: &Tables| {
        let permission = "ecs:ContinueServiceDeployment";
        access::below_service(tables, &scope, permission, "service-deployment", &asked)
    };
    let BelowService { cluster, service: name, id } = named;
    service
        .store
        .write_always(call, ask, |tx, ()| {
            let id = ServiceDeploymentId::new(&id);
            let key = ServiceDeploymentKey::new(&scope, cluster.clone(), name.clone(), id);
            let row = tx.service_deployments.get(&key).ok_or_else(not_found)?;
            let row = ServiceDeployment::clone(row);
            answer(tx, row, &hook, action)
        })
        .await?;
    Ok(ContinueServiceDeploymentResponse { service_deployment_arn: Some(text) })
}

fn not_found() -> Rejection {
    Rejection::ServiceDeploymentNotFound("Service deployment not found.".to_owned())
}

/// The same answer may come again; another one comes too late. The texts are guesses.
fn answer(
    tx: &mut Transaction<'_>,
    mut row: ServiceDeployment,
    hook: &str,
    action: HookAction,
) -> Result<(), Rejection> {
    let is_over = !is_unfinished(row.status);
    let progress = row.progress.as_mut().filter(|_| !is_over);
    let run = progress.and_then(|progress| progress.hooks.iter_mut().find(|run| run.id == hook));
    let run = run.ok_or_else(|| {
        Rejection::invalid_parameter(format!(
            "The service deployment does not wait for the lifecycle hook {hook}."
        ))
    })?;
    match run.answer {
        Some(before) if before == action => return Ok(()),
        Some(_) => {
            return Err(Rejection::invalid_parameter(format!(
                "The lifecycle hook {hook} was answered already."
            )));
        }
        None => run.answer = Some(action),
    }
    row.updated_at_ms = tx.now_ms();
    tx.put(row);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app:1", 2).await;
        let answer = world.call("DescribeServices", json!({"services": ["web"]})).await;
        let arn = &answer["services"][0]["currentServiceDeployment"];
        let gone = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/x";
        for (arn, exception, message) in [
            (json!(gone), "ServiceDeploymentNotFoundException", "Service deployment not found."),
            (
                arn.clone(),
                "InvalidParameterException",
                "The service deployment does not wait for the lifecycle hook x.",
            ),
        ] {
            let input = json!({"serviceDeploymentArn": arn, "hookId": "x"});
            world.refuses("ContinueServiceDeployment", input, exception, message).await;
        }
    }
}
