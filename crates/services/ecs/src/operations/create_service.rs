//! `CreateService`: a service and its first deployment; the service controller starts the tasks.

use outport_aws_ecs as wire;
use outport_aws_ecs::{CreateServiceRequest, CreateServiceResponse};
use outport_aws_wire::to_json;
use outport_identity::{Call, Subject};
use outport_model::deployment_configuration::DeploymentConfiguration;
use outport_model::network::AwsvpcConfiguration;
use outport_model::placement::PlacementRules;
use outport_model::service::{SchedulingStrategy, Service, ServiceStatus, StartThrottle};
use outport_model::task_definition::{LaunchType, TaskDefinition};
use outport_model::{ClusterName, Scope, ServiceName, Tags, TimestampMs};
use outport_store::{Tables, Transaction};

use crate::capacity_provider::Capacity;
use crate::idempotency::ClientToken;
use crate::launch::Runnable;
use crate::names::TaskDefinitionName;
use crate::resource::Resource;
use crate::service_request::{self, Unbuilt};
use crate::task_definition::Workloads;
use crate::views::service::view;
use crate::{
    EcsService, Rejection, access, deployment_configuration, launch, lookup, names,
    network_configuration, placement, service_deployment, tags,
};

/// Source: botocore's documentation of `CreateServiceRequest.clientToken`.
const CLIENT_TOKEN_LENGTH_MAX: usize = 36;
/// Source: "Amazon ECS service quotas", services per cluster.
const SERVICES_PER_CLUSTER_MAX: usize = 5_000;
const OPERATION: &str = "CreateService";
const NOT_IDEMPOTENT: &str = "Creation of service was not idempotent.";
/// For who may not make it, in an account that lacks it. Source: answers of CreateService, as callers report them.
const NO_SERVICE_LINKED_ROLE: &str = "Unable to assume the service linked role. Please verify that the ECS service linked role exists.";

pub async fn create_service(
    service: &EcsService,
    call: &Call,
    input: CreateServiceRequest,
) -> Result<CreateServiceResponse, Rejection> {
    let scope = access::scope(call);
    let request = Request::parse(&scope, input)?;
    let look = |tables: &Tables| request.look(tables, &service.workloads, &scope);
    if service.store.lacks_service_linked_role(call, service_request::SERVICE) {
        // Made for who may make the service, only.
        let _found = service.store.read(call, look)?;
        if !service.store.ensure_service_linked_role(call, service_request::SERVICE).await {
            return Err(Rejection::invalid_parameter(NO_SERVICE_LINKED_ROLE));
        }
    }
    let created_by = call.principal.arn();
    service.store.write(call, look, |tx, found| request.create(tx, &scope, found, created_by)).await
}

/// What is found of a request in the store.
type Found = (Runnable, Result<Capacity, Rejection>);

struct Request {
    cluster: ClusterName,
    name: ServiceName,
    definition: Option<TaskDefinitionName>,
    desired_count: u32,
    configuration: DeploymentConfiguration,
    network: Option<wire::NetworkConfiguration>,
    grace_period_s: Option<u32>,
    tags: Tags,
    token: Option<ClientToken>,
    input: CreateServiceRequest,
}

impl Request {
    fn parse(scope: &Scope, mut input: CreateServiceRequest) -> Result<Self, Rejection> {
        let token = input.client_token.take();
        let token = ClientToken::parse(token, CLIENT_TOKEN_LENGTH_MAX, &input)?;
        let cluster = names::cluster(scope, input.cluster.as_deref())?;
        let name = input.service_name.clone().unwrap_or_default();
        if !names::is_name(&name) {
            return Err(Rejection::invalid_parameter(format!(
                "Service name must match ^[a-zA-Z0-9\\-_]{{1,255}}$, but was {name}"
            )));
        }
        deployment_configuration::check_controller(input.deployment_controller.as_ref())?;
        let definition = launch::definition_name(scope, input.task_definition.as_deref())?;
        check_strategy(&input)?;
        service_request::check_built(&Unbuilt::of_create(&input))?;
        if input.role.as_ref().is_some_and(|role| !role.is_empty()) {
            return Err(Rejection::invalid_parameter(
                "You cannot specify an IAM role for services that require a service linked role.",
            ));
        }
        let Some(desired_count) = input.desired_count else {
            return Err(Rejection::invalid_parameter(
                "Desired count must be specified for services with the REPLICA scheduling strategy.",
            ));
        };
        Ok(Self {
            cluster,
            name: ServiceName::new(name),
            definition,
            desired_count: service_request::desired_count(desired_count)?,
            configuration: deployment_configuration::apply(
                deployment_configuration::default(),
                input.deployment_configuration.as_ref(),
            )?,
            network: input.network_configuration.take().map(service_deployment::shown_network),
            grace_period_s: service_request::grace_period_s(
                input.health_check_grace_period_seconds,
            )?,
            tags: tags::parse(input.tags.take())?,
            token,
            input,
        })
    }

    fn look(&self, tables: &Tables, workloads: &Workloads, scope: &Scope) -> Subject<Found> {
        let strategy = self.input.capacity_provider_strategy.as_deref();
        let capacity = Capacity::of(tables, scope, &self.cluster, strategy, self.input.launch_type);
        let resource = Resource::service(scope, &self.cluster, &self.name);
        let tags = access::tag_on_create(OPERATION, &resource.arn(), &self.tags);
        let named = self.definition.as_ref();
        let runnable = Runnable::look(tables, workloads, scope, named, |definition| {
            let question = resource.question(tables, "ecs:CreateService");
            let question = access::of_task_definition(question, definition);
            let provider = capacity.as_ref().ok().and_then(Capacity::provider);
            access::of_network(question, self.network.as_ref())
                .with_optional("ecs:capacity-provider", provider)
                .with("ecs:enable-ebs-volumes", false)
                .with("ecs:enable-ecs-managed-tags", self.adds_managed_tags())
                .with("ecs:enable-execute-command", false)
                .with("ecs:enable-service-connect", false)
                .with("ecs:enable-vpc-lattice", false)
                .with_optional(
                    "ecs:propagate-tags",
                    self.input.propagate_tags.map(|from| from.as_str()),
                )
                .with_request_tags(&self.tags)
        });
        runnable.and_all(tags).beside(capacity)
    }

    fn adds_managed_tags(&self) -> bool {
        self.input.enable_ecs_managed_tags == Some(true)
    }

    fn create(
        &self,
        tx: &mut Transaction<'_>,
        scope: &Scope,
        (runnable, capacity): Found,
        created_by: String,
    ) -> Result<CreateServiceResponse, Rejection> {
        let capacity = capacity?;
        let launch_type = capacity.launch_type;
        let input = &self.input;
        let rules = placement::parse(
            input.placement_constraints.as_deref(),
            input.placement_strategy.as_deref(),
            launch_type,
        )?;
        let rules = rules.over(PlacementRules::default());
        let platform_version =
            launch::platform_version(input.platform_version.as_deref(), launch_type)?;
        let cluster = lookup::active_cluster(tx, scope, &self.cluster)?.name.clone();
        if let Some(existing) = self.existing(tx, scope)? {
            let shown = view(tx, &existing, true);
            return Ok(CreateServiceResponse { service: Some(shown) });
        }
        let key = outport_store::keys::ClusterKey::new(scope, cluster);
        if tx.services.in_cluster(&key).len() >= SERVICES_PER_CLUSTER_MAX {
            return Err(Rejection::client(
                "The maximum number of services of the cluster has been reached.",
            ));
        }
        let definition = runnable.active(Rejection::Client)?;
        launch::check_definition(definition, launch_type)?;
        placement::check_count(&rules, &definition.workload.member_of)?;
        let mode = definition.workload.network_mode;
        let given = self.network.as_ref();
        let network = network_configuration::resolve(tx, scope, given, mode, launch_type)?;
        let definition = &definition.row;
        let new = New { definition, capacity, rules, platform_version, network, created_by };
        let mut row = self.row(scope, new, tx.now_ms());
        service_deployment::begin(tx, &mut row, self.network.clone());
        if let Some(token) = self.token.clone() {
            token.remember(tx, scope, OPERATION, vec![row.name.to_string()]);
        }
        Ok(CreateServiceResponse { service: Some(view(tx, &row, true)) })
    }

    /// The service that the same request made before.
    ///
    /// # Errors
    /// `InvalidParameterException` when there is one that this request did not make.
    fn existing(&self, tx: &Transaction<'_>, scope: &Scope) -> Result<Option<Service>, Rejection> {
        let not_idempotent = || Rejection::invalid_parameter(NOT_IDEMPOTENT);
        let recalled = match &self.token {
            Some(token) => token.recall(tx, scope, OPERATION).map_err(|_| not_idempotent())?,
            None => None,
        };
        let Some(row) = lookup::service(tx, scope, &self.cluster, &self.name) else {
            return Ok(None);
        };
        match row.status {
            ServiceStatus::Active if recalled.is_some() => Ok(Some(Service::clone(row))),
            ServiceStatus::Active => Err(not_idempotent()),
            ServiceStatus::Draining => Err(Rejection::invalid_parameter(
                "Unable to Start a service that is still Draining.",
            )),
            ServiceStatus::Inactive => Ok(None),
        }
    }

    fn row(&self, scope: &Scope, new: New<'_>, created_at_ms: TimestampMs) -> Service {
        let New { definition, capacity, rules, platform_version, network, created_by } = new;
        let input = &self.input;
        let is_fargate = capacity.launch_type == LaunchType::Fargate;
        let given_version = input.platform_version.clone().filter(|text| !text.is_empty());
        let kept = wire::Service {
            capacity_provider_strategy: capacity.strategy,
            platform_version: given_version.or_else(|| is_fargate.then(|| "LATEST".to_owned())),
            network_configuration: self.network.clone(),
            ..wire::Service::default()
        };
        let rebalancing = input.availability_zone_rebalancing;
        Service {
            scope: scope.clone(),
            cluster: self.cluster.clone(),
            name: self.name.clone(),
            status: ServiceStatus::Active,
            family: definition.family.clone(),
            revision: definition.revision,
            desired_count: self.desired_count,
            launch_type: capacity.launch_type,
            platform_version,
            scheduling_strategy: SchedulingStrategy::Replica,
            configuration: self.configuration.clone(),
            network,
            health_check_grace_period_s: self.grace_period_s,
            enable_ecs_managed_tags: self.adds_managed_tags(),
            enable_execute_command: false,
            propagate_tags: service_request::propagate_tags(input.propagate_tags),
            availability_zone_rebalancing: rebalancing
                != Some(wire::AvailabilityZoneRebalancing::Disabled),
            placement: rules,
            document: to_json(&kept),
            role_arn: Some(service_request::service_linked_role(scope)),
            created_by,
            created_at_ms,
            deleted_at_ms: None,
            tags: self.tags.clone(),
            deployments: Vec::new(),
            events: Vec::new(),
            throttle: StartThrottle::default(),
        }
    }
}

/// What a new service is made of beside its request.
struct New<'a> {
    definition: &'a TaskDefinition,
    capacity: Capacity,
    rules: PlacementRules,
    platform_version: Option<String>,
    network: AwsvpcConfiguration,
    created_by: String,
}

/// DAEMON is refused in AWS's words where AWS does, and else because it is not built.
fn check_strategy(input: &CreateServiceRequest) -> Result<(), Rejection> {
    if input.scheduling_strategy != Some(wire::SchedulingStrategy::Daemon) {
        return Ok(());
    }
    if input.desired_count.is_some() {
        return Err(Rejection::invalid_parameter(
            "The daemon scheduling strategy does not support a desired count for services.",
        ));
    }
    Err(Rejection::not_built("schedulingStrategy DAEMON"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{World, assert_has};

    fn input() -> Value {
        json!({
            "serviceName": "web", "taskDefinition": "app", "desiredCount": 3, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}},
        })
    }

    #[tokio::test]
    async fn a_service_is_answered_as_aws_does() {
        let world = World::new();
        world.register("app", json!({})).await;
        let answer = world.call("CreateService", input()).await;
        let arn =
            |kind: &str, rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{kind}/{rest}");
        let network = json!({"awsvpcConfiguration": {
            "subnets": ["subnet-0"], "securityGroups": [], "assignPublicIp": "DISABLED",
        }});
        let service = &answer["service"];
        let expected = json!({
            "serviceArn": arn("service", "default/web"),
            "serviceName": "web",
            "clusterArn": arn("cluster", "default"),
            "loadBalancers": [], "serviceRegistries": [],
            "status": "ACTIVE",
            "desiredCount": 3, "runningCount": 0, "pendingCount": 0,
            "launchType": "FARGATE", "platformVersion": "LATEST", "platformFamily": "Linux",
            "taskDefinition": arn("task-definition", "app:1"),
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": false, "rollback": false},
                "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING",
            },
            "deployments": [{
                "status": "PRIMARY", "taskDefinition": arn("task-definition", "app:1"),
                "desiredCount": 3, "pendingCount": 0, "runningCount": 0, "failedTasks": 0,
                "createdAt": world.now_s(), "updatedAt": world.now_s(),
                "launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux",
                "networkConfiguration": network, "rolloutState": "IN_PROGRESS",
            }],
            "roleArn": "arn:aws:iam::000000000000:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            "events": [], "createdAt": world.now_s(),
            "placementConstraints": [], "placementStrategy": [],
            "networkConfiguration": network,
            "schedulingStrategy": "REPLICA", "deploymentController": {"type": "ECS"},
            "createdBy": "arn:aws:iam::000000000000:root",
            "enableECSManagedTags": false, "propagateTags": "NONE", "enableExecuteCommand": false,
            "availabilityZoneRebalancing": "ENABLED",
        });
        assert_has(service, &expected, "service");
        // Terraform finds the service deployment of a deployment by the number behind `ecs-svc/`.
        let id = service["deployments"][0]["id"].as_str().unwrap();
        let number = id.strip_prefix("ecs-svc/").unwrap();
        let listed = world.call("ListServiceDeployments", json!({"service": "web"})).await;
        let brief = &listed["serviceDeployments"][0];
        let target = brief["targetServiceRevisionArn"].as_str().unwrap();
        assert_eq!(target, arn("service-revision", &format!("default/web/{number}")));
        assert_eq!(brief["serviceDeploymentArn"], service["currentServiceDeployment"]);
        let state = world.store.snapshot();
        let row = state.services.iter().next().unwrap();
        assert_eq!(row.network.security_groups, ["sg-0"], "the default security group stands in");
    }

    #[tokio::test]
    async fn only_the_same_token_makes_it_idempotent() {
        let world = World::new();
        world.register("app", json!({})).await;
        let mut given = input();
        given["clientToken"] = json!("token");
        let first = world.call("CreateService", given.clone()).await;
        assert_eq!(world.call("CreateService", given.clone()).await, first);
        let message = "Creation of service was not idempotent.";
        world.refuses("CreateService", input(), "InvalidParameterException", message).await;
        given["desiredCount"] = json!(4);
        world.refuses("CreateService", given, "InvalidParameterException", message).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        world.register("app", json!({})).await;
        let invalid = "InvalidParameterException";
        let unsupported = "UnsupportedFeatureException";
        let not_built = |what: &str| {
            format!(
                "{what} is not supported by this version of Outport. See /_outport/compatibility at this endpoint."
            )
        };
        for (changes, exception, message) in [
            (
                json!({"cluster": "none"}),
                "ClusterNotFoundException",
                "Cluster not found.".to_owned(),
            ),
            (
                json!({"taskDefinition": "none"}),
                "ClientException",
                "TaskDefinition not found.".to_owned(),
            ),
            (
                json!({"serviceName": "a b"}),
                invalid,
                r"Service name must match ^[a-zA-Z0-9\-_]{1,255}$, but was a b".to_owned(),
            ),
            (
                json!({"desiredCount": -1}),
                invalid,
                "Desired count must not be negative.".to_owned(),
            ),
            (
                json!({"networkConfiguration": null}),
                invalid,
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
                    .to_owned(),
            ),
            (
                json!({"launchType": "EXTERNAL"}),
                invalid,
                "Task definition does not support launch_type EXTERNAL.".to_owned(),
            ),
            (
                json!({"schedulingStrategy": "DAEMON"}),
                invalid,
                "The daemon scheduling strategy does not support a desired count for services."
                    .to_owned(),
            ),
            (
                json!({"loadBalancers": [{"targetGroupArn": "x"}]}),
                unsupported,
                not_built("loadBalancers"),
            ),
            (
                json!({"serviceRegistries": [{"registryArn": "x"}]}),
                unsupported,
                not_built("serviceRegistries"),
            ),
            (
                json!({"serviceConnectConfiguration": {"enabled": true}}),
                unsupported,
                not_built("serviceConnectConfiguration"),
            ),
            (
                json!({"deploymentController": {"type": "EXTERNAL"}}),
                unsupported,
                not_built("The deployment controller EXTERNAL"),
            ),
            (json!({"enableExecuteCommand": true}), unsupported, not_built("enableExecuteCommand")),
        ] {
            let mut given = input();
            for (member, value) in changes.as_object().unwrap() {
                given[member] = value.clone();
            }
            world.refuses("CreateService", given, exception, &message).await;
        }
        assert!(world.store.snapshot().services.is_empty());
    }
}
