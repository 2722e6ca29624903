//! Keeps every service at its desired count and task definition.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use outport_model::capacity::{Candidate, Capacity};
use outport_model::deployment::{Deployment, ServiceDeployment};
use outport_model::node::Node;
use outport_model::service::{PropagateTags, Service, ServiceStatus};
use outport_model::task::{ServiceMembership, Task, TaskOverrides};
use outport_model::task_definition::{LaunchType, ReadWorkload};
use outport_model::{DesiredStatus, NewIds, NodeId, Now, SteadyMs, Tags, TaskId, TimestampMs};
use outport_planner::placement::Rules;
use outport_planner::service::{
    Plan, Scene, Stop, is_unfinished, plan, record_starts, troubled_nodes,
};
use outport_planner::task_role::task_role_arn;
use outport_planner::{Rejection, Settings, StartRequest, TaskRoleTrust, Unplaceable, task_start};
use outport_store::keys::{ClusterKey, ServiceKey, TaskDefinitionKey, TaskKey};
use outport_store::{Fault, Keys, Row, Store, Tables, TouchedRows, Transaction};

use crate::{Controller, Extent, deployment_log, only_fault};

/// Services whose plans are carried out side by side, sharing commits.
const SERVICES_AT_ONCE: usize = 64;

pub struct ServiceController {
    settings: Settings,
    workloads: Arc<dyn ReadWorkload>,
    /// Without: no role is looked at.
    task_roles: Option<Arc<dyn TaskRoleTrust>>,
    touched: TouchedRows<ServiceKey>,
    /// When to look at which service although nothing touched it; not by the wall clock, which may be set back.
    due_ms: BTreeMap<ServiceKey, SteadyMs>,
    /// Services that found no place for a task: they look again when there is more room.
    unplaced: BTreeSet<ServiceKey>,
    nodes: TouchedRows<NodeId>,
    /// What [`outport_store::NodeRooms::grown`] was when they were looked at.
    grown: u64,
    /// Whether the last pass looked at all that it should have.
    is_complete: bool,
}

/// What is to come of one service after its step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    look_again_at_ms: Option<SteadyMs>,
    found_no_place: bool,
}

impl ServiceController {
    pub fn new(store: &Store, settings: Settings, workloads: Arc<dyn ReadWorkload>) -> Self {
        Self {
            settings,
            workloads,
            task_roles: None,
            touched: store.touched_rows::<Service>(),
            due_ms: BTreeMap::new(),
            unplaced: BTreeSet::new(),
            nodes: store.touched_rows::<Node>(),
            grown: 0,
            is_complete: false,
        }
    }

    /// The same, for an installation that has roles.
    #[must_use]
    pub fn with_task_roles(self, task_roles: Arc<dyn TaskRoleTrust>) -> Self {
        Self { task_roles: Some(task_roles), ..self }
    }

    /// One pass over one service, in one transaction.
    async fn reconcile(&self, store: &Store, key: &ServiceKey) -> Result<Step, Fault> {
        let step = |tx: &mut Transaction<'_>| Ok::<_, Infallible>(self.step(tx, key));
        let outcome = store.write(step).await.map_err(only_fault)?;
        Ok(outcome.unwrap_or_default())
    }

    fn step(&self, tx: &mut Transaction<'_>, key: &ServiceKey) -> Option<Step> {
        let rows = ServiceRows::read(tx, key)?;
        let now = tx.now();
        let mut plan = plan(&rows.scene(tx, now, &self.settings, &|task| place_of(tx, task)));
        for stop in &plan.stops {
            order_stop(tx, key, stop);
        }
        for task in &plan.noted {
            tx.update(&task_key(key, task), |task: &mut Task| task.end_noted = true);
        }
        for entry in std::mem::take(&mut plan.history) {
            deployment_log::moved(&rows.history, &entry);
            tx.put(entry);
        }
        let troubled = troubled_nodes(&rows.scene(tx, tx.now(), &self.settings, &|_| None));
        let (started, rejection) = self.start_all(tx, &plan, &troubled, &rows.of_zones());
        let scene = rows.scene(tx, tx.now(), &self.settings, &|_| None);
        record_starts(&mut plan, &scene, &started, rejection.as_ref());
        deployment_log::short_runs(&rows.service, &plan.service);
        deployment_log::not_placed(&rows.service, &plan.service, rejection.as_ref());
        tx.put(plan.service);
        let found_no_place = rejection.is_some();
        let look_again_at_ms = plan.look_again_at_ms.map(|at_ms| steady(at_ms, now));
        Some(Step { look_again_at_ms, found_no_place })
    }

    /// Starts what the plan asks for: first of what serves, then of the PRIMARY deployment.
    fn start_all(
        &self,
        tx: &mut Transaction<'_>,
        plan: &Plan,
        troubled: &BTreeSet<NodeId>,
        of_zones: &BTreeMap<String, u64>,
    ) -> (Vec<TaskId>, Option<Rejection>) {
        let primary = plan.service.deployments.first();
        let of_primary = primary.map(|primary| (primary, plan.starts));
        let of_serving = plan.starts_of_serving.as_ref().and_then(|starts| {
            let mut deployments = plan.service.deployments.iter();
            Some((deployments.find(|one| one.id == starts.deployment)?, starts.count))
        });
        let mut started = Vec::new();
        let mut rejection = None;
        for (deployment, count) in of_serving.into_iter().chain(of_primary) {
            if count > 0 {
                let (ids, why) =
                    self.start(tx, &plan.service, (deployment, count), troubled, of_zones);
                started.extend(ids);
                rejection = rejection.or(why);
            }
        }
        (started, rejection)
    }

    /// Starts so many tasks of a deployment, until one finds no place.
    fn start(
        &self,
        tx: &mut Transaction<'_>,
        service: &Service,
        (deployment, count): (&Deployment, u32),
        troubled: &BTreeSet<NodeId>,
        of_zones: &BTreeMap<String, u64>,
    ) -> (Vec<TaskId>, Option<Rejection>) {
        let nowhere = || (Vec::new(), Some(Rejection::of(Unplaceable::NoCapacity)));
        let definition =
            TaskDefinitionKey::new(&service.scope, deployment.family.clone(), deployment.revision);
        let Some(definition) = tx.task_definitions.get(&definition) else {
            return nowhere();
        };
        let workload = self.workloads.read(&definition);
        let group = format!("service:{}", service.name);
        let overrides = TaskOverrides::default();
        let role = task_role_arn(&service.scope.account, &overrides, &workload);
        if let (Some(task_roles), Some(role)) = (&self.task_roles, role)
            && !task_roles.is_given(&service.scope, &service.cluster, &role)
        {
            return (Vec::new(), Some(Rejection::of_task_role(role)));
        }
        let rules = match deployment.launch_type {
            LaunchType::Fargate => Rules::default(),
            LaunchType::Ec2 | LaunchType::External => {
                Rules::new(&group, &service.placement, &workload.member_of).of_service()
            }
        };
        let cluster = ClusterKey::new(&service.scope, service.cluster.clone());
        let (started, rejection) = {
            let tasks = tx.tasks.placed_in(&cluster);
            let request = StartRequest {
                definition: &definition,
                workload: &workload,
                cluster: &service.cluster,
                launch_type: deployment.launch_type,
                capacity_provider: None,
                platform_version: deployment.platform_version.clone(),
                group,
                started_by: Some(format!("ecs-svc/{}", deployment.id)),
                service: Some(membership(service, deployment)),
                overrides: &overrides,
                network: &deployment.network,
                image_digests: &deployment.image_digests,
                enable_execute_command: service.enable_execute_command,
                tags: task_tags(service, &definition.tags),
                troubled,
                rules: &rules,
                tasks: &tasks,
                of_zones: of_zones.clone(),
            };
            let mut spaces = tx.subnet_spaces(&service.scope, &deployment.network.subnets);
            let made = (&*tx as &dyn NewIds, tx.now_ms());
            task_start::start_many(&request, count, &tx.rooms, &mut spaces, made, &self.settings)
        };
        let ids = started.iter().map(|started| started.task.id.clone()).collect();
        for started in started {
            tx.put_started(started);
        }
        (ids, rejection)
    }
}

#[async_trait]
impl Controller for ServiceController {
    fn name(&self) -> &'static str {
        "service"
    }

    async fn news(&mut self) {
        let wants_room = !self.unplaced.is_empty();
        tokio::select! {
            () = self.touched.changed() => {}
            () = self.nodes.changed(), if wants_room => {}
        }
    }

    async fn activate(
        &mut self,
        store: &Store,
        extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault> {
        let touched = self.touched.take();
        self.nodes.take();
        let is_complete = std::mem::take(&mut self.is_complete);
        let keys = match touched {
            Keys::These(keys) if extent == Extent::Touched && is_complete => {
                self.with_due(keys, store)
            }
            _ => {
                self.due_ms.clear();
                store.snapshot().services.iter().map(|service| service.key()).collect()
            }
        };
        let busy = self.look(store, keys);
        tracing::Span::current().record("keys", busy.len());
        for keys in busy.chunks(SERVICES_AT_ONCE) {
            let outcomes = join_all(keys.iter().map(|key| self.reconcile(store, key))).await;
            for (key, outcome) in keys.iter().zip(outcomes) {
                self.note(key, outcome?);
            }
        }
        self.is_complete = true;
        let now = store.now();
        let wall_ms = |due_ms: &SteadyMs| now.wall_ms.saturating_add(due_ms - now.steady_ms);
        Ok(self.due_ms.values().min().map(wall_ms))
    }
}

impl ServiceController {
    /// Adds the services that are due by the time, and those that may find room now.
    fn with_due(&mut self, mut keys: BTreeSet<ServiceKey>, store: &Store) -> BTreeSet<ServiceKey> {
        let now_ms = store.now().steady_ms;
        let due = self.due_ms.iter().filter(|(_, due_ms)| **due_ms <= now_ms);
        keys.extend(due.map(|(key, _)| key.clone()));
        let grown = store.snapshot().rooms.grown();
        if std::mem::replace(&mut self.grown, grown) != grown {
            keys.extend(self.unplaced.iter().cloned());
        }
        keys
    }

    fn note(&mut self, key: &ServiceKey, step: Step) {
        match step.look_again_at_ms {
            Some(due_ms) => self.due_ms.insert(key.clone(), due_ms),
            None => self.due_ms.remove(key),
        };
        if step.found_no_place {
            self.unplaced.insert(key.clone());
        } else {
            self.unplaced.remove(key);
        }
    }

    /// Which of the services need a write; of the others it notes when they want to be looked at.
    fn look(&mut self, store: &Store, keys: BTreeSet<ServiceKey>) -> Vec<ServiceKey> {
        let snapshot = store.snapshot();
        let mut busy = Vec::new();
        for key in keys {
            let rows = ServiceRows::read(&snapshot, &key);
            let Some(rows) = rows.filter(|rows| rows.service.status != ServiceStatus::Inactive)
            else {
                self.note(&key, Step::default());
                continue;
            };
            let now = store.now();
            let place_of = |task: &Task| place_of(&snapshot, task);
            let plan = plan(&rows.scene(&NoIds, now, &self.settings, &place_of));
            if plan.is_idle(&rows.service) {
                let look_again_at_ms = plan.look_again_at_ms.map(|at_ms| steady(at_ms, now));
                self.note(&key, Step { look_again_at_ms, found_no_place: false });
            } else {
                busy.push(key);
            }
        }
        busy
    }
}

/// The moment that the wall clock calls `at_ms`, as it goes now.
fn steady(at_ms: TimestampMs, now: Now) -> SteadyMs {
    now.steady_ms.saturating_add(at_ms.saturating_sub(now.wall_ms))
}

/// Where a task is that is on a container instance.
fn place_of<'a>(tables: &'a Tables, task: &Task) -> Option<Candidate<'a>> {
    task.container_instance.as_ref()?;
    tables.rooms.member(&task.scope, &task.cluster, task.node.as_ref()?)
}

/// The rows that a plan is made from.
struct ServiceRows {
    service: Arc<Service>,
    tasks: Vec<Arc<Task>>,
    history: Vec<Arc<ServiceDeployment>>,
    drains: bool,
}

impl ServiceRows {
    fn read(tables: &Tables, key: &ServiceKey) -> Option<Self> {
        let history = tables.service_deployments.of_service(key).values();
        let cluster = ClusterKey::new(&key.scope, key.cluster.clone());
        Some(Self {
            service: Arc::clone(tables.services.get(key)?),
            tasks: tables.tasks.of_service(key).values().cloned().collect(),
            history: history.filter(|entry| is_unfinished(entry.status)).cloned().collect(),
            drains: tables.container_instances.drains(&cluster),
        })
    }

    /// How many tasks of a service on Fargate are in which zone; elsewhere the instances decide.
    fn of_zones(&self) -> BTreeMap<String, u64> {
        let mut zones = BTreeMap::new();
        let is_fargate = |task: &&Arc<Task>| task.launch_type == LaunchType::Fargate;
        for task in self.tasks.iter().filter(|task| task.is_wanted()).filter(is_fargate) {
            if let Some(zone) = &task.availability_zone {
                *zones.entry(zone.clone()).or_default() += 1;
            }
        }
        zones
    }

    fn scene<'a>(
        &'a self,
        ids: &'a dyn outport_model::NewIds,
        now: Now,
        settings: &'a Settings,
        place_of: &'a dyn Fn(&Task) -> Option<Candidate<'a>>,
    ) -> Scene<'a> {
        Scene {
            service: &self.service,
            tasks: &self.tasks,
            history: &self.history,
            now,
            settings,
            ids,
            place_of,
            drains: self.drains,
        }
    }
}

/// For a plan that is only looked at.
struct NoIds;

impl outport_model::NewIds for NoIds {
    fn task_id(&self) -> TaskId {
        TaskId::new("")
    }
    fn uuid(&self) -> String {
        String::new()
    }
    fn hex17(&self, prefix: &str) -> String {
        prefix.to_owned()
    }
    fn deployment_id(&self) -> outport_model::DeploymentId {
        outport_model::DeploymentId::new("")
    }
    fn service_deployment_id(&self) -> outport_model::ServiceDeploymentId {
        outport_model::ServiceDeploymentId::new("")
    }
}

fn membership(service: &Service, deployment: &Deployment) -> ServiceMembership {
    ServiceMembership { service: service.name.clone(), deployment: deployment.id.clone() }
}

fn task_key(service: &ServiceKey, task: &TaskId) -> TaskKey {
    TaskKey::new(&service.scope, service.cluster.clone(), task.clone())
}

fn order_stop(tx: &mut Transaction<'_>, service: &ServiceKey, stop: &Stop) {
    let now_ms = tx.now_ms();
    tx.update(&task_key(service, &stop.task), |task: &mut Task| {
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(stop.code);
        task.stopped_reason = Some(stop.reason.clone());
        task.stopping_at_ms = Some(now_ms);
        task.version += 1;
    });
}

/// Source: "Tagging your Amazon ECS resources", tags that Amazon ECS adds and propagates.
fn task_tags(service: &Service, of_definition: &Tags) -> Tags {
    let mut tags = match service.propagate_tags {
        PropagateTags::None => Tags::new(),
        PropagateTags::Service => service.tags.clone(),
        PropagateTags::TaskDefinition => of_definition.clone(),
    };
    if service.enable_ecs_managed_tags {
        tags.insert("aws:ecs:clusterName".to_owned(), service.cluster.to_string());
        tags.insert("aws:ecs:serviceName".to_owned(), service.name.to_string());
    }
    tags
}
