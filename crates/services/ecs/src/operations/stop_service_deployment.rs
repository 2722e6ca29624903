//! `StopServiceDeployment`: gives an ongoing roll-out up, and goes back to the service revision before it or, with ABORT,
//! leaves things where they are: no more of its tasks are started.
//!
//! The last completed deployment becomes PRIMARY again, as after the circuit breaker; the service controller replaces the
//! tasks and ends the roll-out as ROLLBACK_SUCCESSFUL.

use outport_aws_ecs::{
    StopServiceDeploymentRequest, StopServiceDeploymentResponse, StopServiceDeploymentStopType,
};
use outport_identity::Call;
use outport_model::ServiceDeploymentId;
use outport_model::deployment::{ServiceDeployment, ServiceDeploymentStatus};
use outport_model::deployment_configuration::LifecycleStage;
use outport_model::service::{Service, ServiceStatus};
use outport_planner::deployment::{self, GivenUpBy};
use outport_store::keys::{ServiceDeploymentKey, ServiceKey};
use outport_store::{Tables, Transaction};

use crate::names::BelowService;
use crate::{EcsService, Rejection, access, names};

pub async fn stop_service_deployment(
    service: &EcsService,
    call: &Call,
    input: StopServiceDeploymentRequest,
) -> Result<StopServiceDeploymentResponse, Rejection> {
    let scope = access::scope(call);
    let text = input.service_deployment_arn.unwrap_or_default();
    let named = names::below_service(&scope, "service-deployment", &text)?.ok_or_else(not_found)?;
    let aborts = input.stop_type == Some(StopServiceDeploymentStopType::Abort);
    let action = "ecs:StopServiceDeployment";
    let asked = [named.clone()];
    let ask = |tables: &Tables| {
        access::below_service(tables, &scope, action, "service-deployment", &asked)
    };
    let BelowService { cluster, service: name, id } = named;
    service
        .store
        .write_always(call, ask, |tx, ()| {
            let key = ServiceDeploymentKey::new(
                &scope,
                cluster.clone(),
                name.clone(),
                ServiceDeploymentId::new(&id),
            );
            let row = tx.service_deployments.get(&key).ok_or_else(not_found)?;
            let row = ServiceDeployment::clone(row);
            stop(tx, row, &ServiceKey::new(&scope, cluster, name), aborts)
        })
        .await?;
    Ok(StopServiceDeploymentResponse { service_deployment_arn: Some(text) })
}

fn not_found() -> Rejection {
    Rejection::ServiceDeploymentNotFound("Service deployment not found.".to_owned())
}

fn stop(
    tx: &mut Transaction<'_>,
    mut row: ServiceDeployment,
    key: &ServiceKey,
    aborts: bool,
) -> Result<(), Rejection> {
    match row.status {
        ServiceDeploymentStatus::Pending | ServiceDeploymentStatus::InProgress => {}
        ServiceDeploymentStatus::StopRequested
        | ServiceDeploymentStatus::RollbackRequested
        | ServiceDeploymentStatus::RollbackInProgress => return Ok(()),
        status => {
            return Err(conflict(&row, &format!("is not ongoing: it is {}", status.as_str())));
        }
    }
    let service = tx.services.get(key).filter(|service| service.status == ServiceStatus::Active);
    let mut service = Service::clone(service.ok_or_else(not_found)?);
    let now_ms = tx.now_ms();
    let is_newest = service.deployments.first().is_some_and(|one| one.id == row.target_revision);
    if row.progress.as_ref().is_some_and(|one| one.stage == LifecycleStage::CleanUp) {
        return Err(conflict(&row, "is in its last stage, CLEAN_UP"));
    }
    if aborts && is_newest {
        deployment::give_up(&mut service, GivenUpBy::Abort, now_ms);
        deployment::abort(&mut service);
        row.status = ServiceDeploymentStatus::Stopped;
        row.status_reason = Some(GivenUpBy::Abort.reason().to_owned());
        row.started_at_ms = row.started_at_ms.or(Some(now_ms));
        row.updated_at_ms = now_ms;
        row.finished_at_ms = Some(now_ms);
        tx.put(row);
        tx.put(service);
        return Ok(());
    }
    deployment::give_up(&mut service, GivenUpBy::User, now_ms);
    let good = deployment::roll_back(&mut service, GivenUpBy::User, now_ms);
    if good.is_none() || !is_newest {
        return Err(conflict(&row, "has no completed deployment to roll back to"));
    }
    row.status = ServiceDeploymentStatus::RollbackInProgress;
    row.status_reason = Some(GivenUpBy::User.reason().to_owned());
    row.started_at_ms = row.started_at_ms.or(Some(now_ms));
    row.updated_at_ms = now_ms;
    row.rollback_started_at_ms = Some(now_ms);
    tx.put(row);
    tx.put(service);
    Ok(())
}

fn conflict(row: &ServiceDeployment, what: &str) -> Rejection {
    Rejection::Conflict {
        message: format!("The service deployment {what}."),
        resource_ids: vec![row.id.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use outport_model::deployment::{RolloutState, ServiceDeploymentStatus};
    use serde_json::{Value, json};

    use crate::testing::World;

    /// A service whose first deployment is completed, in the middle of the second.
    async fn world() -> (World, Value) {
        let world = World::new();
        for _ in 0..2 {
            world.register("app", json!({})).await;
        }
        world.create_service("web", "app:1", 2).await;
        world.refuses_to_stop("has no completed deployment to roll back to").await;
        world.put(|tx| {
            let mut service = (**tx.services.iter().next().unwrap()).clone();
            service.deployments[0].rollout_state = RolloutState::Completed;
            let mut history = (**tx.service_deployments.iter().next().unwrap()).clone();
            history.status = ServiceDeploymentStatus::Successful;
            tx.put(service);
            tx.put(history);
        });
        world.refuses_to_stop("is not ongoing: it is SUCCESSFUL").await;
        world.clock.advance(1000);
        let cluster = json!({"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []});
        world.call("PutClusterCapacityProviders", cluster).await;
        let input = json!({
            "service": "web", "taskDefinition": "app:2", "platformVersion": "1.4.0",
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}], "forceNewDeployment": true,
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": [world.subnet()], "securityGroups": [world.security_group()], "assignPublicIp": "ENABLED",
            }},
        });
        let answer = world.call("UpdateService", input).await;
        (world, answer["service"]["currentServiceDeployment"].clone())
    }

    impl World {
        async fn current(&self) -> Value {
            let answer = self.call("DescribeServices", json!({"services": ["web"]})).await;
            answer["services"][0]["currentServiceDeployment"].clone()
        }

        async fn refuses_to_stop(&self, what: &str) {
            let input = json!({"serviceDeploymentArn": self.current().await});
            let message = format!("The service deployment {what}.");
            self.refuses("StopServiceDeployment", input, "ConflictException", &message).await;
        }
    }

    #[tokio::test]
    async fn the_revision_before_comes_back() {
        let (world, arn) = world().await;
        let input = json!({"serviceDeploymentArn": arn});
        world.check("StopServiceDeployment", input.clone(), input.clone()).await;
        world.check("StopServiceDeployment", input.clone(), input).await;
        let expected = json!({"services": [{
            "taskDefinition": "arn:aws:ecs:us-east-1:000000000000:task-definition/app:1",
            "deployments": [
                {"status": "PRIMARY", "rolloutState": "IN_PROGRESS"},
                {
                    "status": "ACTIVE", "rolloutState": "FAILED",
                    "rolloutStateReason": "Service deployment rolled back by user.",
                },
            ],
        }]});
        world.check("DescribeServices", json!({"services": ["web"]}), expected).await;
        let expected = json!({"serviceDeployments": [{
            "status": "ROLLBACK_IN_PROGRESS",
            "rollback": {"reason": "Service deployment rolled back by user."},
            "deploymentCircuitBreaker": {"status": "DISABLED"},
        }]});
        world
            .check("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}), expected)
            .await;
    }

    /// What the caller named for the given-up roll-out is forgotten, also for the roll-outs after it.
    #[tokio::test]
    async fn the_configuration_before_comes_back() {
        let (world, arn) = world().await;
        world.call("StopServiceDeployment", json!({"serviceDeploymentArn": arn})).await;
        let network = json!({"awsvpcConfiguration": {
            "subnets": [world.subnet()], "securityGroups": [], "assignPublicIp": "DISABLED",
        }});
        let expected = json!({
            "networkConfiguration": network, "platformVersion": "LATEST", "launchType": "FARGATE",
            "capacityProviderStrategy": null,
            "deployments": [{"networkConfiguration": network}, {}],
        });
        let described = json!({"services": [expected]});
        world.check("DescribeServices", json!({"services": ["web"]}), described).await;
        let input = json!({"service": "web", "forceNewDeployment": true});
        let expected = json!({"service": {
            "networkConfiguration": network, "launchType": "FARGATE", "capacityProviderStrategy": null,
            "deployments": [{"networkConfiguration": network, "launchType": "FARGATE"}, {}, {}],
        }});
        world.check("UpdateService", input, expected).await;
    }

    #[tokio::test]
    async fn an_abort_leaves_things_where_they_are() {
        let (world, arn) = world().await;
        let input = json!({"serviceDeploymentArn": arn, "stopType": "ABORT"});
        world.call("StopServiceDeployment", input.clone()).await;
        let expected = json!({"services": [{
            "taskDefinition": "arn:aws:ecs:us-east-1:000000000000:task-definition/app:2",
            "deployments": [
                {
                    "status": "PRIMARY", "rolloutState": "FAILED",
                    "rolloutStateReason": "Service deployment stopped by user.",
                },
                {"status": "ACTIVE", "rolloutState": "COMPLETED"},
            ],
        }]});
        world.check("DescribeServices", json!({"services": ["web"]}), expected).await;
        let expected = json!({"serviceDeployments": [{
            "status": "STOPPED", "statusReason": "Service deployment stopped by user.", "rollback": null,
        }]});
        let described = json!({"serviceDeploymentArns": [arn]});
        world.check("DescribeServiceDeployments", described, expected).await;
        let message = "The service deployment is not ongoing: it is STOPPED.";
        world.refuses("StopServiceDeployment", input, "ConflictException", message).await;
    }

    #[tokio::test]
    async fn refusals() {
        let (world, _) = world().await;
        let gone = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/x";
        for (input, exception, message) in [(
            json!({"serviceDeploymentArn": gone}),
            "ServiceDeploymentNotFoundException",
            "Service deployment not found.",
        )] {
            world.refuses("StopServiceDeployment", input, exception, message).await;
        }
    }
}
