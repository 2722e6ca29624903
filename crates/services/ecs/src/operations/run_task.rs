//! `RunTask`: place and start standalone tasks.
//!
//! The whole of the request is decided and committed in one transaction. Tasks that find no place are `failures[]` and
//! leave no trace.

use std::collections::BTreeSet;

use outport_aws_ecs::{Failure, PropagateTags, RunTaskRequest, RunTaskResponse, TaskOverride};
use outport_identity::{Call, ConditionContext};
use outport_model::network::AwsvpcConfiguration;
use outport_model::task::{Task, TaskOverrides};
use outport_model::task_definition::{LaunchType, TaskDefinition};
use outport_model::{Arn, ClusterName, NewIds, Scope, Tags, TaskId};
use outport_planner::{Settings, StartRequest, Unplaceable, placement, task_start};
use outport_store::keys::TaskKey;
use outport_store::{Tables, Transaction};

use crate::capacity_provider::Capacity;
use crate::idempotency::ClientToken;
use crate::names::TaskDefinitionName;
use crate::views::task::view;
use crate::{
    EcsService, Rejection, access, launch, lookup, names, network_configuration, tags,
    task_overrides,
};

/// Source: botocore's documentation of `RunTaskRequest.count`.
const TASKS_PER_CALL_MAX: i32 = 10;
/// Source: botocore's documentation of `RunTaskRequest.clientToken`.
const CLIENT_TOKEN_LENGTH_MAX: usize = 64;
/// Source: botocore's documentation of `RunTaskRequest.startedBy`.
const STARTED_BY_LENGTH_MAX: usize = 128;
const GROUP_LENGTH_MAX: usize = 255;
const OPERATION: &str = "RunTask";

pub async fn run_task(
    service: &EcsService,
    call: &Call,
    input: RunTaskRequest,
) -> Result<RunTaskResponse, Rejection> {
    let scope = access::scope(call);
    let request = Request::parse(&service.snapshot(), &scope, input)?;
    request.authorize(service, call, &scope)?;
    service.write(|tx| request.start(tx, &scope, &service.settings)).await
}

struct Request {
    cluster: ClusterName,
    definition: Option<TaskDefinitionName>,
    count: i32,
    launch_type: LaunchType,
    capacity_provider: Option<String>,
    platform_version: Option<String>,
    group: Option<String>,
    started_by: Option<String>,
    network: Option<outport_aws_ecs::NetworkConfiguration>,
    overrides: Option<TaskOverride>,
    tags: Tags,
    propagates_tags: bool,
    adds_managed_tags: bool,
    token: Option<ClientToken>,
}

impl Request {
    fn parse(tables: &Tables, scope: &Scope, mut input: RunTaskRequest) -> Result<Self, Rejection> {
        let token = input.client_token.take();
        let token = ClientToken::parse(token, CLIENT_TOKEN_LENGTH_MAX, &input)?;
        let count = input.count.unwrap_or(1);
        if !(1..=TASKS_PER_CALL_MAX).contains(&count) {
            return Err(Rejection::invalid_parameter(format!(
                "count must be between 1 and {TASKS_PER_CALL_MAX}."
            )));
        }
        let cluster = names::cluster(scope, input.cluster.as_deref())?;
        let definition = launch::definition_name(scope, input.task_definition.as_deref())?;
        let strategy = input.capacity_provider_strategy.as_deref();
        let capacity = Capacity::of(tables, scope, &cluster, strategy, input.launch_type)?;
        let launch_type = capacity.launch_type;
        launch::check_placement(
            input.placement_constraints.as_deref(),
            input.placement_strategy.as_deref(),
            launch_type,
        )?;
        check_built(&input)?;
        check_texts(&input)?;
        Ok(Self {
            cluster,
            definition,
            count,
            launch_type,
            capacity_provider: capacity.provider(),
            platform_version: launch::platform_version(
                input.platform_version.as_deref(),
                launch_type,
            )?,
            group: input.group.filter(|group| !group.is_empty()),
            started_by: input.started_by.filter(|name| !name.is_empty()),
            network: input.network_configuration,
            overrides: input.overrides.map(task_overrides::without_blanks),
            tags: tags::parse(input.tags)?,
            propagates_tags: input.propagate_tags == Some(PropagateTags::TaskDefinition),
            adds_managed_tags: input.enable_ecs_managed_tags == Some(true),
            token,
        })
    }

    fn authorize(&self, service: &EcsService, call: &Call, scope: &Scope) -> Result<(), Rejection> {
        let tables = service.snapshot();
        let name = self.definition.as_ref();
        let row = name.and_then(|name| lookup::task_definition(&tables, scope, name));
        let resource = match (row, name) {
            (Some(row), _) => Arn::task_definition(scope, &row.family, row.revision).to_string(),
            (None, Some(name)) => {
                Arn::task_definition(scope, &name.family, name.revision.unwrap_or(0)).to_string()
            }
            (None, None) => return Err(Rejection::client("TaskDefinition not found.")),
        };
        let awsvpc =
            self.network.as_ref().and_then(|network| network.awsvpc_configuration.as_ref());
        let context: ConditionContext = access::cluster_context(scope, &self.cluster)
            .with("ecs:enable-execute-command", false)
            .with_optional("ecs:subnet", awsvpc.and_then(|awsvpc| awsvpc.subnets.clone()))
            .with_request_tags(tags::pairs(&self.tags))
            .with_resource_tags(row.into_iter().flat_map(|row| tags::pairs(&row.tags)));
        call.authorize("ecs:RunTask", &resource, &context)?;
        let tasks = Arn::of("ecs", scope, format!("task/{}/*", self.cluster));
        access::tag_on_create(call, OPERATION, &tasks, &self.tags)?;
        if let Some(row) = row {
            launch::pass_roles(call, row)?;
        }
        match self.overrides.as_ref().and_then(|overrides| overrides.execution_role_arn.as_ref()) {
            Some(role) => access::pass_role(call, role),
            None => Ok(()),
        }
    }

    fn start(
        self,
        tx: &mut Transaction<'_>,
        scope: &Scope,
        settings: &Settings,
    ) -> Result<RunTaskResponse, Rejection> {
        if let Some(made) = recalled(self.token.as_ref(), tx, scope)? {
            return Ok(answer_again(tx, scope, &self.cluster, &made));
        }
        lookup::active_cluster(tx, scope, &self.cluster)?;
        let definition =
            launch::definition(tx, scope, self.definition.as_ref(), Rejection::InvalidParameter)?;
        let definition = TaskDefinition::clone(definition);
        launch::check_definition(&definition, self.launch_type)?;
        let mode = definition.network_mode;
        let network = network_configuration::resolve(
            tx,
            scope,
            self.network.as_ref(),
            mode,
            self.launch_type,
        )?;
        let overrides =
            task_overrides::parse(self.overrides.clone(), &definition, self.launch_type)?;
        let tags = self.task_tags(&definition)?;
        let request = self.start_request(&definition, &network, &overrides, tags);
        let (tasks, failures) =
            start_all(tx, scope, &request, self.count.unsigned_abs(), settings)?;
        // A request that found no place made nothing: the next one with its token may.
        if let Some(token) = self.token.filter(|_| !tasks.is_empty()) {
            let ids = tasks.iter().map(|task| task.id.to_string()).collect();
            token.remember(tx, scope, OPERATION, ids);
        }
        Ok(RunTaskResponse {
            tasks: Some(tasks.iter().map(|task| view(tx, task, true)).collect()),
            failures: Some(failures),
        })
    }

    /// Given tags win over the definition's. Source: "Tagging your Amazon ECS resources", tag propagation.
    fn task_tags(&self, definition: &TaskDefinition) -> Result<Tags, Rejection> {
        let mut all = if self.propagates_tags { definition.tags.clone() } else { Tags::new() };
        all.extend(self.tags.clone());
        tags::check_count(&all)?;
        if self.adds_managed_tags {
            all.insert(tags::CLUSTER_NAME_TAG.to_owned(), self.cluster.to_string());
        }
        Ok(all)
    }

    fn start_request<'a>(
        &'a self,
        definition: &'a TaskDefinition,
        network: &'a AwsvpcConfiguration,
        overrides: &'a TaskOverrides,
        tags: Tags,
    ) -> StartRequest<'a> {
        let family = || format!("family:{}", definition.family);
        StartRequest {
            definition,
            cluster: &self.cluster,
            launch_type: self.launch_type,
            capacity_provider: self.capacity_provider.clone(),
            platform_version: self.platform_version.clone(),
            group: self.group.clone().unwrap_or_else(family),
            started_by: self.started_by.clone(),
            service: None,
            overrides,
            network,
            image_digests: &[],
            enable_execute_command: false,
            tags,
            troubled: const { &BTreeSet::new() },
        }
    }
}

fn check_built(input: &RunTaskRequest) -> Result<(), Rejection> {
    if input.enable_execute_command == Some(true) {
        return Err(Rejection::not_built("enableExecuteCommand"));
    }
    if input.volume_configurations.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(Rejection::not_built("volumeConfigurations"));
    }
    Ok(())
}

fn check_texts(input: &RunTaskRequest) -> Result<(), Rejection> {
    let group = input.group.as_deref().unwrap_or_default();
    if group.len() > GROUP_LENGTH_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "group can have at most {GROUP_LENGTH_MAX} characters."
        )));
    }
    if group.starts_with("service:") {
        return Err(Rejection::invalid_parameter("Invalid namespace for group."));
    }
    let started_by = input.started_by.as_deref().unwrap_or_default();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/ .:@+=".contains(&byte);
    if started_by.len() > STARTED_BY_LENGTH_MAX || !started_by.bytes().all(is_allowed) {
        return Err(Rejection::invalid_parameter(format!(
            "startedBy can have at most {STARTED_BY_LENGTH_MAX} letters, numbers, hyphens, forward slashes and underscores."
        )));
    }
    if input.propagate_tags == Some(PropagateTags::Service) {
        return Err(Rejection::invalid_parameter(
            "propagateTags SERVICE is not supported for RunTask.",
        ));
    }
    Ok(())
}

fn recalled(
    token: Option<&ClientToken>,
    tx: &Transaction<'_>,
    scope: &Scope,
) -> Result<Option<Vec<String>>, Rejection> {
    match token {
        Some(token) => token.recall(tx, scope, OPERATION),
        None => Ok(None),
    }
}

/// The tasks that the first request made, as they are now.
fn answer_again(
    tx: &Transaction<'_>,
    scope: &Scope,
    cluster: &ClusterName,
    ids: &[String],
) -> RunTaskResponse {
    let key = |id: &String| TaskKey::new(scope, cluster.clone(), TaskId::new(id.clone()));
    let tasks = ids.iter().filter_map(|id| tx.tasks.get(&key(id)));
    RunTaskResponse {
        tasks: Some(tasks.map(|task| view(tx, task, true)).collect()),
        failures: Some(Vec::new()),
    }
}

/// Starts as many tasks as are asked for, each on the state that the ones before it left.
fn start_all(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    request: &StartRequest<'_>,
    count: u32,
    settings: &Settings,
) -> Result<(Vec<Task>, Vec<Failure>), Rejection> {
    let (started, rejection) = {
        let mut spaces = tx.subnet_spaces(scope, &request.network.subnets);
        let made = (&*tx as &dyn NewIds, tx.now_ms());
        let rooms = tx.rooms.clone();
        task_start::start_many(request, count, rooms, &mut spaces, made, settings)
    };
    let failures = match rejection {
        Some(rejection) if rejection.reason == Unplaceable::NoContainerInstances => {
            return Err(Rejection::invalid_parameter(rejection.reason.to_string()));
        }
        Some(rejection) => failures_of(scope, request.cluster, &rejection),
        None => Vec::new(),
    };
    let tasks = started.iter().map(|started| started.task.clone()).collect();
    for started in started {
        tx.put_started(started);
    }
    Ok((tasks, failures))
}

/// One failure per container instance that was looked at; Fargate has none and gives the reason alone.
fn failures_of(
    scope: &Scope,
    cluster: &ClusterName,
    rejection: &placement::Rejection,
) -> Vec<Failure> {
    if rejection.instances.is_empty() {
        return vec![Failure { reason: Some(rejection.reason.to_string()), ..Failure::default() }];
    }
    let of = |id| Some(Arn::container_instance(scope, cluster, id).to_string());
    rejection
        .instances
        .iter()
        .map(|(id, reason)| Failure {
            arn: of(id),
            reason: Some(reason.to_string()),
            detail: reason.detail(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
