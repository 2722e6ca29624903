//! `DescribeServiceDeployments`: roll-outs by ARN, with the state of each.

use outport_aws_ecs::{DescribeServiceDeploymentsRequest, DescribeServiceDeploymentsResponse};
use outport_identity::Call;
use outport_model::ServiceDeploymentId;
use outport_store::keys::ServiceDeploymentKey;

use crate::views::service_deployment::view;
use crate::views::{MISSING, failure};
use crate::{EcsService, Rejection, access, names};

/// Source: botocore's documentation of `DescribeServiceDeploymentsRequest.serviceDeploymentArns`.
const DEPLOYMENTS_PER_CALL_MAX: usize = 20;

pub async fn describe_service_deployments(
    service: &EcsService,
    call: &Call,
    input: DescribeServiceDeploymentsRequest,
) -> Result<DescribeServiceDeploymentsResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.service_deployment_arns.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter("serviceDeploymentArns cannot be empty."));
    }
    if wanted.len() > DEPLOYMENTS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "serviceDeploymentArns can have at most {DEPLOYMENTS_PER_CALL_MAX} items."
        )));
    }
    let named: Vec<_> = wanted
        .iter()
        .map(|text| names::below_service(&scope, "service-deployment", text))
        .collect::<Result<_, _>>()?;
    let here: Vec<_> = named.iter().flatten().cloned().collect();
    let action = "ecs:DescribeServiceDeployments";
    let (tables, ()) = service.store.read(call, |tables| {
        access::below_service(tables, &scope, action, "service-deployment", &here)
    })?;
    let (mut deployments, mut failures) = (Vec::new(), Vec::new());
    for (text, named) in wanted.into_iter().zip(named) {
        let Some(named) = named else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let key = ServiceDeploymentKey::new(
            &scope,
            named.cluster,
            named.service,
            ServiceDeploymentId::new(named.id),
        );
        match tables.service_deployments.get(&key) {
            Some(row) => deployments.push(view(&tables, row)),
            None => failures.push(failure(text, MISSING)),
        }
    }
    Ok(DescribeServiceDeploymentsResponse {
        service_deployments: Some(deployments),
        failures: Some(failures),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_roll_out_is_shown_with_its_counts() {
        let world = World::new();
        world.register("app", json!({})).await;
        let service = world.create_service("web", "app", 2).await;
        let arn = service["currentServiceDeployment"].clone();
        let gone = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/x";
        let expected = json!({
            "serviceDeployments": [{
                "serviceDeploymentArn": arn, "status": "PENDING", "createdAt": world.now_s(),
                "sourceServiceRevisions": [],
                "targetServiceRevision": {"requestedTaskCount": 2, "runningTaskCount": 0, "pendingTaskCount": 0},
                "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
                "deploymentCircuitBreaker": {"status": "DISABLED", "failureCount": 0, "threshold": 3},
                "alarms": {"status": "DISABLED"},
            }],
            "failures": [{"arn": gone, "reason": "MISSING"}],
        });
        world
            .check(
                "DescribeServiceDeployments",
                json!({"serviceDeploymentArns": [arn, gone]}),
                expected,
            )
            .await;
        let message = "serviceDeploymentArns cannot be empty.";
        world
            .refuses(
                "DescribeServiceDeployments",
                json!({"serviceDeploymentArns": []}),
                "InvalidParameterException",
                message,
            )
            .await;
    }
}
