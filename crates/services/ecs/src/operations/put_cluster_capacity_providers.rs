//! `PutClusterCapacityProviders`: which capacity providers a cluster has, and its default strategy. Both are replaced.

use outport_aws_ecs as wire;
use outport_aws_ecs::{PutClusterCapacityProvidersRequest, PutClusterCapacityProvidersResponse};
use outport_identity::Call;
use outport_model::service::ServiceStatus;
use outport_store::Tables;
use outport_store::keys::ClusterKey;

use crate::resource::Resource;
use crate::views::cluster::{Include, view};
use crate::views::stored;
use crate::{EcsService, Rejection, access, capacity_provider, lookup, names};

pub async fn put_cluster_capacity_providers(
    service: &EcsService,
    call: &Call,
    input: PutClusterCapacityProvidersRequest,
) -> Result<PutClusterCapacityProvidersResponse, Rejection> {
    let scope = access::scope(call);
    if input.cluster.as_deref().is_none_or(str::is_empty) {
        return Err(Rejection::client("Cluster can not be blank."));
    }
    let name = names::cluster(&scope, input.cluster.as_deref())?;
    let providers = input.capacity_providers.unwrap_or_default();
    capacity_provider::check_names(&providers)?;
    let strategy =
        capacity_provider::checked(input.default_capacity_provider_strategy.unwrap_or_default())?;
    capacity_provider::check_associated(&strategy, &providers)?;
    let (resource, named) = (Resource::cluster(&scope, &name), providers.clone());
    let ask = |tables: &Tables| {
        let question = resource.question(tables, "ecs:PutClusterCapacityProviders");
        question.with("ecs:capacity-provider", named.clone()).into()
    };
    service
        .store
        .write(call, ask, |tx, ()| {
            let mut cluster = (**lookup::active_cluster(tx, &scope, &name)?).clone();
            let key = ClusterKey::new(&scope, name);
            let mut removed =
                cluster.capacity_providers.iter().filter(|old| !providers.contains(*old));
            if removed.any(|old| is_in_use(tx, &key, old)) {
                return Err(Rejection::ResourceInUse(
                    "The specified capacity provider is in use and cannot be removed.".to_owned(),
                ));
            }
            cluster.capacity_providers = providers;
            cluster.default_strategy = capacity_provider::kept(strategy);
            tx.put(cluster.clone());
            let cluster = view(tx, &cluster, Include::ALL);
            Ok(PutClusterCapacityProvidersResponse { cluster: Some(cluster) })
        })
        .await
}

/// Whether a service of the cluster runs its tasks on it.
fn is_in_use(tables: &Tables, cluster: &ClusterKey, name: &str) -> bool {
    let mut services = tables.services.in_cluster(cluster).values();
    services.any(|service| {
        let kept: wire::Service = stored(&service.document).unwrap_or_default();
        let provider = capacity_provider::provider(kept.capacity_provider_strategy.as_deref());
        service.status != ServiceStatus::Inactive && provider.as_deref() == Some(name)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::World;

    fn strategy(provider: &str) -> Value {
        json!([{"capacityProvider": provider, "weight": 1}])
    }

    async fn world(default: Value) -> World {
        let world = World::with_node(2048, 4096);
        world.register("app", json!({})).await;
        let input = json!({
            "cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": default,
        });
        world.call("PutClusterCapacityProviders", input).await;
        world
    }

    fn network(world: &World) -> Value {
        json!({"awsvpcConfiguration": {"subnets": [world.subnet()]}})
    }

    fn service(world: &World, changes: Value) -> Value {
        let mut input = json!({
            "serviceName": "web", "taskDefinition": "app", "desiredCount": 1,
            "networkConfiguration": network(world),
        });
        for (member, value) in changes.as_object().unwrap() {
            input[member] = value.clone();
        }
        input
    }

    #[tokio::test]
    async fn a_cluster_shows_its_providers() {
        let world = world(strategy("FARGATE")).await;
        let expected = json!({"clusters": [{
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy":
                [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}],
        }]});
        world.check("DescribeClusters", json!({}), expected).await;
    }

    #[tokio::test]
    async fn the_default_strategy_stands_in_for_a_launch_type() {
        let world = world(strategy("FARGATE_SPOT")).await;
        let input = json!({"taskDefinition": "app", "networkConfiguration": network(&world)});
        let task = json!({"launchType": "FARGATE", "capacityProviderName": "FARGATE_SPOT"});
        world.check("RunTask", input, json!({"tasks": [task]})).await;
        let answer = world.call("CreateService", service(&world, json!({}))).await;
        let shown = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]);
        for one in [&answer["service"], &answer["service"]["deployments"][0]] {
            assert_eq!(one["capacityProviderStrategy"], shown);
            assert_eq!(one["launchType"], Value::Null, "one or the other");
            assert_eq!(one["platformFamily"], "Linux");
        }
        let named = json!({"serviceName": "named", "launchType": "FARGATE"});
        let answer = world.call("CreateService", service(&world, named)).await;
        assert_eq!(answer["service"]["launchType"], "FARGATE");
        assert_eq!(answer["service"]["capacityProviderStrategy"], Value::Null);
    }

    #[tokio::test]
    async fn a_service_changes_its_strategy_with_a_new_deployment() {
        let world = world(json!([])).await;
        let own = json!({"capacityProviderStrategy": strategy("FARGATE")});
        world.call("CreateService", service(&world, own.clone())).await;
        let same = json!({"service": "web", "capacityProviderStrategy": strategy("FARGATE")});
        world.check("UpdateService", same, json!({"service": {"deployments": [{}]}})).await;
        let mut other =
            json!({"service": "web", "capacityProviderStrategy": strategy("FARGATE_SPOT")});
        let message = "When switching from launch type to capacity provider strategy on an existing service, or making a \
                       change to a capacity provider strategy on a service that is already using one, you must force a \
                       new deployment.";
        world.refuses("UpdateService", other.clone(), "InvalidParameterException", message).await;
        other["forceNewDeployment"] = json!(true);
        let spot = json!([{"capacityProvider": "FARGATE_SPOT"}]);
        let fargate = json!([{"capacityProvider": "FARGATE"}]);
        let expected = json!({"service": {
            "capacityProviderStrategy": spot,
            "deployments": [
                {"status": "PRIMARY", "capacityProviderStrategy": spot},
                {"status": "ACTIVE", "capacityProviderStrategy": fargate},
            ],
        }});
        world.check("UpdateService", other, expected).await;
        let input = json!({
            "cluster": "default", "capacityProviders": ["FARGATE"],
            "defaultCapacityProviderStrategy": [],
        });
        let message = "The specified capacity provider is in use and cannot be removed.";
        let operation = "PutClusterCapacityProviders";
        world.refuses(operation, input, "ResourceInUseException", message).await;
        let back = json!({
            "service": "web", "capacityProviderStrategy": [], "forceNewDeployment": true,
        });
        let answer = world.call("UpdateService", back).await;
        assert_eq!(answer["service"]["launchType"], "FARGATE");
        assert_eq!(answer["service"]["capacityProviderStrategy"], Value::Null);
    }

    #[tokio::test]
    async fn refusals() {
        let world = world(json!([])).await;
        let invalid = "InvalidParameterException";
        for (strategy, exception, message) in [
            (
                json!([{"capacityProvider": "mine"}]),
                invalid,
                "The specified capacity provider 'mine' was not found. Specify a valid name or ARN and try again.",
            ),
            (
                json!([{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 4}]),
                "UnsupportedFeatureException",
                "A capacityProviderStrategy that divides tasks among several capacity providers is not supported by this version of Outport. See /_outport/compatibility at this endpoint.",
            ),
            (
                json!([{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT"}]),
                invalid,
                "At least one capacity provider of a capacity provider strategy must have a weight greater than 0.",
            ),
        ] {
            let input = json!({
                "taskDefinition": "app", "capacityProviderStrategy": strategy,
                "networkConfiguration": network(&world),
            });
            world.refuses("RunTask", input.clone(), exception, message).await;
        }
        world.call("CreateCluster", json!({"clusterName": "bare"})).await;
        let mut input = service(&world, json!({"capacityProviderStrategy": strategy("FARGATE")}));
        input["cluster"] = json!("bare");
        let message = "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the \
                       cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.";
        world.refuses("CreateService", input.clone(), invalid, message).await;
        input["launchType"] = json!("FARGATE");
        let message = "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.";
        world.refuses("CreateService", input, invalid, message).await;
    }
}
