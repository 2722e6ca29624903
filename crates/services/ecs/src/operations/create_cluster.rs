//! `CreateCluster`: makes a cluster, or answers with the one that has the name already.

use outport_aws_ecs::{
    ClusterConfiguration, ClusterSetting, CreateClusterRequest, CreateClusterResponse, SettingName,
};
use outport_aws_wire::to_json;
use outport_identity::{Call, Subject};
use outport_model::cluster::{self, Cluster, ClusterStatus};
use outport_model::{ClusterName, Scope, Tags};
use outport_store::keys::ClusterKey;
use outport_store::{Tables, Transaction};

use crate::resource::Resource;
use crate::service_request::SERVICE;
use crate::views::cluster::{Include, view};
use crate::{
    EcsService, Rejection, access, account_setting, capacity_provider, default_cluster, names, tags,
};

/// Most clusters of an account in a region. Source: "Amazon ECS service quotas".
const CLUSTERS_MAX: usize = 10_000;
const NOT_IDEMPOTENT: &str = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
const CONTAINER_INSIGHTS_VALUES: [&str; 3] = ["disabled", "enabled", "enhanced"];

pub async fn create_cluster(
    service: &EcsService,
    call: &Call,
    input: CreateClusterRequest,
) -> Result<CreateClusterResponse, Rejection> {
    let scope = access::scope(call);
    let request = Request::parse(call, &scope, input)?;
    let (resource, tags) = (Resource::cluster(&scope, &request.name), request.tags.clone());
    let providers = Some(&request.capacity_providers).filter(|named| !named.is_empty()).cloned();
    let ask = |tables: &Tables| {
        let question = resource
            .question(tables, "ecs:CreateCluster")
            .with_optional("ecs:capacity-provider", providers.clone())
            .with_request_tags(&tags);
        let tags = access::tag_on_create("CreateCluster", &resource.arn(), &tags);
        Subject::new((), question).and_all(tags)
    };
    let written = service.store.write(call, ask, |tx, ()| {
        let cluster = request.create(tx, &scope)?;
        let cluster = view(tx, &cluster, Include::ALL);
        Ok(CreateClusterResponse { cluster: Some(cluster) })
    });
    let made = written.await?;
    // Nothing here needs it: whether it could be made changes nothing.
    service.store.ensure_service_linked_role(call, SERVICE).await;
    Ok(made)
}

struct Request {
    principal: String,
    name: ClusterName,
    settings: Option<Vec<cluster::ClusterSetting>>,
    configuration: Option<String>,
    capacity_providers: Vec<String>,
    default_strategy: Option<String>,
    tags: Tags,
}

impl Request {
    fn parse(call: &Call, scope: &Scope, input: CreateClusterRequest) -> Result<Self, Rejection> {
        if input.service_connect_defaults.is_some() {
            return Err(Rejection::not_built("serviceConnectDefaults"));
        }
        let capacity_providers = input.capacity_providers.unwrap_or_default();
        capacity_provider::check_names(&capacity_providers)?;
        let strategy = input.default_capacity_provider_strategy.unwrap_or_default();
        let strategy = capacity_provider::checked(strategy)?;
        capacity_provider::check_associated(&strategy, &capacity_providers)?;
        Ok(Self {
            principal: call.principal.arn(),
            name: names::cluster(scope, input.cluster_name.as_deref())?,
            settings: input.settings.map(settings).transpose()?,
            configuration: configuration(input.configuration),
            capacity_providers,
            default_strategy: capacity_provider::kept(strategy),
            tags: tags::parse(input.tags)?,
        })
    }

    fn create(self, tx: &mut Transaction<'_>, scope: &Scope) -> Result<Cluster, Rejection> {
        let key = ClusterKey::new(scope, self.name.clone());
        if let Some(cluster) = tx.clusters.get(&key)
            && cluster.status == ClusterStatus::Active
        {
            let asks_for_others = self.capacity_providers != cluster.capacity_providers
                || self.default_strategy != cluster.default_strategy;
            if asks_for_others && !self.capacity_providers.is_empty() {
                return Err(Rejection::invalid_parameter(NOT_IDEMPOTENT));
            }
            return Ok(Cluster::clone(cluster));
        }
        if tx.clusters.len() >= CLUSTERS_MAX {
            return Err(Rejection::client("The maximum number of clusters has been reached."));
        }
        let mut cluster = default_cluster::new_cluster(scope, self.name, tx.now_ms());
        cluster.settings = self.settings.unwrap_or_else(|| {
            let name = SettingName::ContainerInsights;
            let value = account_setting::effective(tx, scope, &self.principal, name);
            vec![cluster::ClusterSetting { name: name.as_str().to_owned(), value }]
        });
        cluster.configuration = self.configuration;
        cluster.capacity_providers = self.capacity_providers;
        cluster.default_strategy = self.default_strategy;
        cluster.tags = self.tags;
        tx.put(cluster.clone());
        Ok(cluster)
    }
}

/// Checks `settings` of a cluster.
///
/// # Errors
/// `InvalidParameterException`.
pub(super) fn settings(
    list: Vec<ClusterSetting>,
) -> Result<Vec<cluster::ClusterSetting>, Rejection> {
    list.into_iter()
        .map(|setting| {
            let value = setting.value.unwrap_or_default();
            let Some(name) = setting.name else {
                return Err(Rejection::invalid_parameter("Setting name can not be blank."));
            };
            if !CONTAINER_INSIGHTS_VALUES.contains(&value.as_str()) {
                return Err(Rejection::invalid_parameter(format!(
                    "Invalid value '{value}' for setting {name}. Must be one of [{}]",
                    CONTAINER_INSIGHTS_VALUES.join(", ")
                )));
            }
            Ok(cluster::ClusterSetting { name: name.as_str().to_owned(), value })
        })
        .collect()
}

/// The text that a cluster keeps of its configuration.
pub(super) fn configuration(configuration: Option<ClusterConfiguration>) -> Option<String> {
    configuration.map(|configuration| to_json(&configuration))
}

#[cfg(test)]
mod tests {
    use outport_identity::testing::WatchedPermissions;
    use outport_model::iam::Role;
    use serde_json::json;

    use crate::testing::World;

    /// As on AWS, a caller who may not make the role makes the cluster without it.
    #[tokio::test]
    async fn the_first_cluster_or_service_brings_the_role_of_ecs_if_the_caller_may() {
        let arn = "arn:aws:iam::000000000000:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
        let mut world = World::new();
        let roles = |world: &World| -> Vec<String> {
            world
                .store
                .snapshot()
                .roles
                .iter()
                .map(|role: &std::sync::Arc<Role>| role.arn())
                .collect()
        };
        let watched = WatchedPermissions::new(|asked| !asked.action.starts_with("iam:"));
        world.ask(watched.clone());
        world.call("CreateCluster", json!({"clusterName": "a"})).await;
        let asked =
            watched.asked().into_iter().find(|asked| asked.action.starts_with("iam:")).unwrap();
        assert_eq!(
            (asked.action.as_str(), asked.resource.as_str()),
            ("iam:CreateServiceLinkedRole", arn)
        );
        assert_eq!(asked.context.get("iam:AWSServiceName"), Some(&"ecs.amazonaws.com".into()));
        assert!(roles(&world).is_empty());
        let watched = WatchedPermissions::allowing();
        world.ask(watched.clone());
        world.call("CreateCluster", json!({"clusterName": "b"})).await;
        assert_eq!(roles(&world), [arn]);
        watched.asked();
        world.call("CreateCluster", json!({"clusterName": "c"})).await;
        assert!(watched.asked().iter().all(|asked| !asked.action.starts_with("iam:")));
    }

    #[tokio::test]
    async fn a_cluster_is_made_once() {
        let world = World::new();
        let input = json!({"clusterName": "web", "tags": [{"key": "team", "value": "a"}]});
        let expected = json!({"cluster": {
            "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/web",
            "clusterName": "web",
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": 0,
            "pendingTasksCount": 0,
            "activeServicesCount": 0,
            "statistics": [],
            "tags": [{"key": "team", "value": "a"}],
            "settings": [{"name": "containerInsights", "value": "disabled"}],
            "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        }});
        world.check("CreateCluster", input.clone(), expected.clone()).await;
        let version = world.store.snapshot().version();
        world.check("CreateCluster", input, expected).await;
        assert_eq!(world.store.snapshot().version(), version, "the second call changes nothing");
    }

    #[tokio::test]
    async fn the_default_name_is_default() {
        let world = World::new();
        world
            .check("CreateCluster", json!({}), json!({"cluster": {"clusterName": "default"}}))
            .await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (input, message) in [
            (
                json!({"clusterName": "a b"}),
                r"Cluster must match ^[a-zA-Z0-9\-_]{1,255}$, but was a b",
            ),
            (
                json!({"capacityProviders": ["mine"]}),
                "The specified capacity provider 'mine' was not found. Specify a valid name or ARN and try again.",
            ),
            (
                json!({"settings": [{"name": "containerInsights", "value": "maybe"}]}),
                "Invalid value 'maybe' for setting containerInsights. Must be one of [disabled, enabled, enhanced]",
            ),
        ] {
            world.refuses("CreateCluster", input, "InvalidParameterException", message).await;
        }
        let input = json!({"serviceConnectDefaults": {"namespace": "x"}});
        let message = "serviceConnectDefaults is not supported by this version of Outport. See /_outport/compatibility at this endpoint.";
        world.refuses("CreateCluster", input, "UnsupportedFeatureException", message).await;
    }
}
