//! `DescribeCapacityProviders`: the two that every account has.

use outport_aws_ecs::{
    CapacityProvider, CapacityProviderStatus, CapacityProviderType,
    DescribeCapacityProvidersRequest, DescribeCapacityProvidersResponse,
};
use outport_identity::{Call, Question};
use outport_model::{Arn, Scope};

use crate::capacity_provider::PROVIDERS;
use crate::page::PageRequest;
use crate::views::{MISSING, failure};
use crate::{EcsService, Rejection, access, lookup, names};

/// Source: botocore's documentation of `DescribeCapacityProvidersRequest`.
const PROVIDERS_PER_CALL_MAX: usize = 100;
const PAGE_MAX: usize = 10;

pub async fn describe_capacity_providers(
    service: &EcsService,
    call: &Call,
    input: DescribeCapacityProvidersRequest,
) -> Result<DescribeCapacityProvidersResponse, Rejection> {
    let scope = access::scope(call);
    let wanted = input.capacity_providers.unwrap_or_default();
    if wanted.len() > PROVIDERS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "capacityProviders can have at most {PROVIDERS_PER_CALL_MAX} items."
        )));
    }
    let token = input.next_token.as_deref();
    let request = PageRequest::parse(input.max_results, token, PAGE_MAX, PAGE_MAX)?;
    let question = Question::new("ecs:DescribeCapacityProviders", arn(&scope, "*"));
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let of_cluster = match input.cluster.as_deref() {
        Some(text) => {
            let cluster = names::cluster(&scope, Some(text))?;
            Some(lookup::active_cluster(&tables, &scope, &cluster)?.capacity_providers.clone())
        }
        None => None,
    };
    let is_there = |name: &str| {
        let associated = of_cluster.as_ref();
        associated.is_none_or(|associated| associated.iter().any(|one| one == name))
    };
    let is_named = |name: &str, text: &String| text == name || *text == arn(&scope, name);
    let found = PROVIDERS.into_iter().filter(|name| is_there(name));
    let is_missing = |text: &&String| !found.clone().any(|name| is_named(name, text));
    let failures = wanted.iter().filter(is_missing).map(|text| failure(text, MISSING)).collect();
    let listed = found
        .clone()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|text| is_named(name, text)))
        .map(|name| (name.to_owned(), view(&scope, name)));
    let page = request.take(listed);
    Ok(DescribeCapacityProvidersResponse {
        capacity_providers: Some(page.items),
        failures: Some(failures),
        next_token: page.next_token,
    })
}

fn arn(scope: &Scope, name: &str) -> String {
    Arn::of("ecs", scope, format!("capacity-provider/{name}")).to_string()
}

fn view(scope: &Scope, name: &str) -> CapacityProvider {
    CapacityProvider {
        capacity_provider_arn: Some(arn(scope, name)),
        name: Some(name.to_owned()),
        status: Some(CapacityProviderStatus::Active),
        r#type: CapacityProviderType::from_name(name),
        tags: Some(Vec::new()),
        ..CapacityProvider::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::World;

    async fn check(world: &World, input: Value, names: &[&str], missing: &[&str]) {
        let of = |name: &&str| {
            json!({
                "name": name, "status": "ACTIVE", "type": name, "tags": [],
                "capacityProviderArn": format!("arn:aws:ecs:us-east-1:000000000000:capacity-provider/{name}"),
            })
        };
        let failed = |text: &&str| json!({"arn": text, "reason": "MISSING"});
        let expected = json!({
            "capacityProviders": names.iter().map(of).collect::<Vec<_>>(),
            "failures": missing.iter().map(failed).collect::<Vec<_>>(),
        });
        world.check("DescribeCapacityProviders", input, expected).await;
    }

    #[tokio::test]
    async fn every_account_has_fargate_and_fargate_spot() {
        let world = World::new();
        check(&world, json!({}), &["FARGATE", "FARGATE_SPOT"], &[]).await;
        let spot = "arn:aws:ecs:us-east-1:000000000000:capacity-provider/FARGATE_SPOT";
        let named = json!({"capacityProviders": [spot, "mine"]});
        check(&world, named, &["FARGATE_SPOT"], &["mine"]).await;
        let cluster = json!({"clusterName": "c", "capacityProviders": ["FARGATE"]});
        world.call("CreateCluster", cluster).await;
        check(&world, json!({"cluster": "c"}), &["FARGATE"], &[]).await;
        let first = world.call("DescribeCapacityProviders", json!({"maxResults": 1})).await;
        let next = json!({"maxResults": 1, "nextToken": first["nextToken"]});
        check(&world, next, &["FARGATE_SPOT"], &[]).await;
        let gone = json!({"cluster": "none"});
        let (exception, message) = ("ClusterNotFoundException", "Cluster not found.");
        world.refuses("DescribeCapacityProviders", gone, exception, message).await;
    }
}
