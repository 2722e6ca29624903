//! Keeps every service at its desired count and task definition.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use outport_model::deployment::{Deployment, ServiceDeployment};
use outport_model::service::{PropagateTags, Service, ServiceStatus};
use outport_model::task::{ServiceMembership, Task, TaskOverrides};
use outport_model::{DesiredStatus, NodeId, Now, Tags, TaskId, TimestampMs};
use outport_planner::service::{
    Plan, Scene, Stop, is_of_short_runs, is_unfinished, plan, record_starts, troubled_nodes,
};
use outport_planner::{Rejection, Settings, StartRequest, StartedTask, Unplaceable, task_start};
use outport_store::keys::{ClusterKey, ServiceKey, TaskDefinitionKey, TaskKey};
use outport_store::{Fault, Keys, Row, Store, Tables, TouchedRows, Transaction};

use crate::{Controller, Extent, only_fault};

/// Services whose plans are carried out side by side, sharing commits.
const SERVICES_AT_ONCE: usize = 64;

pub struct ServiceController {
    settings: Settings,
    touched: TouchedRows<ServiceKey>,
    /// When to look at which service although nothing touched it.
    due_ms: BTreeMap<ServiceKey, TimestampMs>,
    /// Whether the last pass looked at all that it should have.
    is_complete: bool,
}

impl ServiceController {
    pub fn new(store: &Store, settings: Settings) -> Self {
        let (due_ms, touched) = (BTreeMap::new(), store.touched_rows::<Service>());
        Self { settings, touched, due_ms, is_complete: false }
    }

    /// One pass over one service, in one transaction.
    async fn reconcile(
        &self,
        store: &Store,
        key: &ServiceKey,
    ) -> Result<Option<TimestampMs>, Fault> {
        let outcome = store.write(|tx| Ok::<_, Infallible>(self.step(tx, key))).await;
        outcome.map_err(only_fault)
    }

    fn step(&self, tx: &mut Transaction<'_>, key: &ServiceKey) -> Option<TimestampMs> {
        let rows = ServiceRows::read(tx, key)?;
        let mut plan = plan(&rows.scene(tx, tx.now(), &self.settings));
        for stop in &plan.stops {
            order_stop(tx, key, stop);
        }
        for task in &plan.noted {
            tx.update(&task_key(key, task), |task: &mut Task| task.end_noted = true);
        }
        for entry in std::mem::take(&mut plan.history) {
            tx.put(entry);
        }
        let troubled = troubled_nodes(&rows.scene(tx, tx.now(), &self.settings));
        let (started, rejection) = self.start(tx, &plan, &troubled);
        let scene = rows.scene(tx, tx.now(), &self.settings);
        record_starts(&mut plan, &scene, &started, rejection.as_ref());
        say_short_runs(&rows.service, &plan.service);
        tx.put(plan.service);
        plan.look_again_at_ms
    }

    /// Starts what the plan asks for, until one finds no place: the others would not either.
    fn start(
        &self,
        tx: &mut Transaction<'_>,
        plan: &Plan,
        troubled: &BTreeSet<NodeId>,
    ) -> (Vec<TaskId>, Option<Rejection>) {
        let mut started = Vec::new();
        for _ in 0..plan.starts {
            match self.start_one(tx, &plan.service, troubled) {
                Ok(task) => started.push(task),
                Err(rejection) => return (started, Some(rejection)),
            }
        }
        (started, None)
    }

    fn start_one(
        &self,
        tx: &mut Transaction<'_>,
        service: &Service,
        troubled: &BTreeSet<NodeId>,
    ) -> Result<TaskId, Rejection> {
        let nowhere = || Rejection::of(Unplaceable::NoCapacity);
        let deployment = service.deployments.first().ok_or_else(nowhere)?;
        let definition =
            TaskDefinitionKey::new(&service.scope, deployment.family.clone(), deployment.revision);
        let definition = tx.task_definitions.get(&definition).cloned().ok_or_else(nowhere)?;
        let overrides = TaskOverrides::default();
        let request = StartRequest {
            definition: &definition,
            cluster: &service.cluster,
            launch_type: deployment.launch_type,
            platform_version: deployment.platform_version.clone(),
            group: format!("service:{}", service.name),
            started_by: Some(format!("ecs-svc/{}", deployment.id)),
            service: Some(membership(service, deployment)),
            overrides: &overrides,
            network: &deployment.network,
            image_digests: &deployment.image_digests,
            enable_execute_command: service.enable_execute_command,
            tags: task_tags(service, &definition.tags),
        };
        let StartedTask { task, interface, cursor } = {
            let cluster = ClusterKey::new(&service.scope, service.cluster.clone());
            let mut candidates = tx.candidates(&cluster);
            for candidate in &mut candidates {
                candidate.is_troubled = troubled.contains(&candidate.node.id);
            }
            let spaces = tx.subnet_spaces(&service.scope, &deployment.network.subnets);
            task_start::start(&request, &candidates, &spaces, &*tx, tx.now_ms(), &self.settings)?
        };
        let id = task.id.clone();
        tx.put(task);
        if let Some(interface) = interface {
            tx.put(interface);
        }
        if let Some(cursor) = cursor {
            tx.put(cursor);
        }
        Ok(id)
    }
}

#[async_trait]
impl Controller for ServiceController {
    fn name(&self) -> &'static str {
        "service"
    }

    async fn news(&mut self) {
        self.touched.changed().await;
    }

    async fn activate(
        &mut self,
        store: &Store,
        extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault> {
        let touched = self.touched.take();
        let is_complete = std::mem::take(&mut self.is_complete);
        let keys = match touched {
            Keys::These(keys) if extent == Extent::Touched && is_complete => {
                self.with_due(keys, store.now_ms())
            }
            _ => {
                self.due_ms.clear();
                store.snapshot().services.iter().map(|service| service.key()).collect()
            }
        };
        let busy = self.look(store, keys);
        for keys in busy.chunks(SERVICES_AT_ONCE) {
            let outcomes = join_all(keys.iter().map(|key| self.reconcile(store, key))).await;
            for (key, outcome) in keys.iter().zip(outcomes) {
                self.note_due(key, outcome?);
            }
        }
        self.is_complete = true;
        Ok(self.due_ms.values().min().copied())
    }
}

impl ServiceController {
    fn with_due(
        &self,
        mut keys: BTreeSet<ServiceKey>,
        now_ms: TimestampMs,
    ) -> BTreeSet<ServiceKey> {
        let due = self.due_ms.iter().filter(|(_, due_ms)| **due_ms <= now_ms);
        keys.extend(due.map(|(key, _)| key.clone()));
        keys
    }

    fn note_due(&mut self, key: &ServiceKey, due_ms: Option<TimestampMs>) {
        match due_ms {
            Some(due_ms) => self.due_ms.insert(key.clone(), due_ms),
            None => self.due_ms.remove(key),
        };
    }

    /// Which of the services need a write; of the others it notes when they want to be looked at.
    fn look(&mut self, store: &Store, keys: BTreeSet<ServiceKey>) -> Vec<ServiceKey> {
        let snapshot = store.snapshot();
        let mut busy = Vec::new();
        for key in keys {
            let rows = ServiceRows::read(&snapshot, &key);
            let Some(rows) = rows.filter(|rows| rows.service.status != ServiceStatus::Inactive)
            else {
                self.due_ms.remove(&key);
                continue;
            };
            let plan = plan(&rows.scene(&NoIds, store.now(), &self.settings));
            if plan.is_idle(&rows.service) {
                self.note_due(&key, plan.look_again_at_ms);
            } else {
                busy.push(key);
            }
        }
        busy
    }
}

/// The one event that asks for somebody to look also goes to the log.
fn say_short_runs(before: &Service, after: &Service) {
    let known = before.events.first().map(|event| &event.id);
    let new = after.events.iter().take_while(|event| Some(&event.id) != known);
    for event in new.filter(|event| is_of_short_runs(&event.message)) {
        tracing::warn!(cluster = %after.cluster, "{}", event.message);
    }
}

/// The rows that a plan is made from.
struct ServiceRows {
    service: Arc<Service>,
    tasks: Vec<Arc<Task>>,
    history: Vec<Arc<ServiceDeployment>>,
}

impl ServiceRows {
    fn read(tables: &Tables, key: &ServiceKey) -> Option<Self> {
        let history = tables.service_deployments.of_service(key).values();
        Some(Self {
            service: Arc::clone(tables.services.get(key)?),
            tasks: tables.tasks.of_service(key).values().cloned().collect(),
            history: history.filter(|entry| is_unfinished(entry.status)).cloned().collect(),
        })
    }

    fn scene<'a>(
        &'a self,
        ids: &'a dyn outport_model::NewIds,
        now: Now,
        settings: &'a Settings,
    ) -> Scene<'a> {
        Scene {
            service: &self.service,
            tasks: &self.tasks,
            history: &self.history,
            now,
            settings,
            ids,
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
    fn service_deployment_id(&self) -> String {
        String::new()
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
