//! `DescribeServiceRevisions`: what a roll-out was to run, by ARN.

use outport_aws_ecs::{DescribeServiceRevisionsRequest, DescribeServiceRevisionsResponse};
use outport_identity::Call;
use outport_store::keys::ServiceRevisionKey;

use crate::views::service_deployment::revision;
use crate::views::{MISSING, failure};
use crate::{EcsService, Rejection, access, names};

/// Source: botocore's documentation of `DescribeServiceRevisionsRequest.serviceRevisionArns`.
const REVISIONS_PER_CALL_MAX: usize = 20;

pub async fn describe_service_revisions(
    service: &EcsService,
    call: &Call,
    input: DescribeServiceRevisionsRequest,
) -> Result<DescribeServiceRevisionsResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.service_revision_arns.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter("serviceRevisionArns cannot be empty."));
    }
    if wanted.len() > REVISIONS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "serviceRevisionArns can have at most {REVISIONS_PER_CALL_MAX} items."
        )));
    }
    let named: Vec<_> = wanted
        .iter()
        .map(|text| names::below_service(&scope, "service-revision", text))
        .collect::<Result<_, _>>()?;
    let here: Vec<_> = named.iter().flatten().cloned().collect();
    let action = "ecs:DescribeServiceRevisions";
    let (tables, ()) = service.store.read(call, |tables| {
        access::below_service(tables, &scope, action, "service-revision", &here)
    })?;
    let (mut revisions, mut failures) = (Vec::new(), Vec::new());
    for (text, named) in wanted.into_iter().zip(named) {
        let Some(named) = named else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let id = named.revision_id();
        let key = ServiceRevisionKey::new(&scope, named.cluster, named.service, id);
        match tables.service_revisions.get(&key) {
            Some(row) => revisions.push(revision(&tables, &service.workloads, row)),
            None => failures.push(failure(text, MISSING)),
        }
    }
    Ok(DescribeServiceRevisionsResponse {
        service_revisions: Some(revisions),
        failures: Some(failures),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_revision_keeps_what_was_asked_for() {
        let world = World::new();
        world.register("app", json!({})).await;
        let service = world.create_service("web", "app", 2).await;
        let arn = service["currentServiceRevisions"][0]["arn"].clone();
        let expected = json!({"serviceRevisions": [{
            "serviceRevisionArn": arn,
            "serviceArn": service["serviceArn"],
            "taskDefinition": service["taskDefinition"],
            "launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux",
            "networkConfiguration": service["networkConfiguration"],
            "containerImages": [{"containerName": "web", "image": "registry/app:1"}],
            "guardDutyEnabled": false, "createdAt": world.now_s(),
        }], "failures": []});
        world
            .check("DescribeServiceRevisions", json!({"serviceRevisionArns": [arn]}), expected)
            .await;
        let message = "Invalid identifier: The ARN provided is invalid.";
        world
            .refuses(
                "DescribeServiceRevisions",
                json!({"serviceRevisionArns": ["web"]}),
                "InvalidParameterException",
                message,
            )
            .await;
    }
}
