//! `StopServiceDeployment`: gives an ongoing roll-out up and goes back to the service revision before it.
//!
//! The last completed deployment becomes PRIMARY again, as after the circuit breaker; the service controller replaces the
//! tasks and ends the roll-out as ROLLBACK_SUCCESSFUL.

use outport_aws_ecs::{
    StopServiceDeploymentRequest, StopServiceDeploymentResponse, StopServiceDeploymentStopType,
};
use outport_identity::Call;
use outport_model::deployment::{
    DeploymentStatus, RolloutState, ServiceDeployment, ServiceDeploymentStatus,
};
use outport_model::service::{Service, ServiceStatus, StartThrottle};
use outport_model::{DeploymentId, TimestampMs};
use outport_store::Transaction;
use outport_store::keys::{ServiceDeploymentKey, ServiceKey};

use crate::names::BelowService;
use crate::{EcsService, Rejection, access, names};

/// The `statusReason` of a roll-out that was stopped this way.
const STOPPED_BY_USER: &str = "Service deployment rolled back by user.";

pub async fn stop_service_deployment(
    service: &EcsService,
    call: &Call,
    input: StopServiceDeploymentRequest,
) -> Result<StopServiceDeploymentResponse, Rejection> {
    let scope = access::scope(call);
    let text = input.service_deployment_arn.unwrap_or_default();
    let named = names::below_service(&scope, "service-deployment", &text)?.ok_or_else(not_found)?;
    let context = access::cluster_context(&scope, &named.cluster);
    call.authorize("ecs:StopServiceDeployment", &text, &context)?;
    if input.stop_type == Some(StopServiceDeploymentStopType::Abort) {
        return Err(Rejection::not_built("stopType ABORT"));
    }
    let BelowService { cluster, service: name, id } = named;
    service
        .write(|tx| {
            let key = ServiceDeploymentKey::new(&scope, cluster.clone(), name.clone(), id);
            let row = tx.service_deployments.get(&key).ok_or_else(not_found)?;
            let row = ServiceDeployment::clone(row);
            stop(tx, row, &ServiceKey::new(&scope, cluster, name))
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
    if !roll_back(&mut service, &row.target_revision, now_ms) {
        return Err(conflict(&row, "has no completed deployment to roll back to"));
    }
    row.status = ServiceDeploymentStatus::RollbackInProgress;
    row.status_reason = Some(STOPPED_BY_USER.to_owned());
    row.started_at_ms = row.started_at_ms.or(Some(now_ms));
    row.updated_at_ms = now_ms;
    tx.put(row);
    tx.put(service);
    Ok(())
}

fn conflict(row: &ServiceDeployment, what: &str) -> Rejection {
    Rejection::Conflict {
        message: format!("The service deployment {what}."),
        resource_ids: vec![row.id.clone()],
    }
}

/// Makes the last completed deployment PRIMARY again, and the service what it was then. `false`: there is none, or the
/// roll-out is not the newest one.
fn roll_back(service: &mut Service, stopped: &DeploymentId, now_ms: TimestampMs) -> bool {
    let is_completed = |state| state == RolloutState::Completed;
    let position = service.deployments.iter().position(|one| is_completed(one.rollout_state));
    let (Some(position), Some(primary)) = (position, service.deployments.first_mut()) else {
        return false;
    };
    if primary.id != *stopped {
        return false;
    }
    primary.status = DeploymentStatus::Active;
    primary.rollout_state = RolloutState::Failed;
    primary.rollout_state_reason = STOPPED_BY_USER.to_owned();
    primary.updated_at_ms = now_ms;
    let mut good = service.deployments.remove(position);
    good.status = DeploymentStatus::Primary;
    good.rollout_state = RolloutState::InProgress;
    good.rollout_state_reason = format!(
        "ECS deployment {STOPPED_BY_USER} Rolling back to deploymentId ecs-svc/{}.",
        good.id
    );
    good.updated_at_ms = now_ms;
    service.family.clone_from(&good.family);
    service.revision = good.revision;
    service.launch_type = good.launch_type;
    service.platform_version.clone_from(&good.platform_version);
    service.network.clone_from(&good.network);
    service.throttle = StartThrottle::default();
    service.deployments.insert(0, good);
    true
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
        let input = json!({"service": "web", "taskDefinition": "app:2"});
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
                {"status": "ACTIVE", "rolloutState": "FAILED"},
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

    #[tokio::test]
    async fn refusals() {
        let (world, arn) = world().await;
        let gone = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/x";
        let message = "stopType ABORT is not supported by this version of Outport. See docs/compatibility.md.";
        for (input, exception, message) in [
            (
                json!({"serviceDeploymentArn": gone}),
                "ServiceDeploymentNotFoundException",
                "Service deployment not found.",
            ),
            (
                json!({"serviceDeploymentArn": arn, "stopType": "ABORT"}),
                "UnsupportedFeatureException",
                message,
            ),
        ] {
            world.refuses("StopServiceDeployment", input, exception, message).await;
        }
    }
}
