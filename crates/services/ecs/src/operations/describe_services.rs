//! `DescribeServices`: services with their deployments and events; those that are not there are `failures`.

use outport_aws_ecs::{DescribeServicesRequest, DescribeServicesResponse, ServiceField};
use outport_identity::Call;
use outport_model::Arn;

use crate::resource::Resource;
use crate::views::service::view;
use crate::views::{MISSING, failure, missing};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DescribeServicesRequest.services`.
const SERVICES_PER_CALL_MAX: usize = 10;

pub async fn describe_services(
    service: &EcsService,
    call: &Call,
    input: DescribeServicesRequest,
) -> Result<DescribeServicesResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.services.unwrap_or_default();
    if wanted.is_empty() {
        return Err(Rejection::invalid_parameter("Services cannot be empty."));
    }
    if wanted.len() > SERVICES_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "service names can have at most {SERVICES_PER_CALL_MAX} items."
        )));
    }
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let with_tags = input.include.is_some_and(|fields| fields.contains(&ServiceField::Tags));
    let ids: Vec<_> = wanted
        .iter()
        .map(|text| names::service(&scope, &cluster, text))
        .collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        ids.iter().flatten().map(|id| Resource::service(&scope, &cluster, id)).collect();
    let every = Arn::of("ecs", &scope, format!("service/{cluster}/*"));
    let (tables, ()) = service.store.read(call, |tables| {
        Resource::questions(tables, "ecs:DescribeServices", &resources, &every)
    })?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for (text, name) in wanted.into_iter().zip(ids) {
        let Some(name) = name else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let row = lookup::service(&tables, &scope, &cluster, &name);
        match row {
            Some(row) => services.push(view(&tables, row, with_tags)),
            // AWS names it without its cluster.
            None => {
                let arn = Arn::of("ecs", &scope, format!("service/{name}"));
                failures.push(missing(text, arn.to_string()));
            }
        }
    }
    Ok(DescribeServicesResponse { services: Some(services), failures: Some(failures) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn what_is_not_there_is_a_failure() {
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app", 1).await;
        let arn = "arn:aws:ecs:us-east-1:000000000000:service/default";
        let short = "arn:aws:ecs:us-east-1:000000000000:service/gone";
        let elsewhere = "arn:aws:ecs:eu-west-1:000000000000:service/default/web";
        let input = json!({
            "services": ["web", format!("{arn}/web"), "gone", format!("{arn}/gone"), short, elsewhere],
            "include": ["TAGS"],
        });
        let failure = |arn: &str| json!({"arn": arn, "reason": "MISSING"});
        let expected = json!({
            "services": [{"serviceName": "web", "tags": []}, {"serviceName": "web"}],
            "failures": [
                failure(short), failure(&format!("{arn}/gone")), failure(short), failure(elsewhere),
            ],
        });
        world.check("DescribeServices", input, expected).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let invalid = "InvalidParameterException";
        world
            .refuses(
                "DescribeServices",
                json!({"services": []}),
                invalid,
                "Services cannot be empty.",
            )
            .await;
        let many = vec!["x"; 11];
        world
            .refuses(
                "DescribeServices",
                json!({"services": many}),
                invalid,
                "service names can have at most 10 items.",
            )
            .await;
        let input = json!({"services": ["x"], "cluster": "none"});
        world
            .refuses("DescribeServices", input, "ClusterNotFoundException", "Cluster not found.")
            .await;
    }
}
