//! `RunTask`: place and start standalone tasks.
//!
//! The whole of the request is decided and committed in one transaction. Tasks that find no place are `failures[]` and
//! leave no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use outport_aws_ecs::{Failure, PropagateTags, RunTaskRequest, RunTaskResponse, TaskOverride};
use outport_identity::{Call, Question, Subject};
use outport_model::capacity::NoPlacedTasks;
use outport_model::network::AwsvpcConfiguration;
use outport_model::placement::PlacementRules;
use outport_model::task::{Task, TaskOverrides};
use outport_model::task_definition::{LaunchType, TaskDefinition, Workload};
use outport_model::{Arn, ClusterName, NewIds, Scope, Tags, TaskId};
use outport_planner::placement::{Rejection as NoPlace, Rules};
use outport_planner::{Settings, StartRequest, Unplaceable, task_role, task_start};
use outport_store::keys::{ClusterKey, TaskKey};
use outport_store::{Tables, Transaction};

use crate::capacity_provider::Capacity;
use crate::idempotency::ClientToken;
use crate::launch::{Definition, Runnable};
use crate::names::TaskDefinitionName;
use crate::resource::Resource;
use crate::task_definition::Workloads;
use crate::views::task::TaskViews;
use crate::{
    EcsService, Rejection, access, launch, lookup, names, network_configuration, placement, tags,
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
static NO_RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

pub async fn run_task(
    service: &EcsService,
    call: &Call,
    input: RunTaskRequest,
) -> Result<RunTaskResponse, Rejection> {
    let scope = access::scope(call);
    let request = Request::parse(&scope, input)?;
    let look = |tables: &Tables| request.look(tables, &service.workloads, &scope);
    let start = |tx: &mut Transaction<'_>, found| request.start(tx, service, &scope, found);
    service.store.write(call, look, start).await
}

/// What is found of a request in the store.
pub(super) type Found = (Runnable, Result<Capacity, Rejection>);

/// A request of RunTask or StartTask.
pub(super) struct Request {
    /// `ecs:RunTask`, as policies have it.
    action: &'static str,
    operation: &'static str,
    pub(super) cluster: ClusterName,
    definition: Option<TaskDefinitionName>,
    count: i32,
    input: RunTaskRequest,
    overrides: Option<TaskOverride>,
    tags: Tags,
    token: Option<ClientToken>,
}

impl Request {
    fn parse(scope: &Scope, mut input: RunTaskRequest) -> Result<Self, Rejection> {
        let token = input.client_token.take();
        let token = ClientToken::parse(token, CLIENT_TOKEN_LENGTH_MAX, &input)?;
        let request = Self::parse_for(("ecs:RunTask", OPERATION), scope, input)?;
        Ok(Self { token, ..request })
    }

    /// What both operations have.
    pub(super) fn parse_for(
        (action, operation): (&'static str, &'static str),
        scope: &Scope,
        mut input: RunTaskRequest,
    ) -> Result<Self, Rejection> {
        let count = input.count.unwrap_or(1);
        if !(1..=TASKS_PER_CALL_MAX).contains(&count) {
            return Err(Rejection::invalid_parameter(format!(
                "count must be between 1 and {TASKS_PER_CALL_MAX}."
            )));
        }
        let cluster = names::cluster(scope, input.cluster.as_deref())?;
        let definition = launch::definition_name(scope, input.task_definition.as_deref())?;
        check_built(&input)?;
        check_texts(&input)?;
        let overrides = input.overrides.take().map(task_overrides::without_blanks);
        let tags = tags::parse(input.tags.take())?;
        let token = None;
        Ok(Self { action, operation, cluster, definition, count, input, overrides, tags, token })
    }

    pub(super) fn look(
        &self,
        tables: &Tables,
        workloads: &Workloads,
        scope: &Scope,
    ) -> Subject<Found> {
        let strategy = self.input.capacity_provider_strategy.as_deref();
        let capacity = Capacity::of(tables, scope, &self.cluster, strategy, self.input.launch_type);
        let question = |found: Option<&Definition>| {
            let row = found.map(|found| &*found.row);
            self.question(tables, scope, row, capacity.as_ref().ok())
        };
        let definition = self.definition.as_ref();
        let runnable = Runnable::look(tables, workloads, scope, definition, question);
        let tasks = Arn::of("ecs", scope, format!("task/{}/*", self.cluster));
        let overrides = self.overrides.as_ref();
        let roles =
            overrides.iter().flat_map(|given| [&given.task_role_arn, &given.execution_role_arn]);
        let pass_roles = roles.flatten().map(|role| access::pass_role(&scope.account, role));
        runnable
            .and_all(access::tag_on_create(self.operation, &tasks, &self.tags))
            .and_all(pass_roles)
            .beside(capacity)
    }

    /// About the revision that would run, or the family that has none. A refusal says nothing of a revision that was not asked for:
    /// nobody learns by it what there is.
    fn question(
        &self,
        tables: &Tables,
        scope: &Scope,
        row: Option<&TaskDefinition>,
        capacity: Option<&Capacity>,
    ) -> Question {
        let named = match &self.definition {
            Some(TaskDefinitionName { family, revision }) => {
                let revision = revision.map_or_else(|| "*".to_owned(), |number| number.to_string());
                Arn::of("ecs", scope, format!("task-definition/{family}:{revision}"))
            }
            // One of another account or region, of which nothing is here.
            None => Arn::of("ecs", scope, "task-definition/*"),
        };
        let question = match row {
            Some(row) => Resource::task_definition(scope, &row.family, row.revision)
                .question(tables, self.action),
            None => Question::new(self.action, named.to_string()),
        };
        let question = question.shown_as(named.to_string());
        access::in_cluster(question, scope, &self.cluster)
            .with_optional("ecs:capacity-provider", capacity.and_then(Capacity::provider))
            .with("ecs:enable-ebs-volumes", false)
            .with("ecs:enable-execute-command", false)
            .with_request_tags(&self.tags)
    }

    fn start(
        &self,
        tx: &mut Transaction<'_>,
        service: &EcsService,
        scope: &Scope,
        (runnable, capacity): Found,
    ) -> Result<RunTaskResponse, Rejection> {
        if let Some(made) = recalled(self.token.as_ref(), tx, scope)? {
            return Ok(answer_again(tx, &service.workloads, scope, &self.cluster, &made));
        }
        let count = self.count.unsigned_abs();
        let (tasks, failures) =
            self.start_by(tx, service, scope, (runnable, capacity), |tx, request| {
                start_all(tx, scope, request, count, &service.settings)
            })?;
        // A request that found no place made nothing: the next one with its token may.
        if let Some(token) = self.token.clone().filter(|_| !tasks.is_empty()) {
            let ids = tasks.iter().map(|task| task.id.to_string()).collect();
            token.remember(tx, scope, OPERATION, ids);
        }
        Ok(answer(tx, service, &tasks, failures))
    }

    /// Checks the request, and has its tasks started.
    pub(super) fn start_by(
        &self,
        tx: &mut Transaction<'_>,
        service: &EcsService,
        scope: &Scope,
        (runnable, capacity): Found,
        start: impl FnOnce(&mut Transaction<'_>, &StartRequest<'_>) -> Result<Started, Rejection>,
    ) -> Result<Started, Rejection> {
        let launch = self.launch(&capacity?)?;
        lookup::active_cluster(tx, scope, &self.cluster)?;
        let definition = runnable.active(Rejection::InvalidParameter)?;
        launch::check_definition(definition, launch.launch_type)?;
        let workload = &definition.workload;
        let mode = workload.network_mode;
        let given = self.input.network_configuration.as_ref();
        let network = network_configuration::resolve(tx, scope, given, mode, launch.launch_type)?;
        let overrides =
            task_overrides::parse(self.overrides.clone(), workload, launch.launch_type)?;
        let role = task_role::task_role_arn(&scope.account, &overrides, workload);
        if let (Some(task_roles), Some(role)) = (&service.task_roles, role)
            && !task_roles.is_given(scope, &self.cluster, &role)
        {
            return Err(Rejection::client(task_role::not_given(&role)));
        }
        let tags = self.task_tags(&definition.row)?;
        placement::check_count(&launch.rules, &workload.member_of)?;
        let group = self.group(definition);
        let rules = launch.rules(&group, workload);
        let request = StartRequest {
            tags,
            group,
            rules: &rules,
            ..self.start_request(&launch, definition, &network, &overrides)
        };
        start(tx, &request)
    }

    fn launch(&self, capacity: &Capacity) -> Result<Launch, Rejection> {
        let (input, launch_type) = (&self.input, capacity.launch_type);
        let given = placement::parse(
            input.placement_constraints.as_deref(),
            input.placement_strategy.as_deref(),
            launch_type,
        )?;
        let version = input.platform_version.as_deref();
        Ok(Launch {
            launch_type,
            capacity_provider: capacity.provider(),
            rules: given.over(PlacementRules::default()),
            platform_version: launch::platform_version(version, launch_type)?,
        })
    }

    /// Given tags win over the definition's. Source: "Tagging your Amazon ECS resources", tag propagation.
    fn task_tags(&self, definition: &TaskDefinition) -> Result<Tags, Rejection> {
        let propagates = self.input.propagate_tags == Some(PropagateTags::TaskDefinition);
        let mut all = if propagates { definition.tags.clone() } else { Tags::new() };
        all.extend(self.tags.clone());
        tags::check_count(&all)?;
        if self.input.enable_ecs_managed_tags == Some(true) {
            all.insert(tags::CLUSTER_NAME_TAG.to_owned(), self.cluster.to_string());
        }
        Ok(all)
    }

    fn start_request<'a>(
        &'a self,
        launch: &Launch,
        definition: &'a Definition,
        network: &'a AwsvpcConfiguration,
        overrides: &'a TaskOverrides,
    ) -> StartRequest<'a> {
        StartRequest {
            definition: &definition.row,
            workload: &definition.workload,
            cluster: &self.cluster,
            launch_type: launch.launch_type,
            capacity_provider: launch.capacity_provider.clone(),
            platform_version: launch.platform_version.clone(),
            group: String::new(),
            started_by: self.input.started_by.clone().filter(|text| !text.is_empty()),
            service: None,
            overrides,
            network,
            image_digests: &[],
            enable_execute_command: false,
            tags: Tags::new(),
            troubled: const { &BTreeSet::new() },
            rules: &NO_RULES,
            tasks: &NoPlacedTasks,
            of_zones: BTreeMap::new(),
        }
    }

    fn group(&self, definition: &Definition) -> String {
        let given = self.input.group.clone().filter(|text| !text.is_empty());
        given.unwrap_or_else(|| format!("family:{}", definition.row.family))
    }
}

/// The tasks that were started, and why others were not.
pub(super) type Started = (Vec<Task>, Vec<Failure>);

pub(super) fn answer(
    tx: &Transaction<'_>,
    service: &EcsService,
    tasks: &[Task],
    failures: Vec<Failure>,
) -> RunTaskResponse {
    let mut views = TaskViews::new(tx, &service.workloads, true);
    RunTaskResponse {
        tasks: Some(tasks.iter().map(|task| views.of(task)).collect()),
        failures: Some(failures),
    }
}

/// What the tasks run on.
struct Launch {
    launch_type: LaunchType,
    capacity_provider: Option<String>,
    rules: PlacementRules,
    platform_version: Option<String>,
}

impl Launch {
    /// What holds for tasks of a group; nothing on Fargate.
    fn rules(&self, group: &str, workload: &Workload) -> Rules {
        match self.launch_type {
            LaunchType::Fargate => Rules::default(),
            LaunchType::Ec2 | LaunchType::External => {
                Rules::new(group, &self.rules, &workload.member_of)
            }
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
    workloads: &Workloads,
    scope: &Scope,
    cluster: &ClusterName,
    ids: &[String],
) -> RunTaskResponse {
    let key = |id: &String| TaskKey::new(scope, cluster.clone(), TaskId::new(id.clone()));
    let tasks = ids.iter().filter_map(|id| tx.tasks.get(&key(id)));
    let mut views = TaskViews::new(tx, workloads, true);
    RunTaskResponse {
        tasks: Some(tasks.map(|task| views.of(task)).collect()),
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
) -> Result<Started, Rejection> {
    let (started, rejection) = {
        let mut spaces = tx.subnet_spaces(scope, &request.network.subnets);
        let made = (&*tx as &dyn NewIds, tx.now_ms());
        let tasks = tx.tasks.placed_in(&ClusterKey::new(scope, request.cluster.clone()));
        let request = StartRequest { tasks: &tasks, ..request.clone() };
        task_start::start_many(&request, count, &tx.rooms, &mut spaces, made, settings)
    };
    let failures = match rejection {
        Some(rejection) if rejection.reason == Unplaceable::NoContainerInstances => {
            return Err(Rejection::invalid_parameter(rejection.reason.to_string()));
        }
        Some(rejection) => {
            say_not_placed(request, &rejection);
            failures_of(scope, request.cluster, &rejection)
        }
        None => Vec::new(),
    };
    let tasks = started.iter().map(|started| started.task.clone()).collect();
    for started in started {
        tx.put_started(started);
    }
    Ok((tasks, failures))
}

fn say_not_placed(request: &StartRequest<'_>, rejection: &NoPlace) {
    let shortage = rejection.shortage.as_ref().map(ToString::to_string).unwrap_or_default();
    tracing::info!(
        event = "task_not_placed",
        cluster = %request.cluster,
        family = %request.definition.family,
        revision = request.definition.revision,
        reason = %rejection.reason,
        shortage,
        "a task of RunTask fits nowhere"
    );
}

/// One failure per container instance that was looked at; Fargate has none and gives the reason alone.
pub(super) fn failures_of(
    scope: &Scope,
    cluster: &ClusterName,
    rejection: &NoPlace,
) -> Vec<Failure> {
    if rejection.instances.is_empty() {
        // The machines are the caller's operator's own: that this task is larger than all of them is worth its words.
        let detail = rejection.shortage.as_ref().map(ToString::to_string);
        return vec![Failure { reason: Some(rejection.reason.to_string()), arn: None, detail }];
    }
    let of = |id| Some(Arn::container_instance(scope, cluster, id).to_string());
    rejection
        .instances
        .iter()
        .map(|passed| Failure {
            arn: of(&passed.id),
            reason: Some(passed.reason.to_string()),
            detail: passed.detail(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
