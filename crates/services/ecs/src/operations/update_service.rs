//! `UpdateService`: what is named changes, the rest stays. A change of what runs begins a new deployment; a change of
//! how many does not.

use outport_aws_ecs as wire;
use outport_aws_ecs::{UpdateServiceRequest, UpdateServiceResponse};
use outport_aws_wire::to_json;
use outport_identity::{Call, Question, Subject};
use outport_model::service::{Service, ServiceStatus};
use outport_model::task_definition::Workload;
use outport_model::{ClusterName, Scope, ServiceName};
use outport_store::{Tables, Transaction};

use crate::capacity_provider::{Capacity, provider};
use crate::launch::{Definition, Runnable};
use crate::names::TaskDefinitionName;
use crate::resource::Resource;
use crate::service_request::{self, Unbuilt};
use crate::task_definition::Workloads;
use crate::views::service::view;
use crate::views::stored;
use crate::{
    EcsService, Rejection, access, deployment_configuration, launch, lookup, names,
    network_configuration, placement, service_deployment,
};

const MUST_FORCE: &str = "When switching from launch type to capacity provider strategy on an existing service, or making a \
change to a capacity provider strategy on a service that is already using one, you must force a new deployment.";

pub async fn update_service(
    service: &EcsService,
    call: &Call,
    input: UpdateServiceRequest,
) -> Result<UpdateServiceResponse, Rejection> {
    let scope = access::scope(call);
    let request = Request::parse(&scope, input)?;
    let workloads = &service.workloads;
    let look = |tables: &Tables| request.look(tables, workloads, &scope);
    let update = |tx: &mut Transaction<'_>, named| request.update(tx, workloads, &scope, named);
    let updated = service.store.write_in_place(call, look, update).await?;
    service.store.ensure_service_linked_role(call, service_request::SERVICE).await;
    Ok(updated)
}

struct Request {
    cluster: ClusterName,
    name: ServiceName,
    /// The outer `None`: the request names none; the inner one: it cannot be here.
    definition: Option<Option<TaskDefinitionName>>,
    input: UpdateServiceRequest,
}

impl Request {
    fn parse(scope: &Scope, input: UpdateServiceRequest) -> Result<Self, Rejection> {
        let cluster = names::cluster(scope, input.cluster.as_deref())?;
        let text = input.service.as_deref().unwrap_or_default();
        let name = names::service(scope, &cluster, text)?.ok_or(Rejection::ServiceNotFound)?;
        let definition = input
            .task_definition
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| names::task_definition(scope, text))
            .transpose()?;
        if let Some(count) = input.desired_count {
            service_request::desired_count(count)?;
        }
        deployment_configuration::check_controller(input.deployment_controller.as_ref())?;
        service_request::check_built(&Unbuilt::of_update(&input))?;
        Ok(Self { cluster, name, definition, input })
    }

    fn look(
        &self,
        tables: &Tables,
        workloads: &Workloads,
        scope: &Scope,
    ) -> Subject<Option<Runnable>> {
        let resource = Resource::service(scope, &self.cluster, &self.name);
        let question = |definition: Option<&Definition>| {
            let question = resource.question(tables, "ecs:UpdateService");
            self.with_what_changes(access::of_task_definition(question, definition))
        };
        match &self.definition {
            Some(name) => Runnable::look(tables, workloads, scope, name.as_ref(), question).some(),
            None => Subject::new(None, question(None)),
        }
    }

    /// Only what the request names is asked about: the rest stays.
    fn with_what_changes(&self, question: Question) -> Question {
        let input = &self.input;
        let strategy = input.capacity_provider_strategy.as_deref();
        access::of_network(question, input.network_configuration.as_ref())
            .with_optional("ecs:capacity-provider", provider(strategy))
            .with_optional("ecs:enable-ecs-managed-tags", input.enable_ecs_managed_tags)
            .with_optional("ecs:enable-execute-command", input.enable_execute_command)
            .with_optional("ecs:propagate-tags", input.propagate_tags.map(|from| from.as_str()))
    }

    fn update(
        &self,
        tx: &mut Transaction<'_>,
        workloads: &Workloads,
        scope: &Scope,
        named: Option<Runnable>,
    ) -> Result<UpdateServiceResponse, Rejection> {
        lookup::active_cluster(tx, scope, &self.cluster)?;
        let row = lookup::service(tx, scope, &self.cluster, &self.name);
        let before = Service::clone(row.ok_or(Rejection::ServiceNotFound)?);
        if before.status != ServiceStatus::Active {
            return Err(Rejection::ServiceNotActive);
        }
        let mut row = before.clone();
        self.change_scale(&mut row)?;
        self.change_capacity(tx, scope, &mut row)?;
        let runs = Runnable::of_service(tx, workloads, &before);
        let definition = match &named {
            // It must be ACTIVE; the one that runs need not be.
            Some(named) => {
                let definition = named.active(Rejection::Client)?;
                launch::check_definition(definition, row.launch_type)?;
                definition
            }
            None => runs.definition()?,
        };
        row.family = definition.row.family.clone();
        row.revision = definition.row.revision;
        let given = self.change_placement(tx, scope, &mut row, &definition.workload)?;
        let is_forced = self.input.force_new_deployment == Some(true);
        if is_forced || runs_something_else(&before, &row) {
            launch::check_definition(definition, row.launch_type)?;
            service_deployment::begin(tx, &mut row, given);
        } else {
            tx.put(row.clone());
        }
        Ok(UpdateServiceResponse { service: Some(view(tx, &row, true)) })
    }

    /// How many tasks, how they are rolled over, and what they are marked with.
    fn change_scale(&self, row: &mut Service) -> Result<(), Rejection> {
        let input = &self.input;
        if let Some(count) = input.desired_count {
            row.desired_count = service_request::desired_count(count)?;
        }
        let configuration = input.deployment_configuration.as_ref();
        row.configuration =
            deployment_configuration::apply(row.configuration.clone(), configuration)?;
        let grace_period_s =
            service_request::grace_period_s(input.health_check_grace_period_seconds)?;
        row.health_check_grace_period_s = grace_period_s.or(row.health_check_grace_period_s);
        if let Some(adds) = input.enable_ecs_managed_tags {
            row.enable_ecs_managed_tags = adds;
        }
        if input.propagate_tags.is_some() {
            row.propagate_tags = service_request::propagate_tags(input.propagate_tags);
        }
        if let Some(rebalancing) = input.availability_zone_rebalancing {
            row.availability_zone_rebalancing =
                rebalancing == wire::AvailabilityZoneRebalancing::Enabled;
        }
        Ok(())
    }

    /// What the tasks run on. An empty strategy goes back to the launch type.
    ///
    /// # Errors
    /// `InvalidParameterException` for a change without a new deployment.
    fn change_capacity(
        &self,
        tx: &Transaction<'_>,
        scope: &Scope,
        row: &mut Service,
    ) -> Result<(), Rejection> {
        let Some(given) = self.input.capacity_provider_strategy.as_deref() else { return Ok(()) };
        let mut kept: wire::Service = stored(&row.document).unwrap_or_default();
        let launch_type = given
            .is_empty()
            .then(|| wire::LaunchType::from_name(row.launch_type.as_str()))
            .flatten();
        let capacity = Capacity::of(tx, scope, &self.cluster, Some(given), launch_type)?;
        let before = kept.capacity_provider_strategy.take();
        let is_changed = provider(before.as_deref()) != capacity.provider();
        if is_changed && self.input.force_new_deployment != Some(true) {
            return Err(Rejection::invalid_parameter(MUST_FORCE));
        }
        row.launch_type = capacity.launch_type;
        kept.capacity_provider_strategy = capacity.strategy;
        row.document = to_json(&kept);
        Ok(())
    }

    /// Where the tasks run. Gives the network configuration as callers gave it, now or before.
    fn change_placement(
        &self,
        tx: &Transaction<'_>,
        scope: &Scope,
        row: &mut Service,
        workload: &Workload,
    ) -> Result<Option<wire::NetworkConfiguration>, Rejection> {
        let input = &self.input;
        let given = placement::parse(
            input.placement_constraints.as_deref(),
            input.placement_strategy.as_deref(),
            row.launch_type,
        )?;
        // Tasks that run stay where they are: neither begins a deployment.
        row.placement = given.over(std::mem::take(&mut row.placement));
        placement::check_count(&row.placement, &workload.member_of)?;
        let mut kept: wire::Service = stored(&row.document).unwrap_or_default();
        if let Some(version) = input.platform_version.clone().filter(|text| !text.is_empty()) {
            row.platform_version = launch::platform_version(Some(&version), row.launch_type)?;
            kept.platform_version = Some(version);
        }
        if let Some(given) = &input.network_configuration {
            kept.network_configuration = Some(service_deployment::shown_network(given.clone()));
        }
        let given = kept.network_configuration.as_ref();
        let mode = workload.network_mode;
        row.network = network_configuration::resolve(tx, scope, given, mode, row.launch_type)?;
        row.document = to_json(&kept);
        Ok(kept.network_configuration)
    }
}

/// Whether tasks of the changed service differ from those that run.
fn runs_something_else(before: &Service, after: &Service) -> bool {
    before.family != after.family
        || before.revision != after.revision
        || before.network != after.network
        || before.platform_version != after.platform_version
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    async fn world() -> World {
        let world = World::new();
        for _ in 0..2 {
            world.register("app", json!({})).await;
        }
        world.create_service("web", "app:1", 2).await;
        world
    }

    #[tokio::test]
    async fn a_new_revision_begins_a_deployment() {
        let world = world().await;
        world.clock.advance(1000);
        let input = json!({"service": "web", "taskDefinition": "app:2"});
        let answer = world.call("UpdateService", input).await;
        let service = &answer["service"];
        let deployments = service["deployments"].as_array().unwrap();
        let states: Vec<_> = deployments
            .iter()
            .map(|one| {
                (
                    one["status"].as_str().unwrap(),
                    one["taskDefinition"].as_str().unwrap().rsplit('/').next().unwrap(),
                )
            })
            .collect();
        assert_eq!(states, [("PRIMARY", "app:2"), ("ACTIVE", "app:1")]);
        assert_eq!(service["desiredCount"], 2, "what is not named stays");
        assert_eq!(deployments[0]["createdAt"], world.now_s());
        let listed = world.call("ListServiceDeployments", json!({"service": "web"})).await;
        assert_eq!(listed["serviceDeployments"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_new_count_does_not() {
        let world = world().await;
        let input = json!({"service": "web", "desiredCount": 5, "deploymentConfiguration": {"minimumHealthyPercent": 50}});
        let expected = json!({"service": {
            "desiredCount": 5,
            "deployments": [{"status": "PRIMARY", "desiredCount": 5}],
            "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 200},
        }});
        world.check("UpdateService", input, expected).await;
    }

    #[tokio::test]
    async fn a_forced_deployment_begins_again() {
        let world = world().await;
        let input = json!({"service": "web", "forceNewDeployment": true});
        let expected =
            json!({"service": {"deployments": [{"status": "PRIMARY"}, {"status": "ACTIVE"}]}});
        world.check("UpdateService", input, expected).await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = world().await;
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:2"})).await;
        for (input, exception, message) in [
            (json!({"service": "none"}), "ServiceNotFoundException", "Service not found."),
            (
                json!({"service": "web", "cluster": "none"}),
                "ClusterNotFoundException",
                "Cluster not found.",
            ),
            (
                json!({"service": "web", "taskDefinition": "app:2"}),
                "ClientException",
                "TaskDefinition is inactive",
            ),
            (
                json!({"service": "web", "desiredCount": -1}),
                "InvalidParameterException",
                "Desired count must not be negative.",
            ),
        ] {
            world.refuses("UpdateService", input, exception, message).await;
        }
        world.call("DeleteService", json!({"service": "web", "force": true})).await;
        let message = "Service was not ACTIVE.";
        world
            .refuses(
                "UpdateService",
                json!({"service": "web"}),
                "ServiceNotActiveException",
                message,
            )
            .await;
    }

    #[tokio::test]
    async fn a_deregistered_revision_can_still_be_scaled() {
        let world = world().await;
        world.call("DeregisterTaskDefinition", json!({"taskDefinition": "app:1"})).await;
        world
            .check(
                "UpdateService",
                json!({"service": "web", "desiredCount": 4}),
                json!({"service": {"desiredCount": 4}}),
            )
            .await;
    }
}
