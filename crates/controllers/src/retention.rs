//! Forgets what is over: stopped tasks, deleted services and clusters, old history, expired tokens, secrets after their
//! recovery window, keys of KMS after their waiting period.
//!
//! **Invariant:** a step of the wall clock forgets nothing and keeps nothing for good: ages are those of
//! [`outport_model::clock::Now`].

use std::convert::Infallible;

use async_trait::async_trait;
use outport_model::cluster::Cluster;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::idempotency::IdempotencyToken;
use outport_model::kms::KmsKey;
use outport_model::secret::Secret;
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{DesiredStatus, Now, TimestampMs};
use outport_planner::{Settings, idempotency, retention};
use outport_store::keys::{ClusterKey, ServiceKey};
use outport_store::{Fault, Row, Store, Tables, TaskFacet, Transaction};

use crate::{Controller, Extent, only_fault};

/// How often it looks.
const INTERVAL_MS: TimestampMs = 10_000;
/// The most rows of a kind that one pass forgets; the next pass goes on.
const ROWS_PER_PASS_MAX: usize = 1_000;

pub struct RetentionController {
    settings: Settings,
}

impl RetentionController {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn forget(&self, tx: &mut Transaction<'_>) {
        let now = tx.now();
        for task in due_tasks(tx, &now, &self.settings) {
            tx.remove::<Task>(&task);
        }
        for service in due_services(tx, &now, &self.settings) {
            forget_service(tx, &service);
        }
        for definition in due_task_definitions(tx) {
            tx.remove::<TaskDefinition>(&definition);
        }
        for (deployment, revision) in due_history(tx, &now, &self.settings) {
            tx.remove::<ServiceDeployment>(&deployment);
            tx.remove::<ServiceRevision>(&revision);
        }
        for cluster in due_clusters(tx, &now, &self.settings) {
            tx.remove::<Cluster>(&cluster);
        }
        for secret in due_secrets(tx, &now) {
            tx.remove_secret(&secret);
        }
        for key in due_kms_keys(tx, &now) {
            tx.remove_kms_key(&key);
        }
        for token in due_tokens(tx, &now) {
            tx.remove::<IdempotencyToken>(&token);
        }
    }

    fn has_work(&self, tables: &Tables, now: &Now) -> bool {
        !due_tasks(tables, now, &self.settings).is_empty()
            || !due_services(tables, now, &self.settings).is_empty()
            || !due_task_definitions(tables).is_empty()
            || !due_history(tables, now, &self.settings).is_empty()
            || !due_clusters(tables, now, &self.settings).is_empty()
            || !due_secrets(tables, now).is_empty()
            || !due_kms_keys(tables, now).is_empty()
            || !due_tokens(tables, now).is_empty()
    }
}

#[async_trait]
impl Controller for RetentionController {
    fn name(&self) -> &'static str {
        "retention"
    }

    async fn activate(
        &mut self,
        store: &Store,
        _extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault> {
        let now = store.now();
        if self.has_work(&store.snapshot(), &now) {
            let forget = |tx: &mut Transaction<'_>| {
                self.forget(tx);
                Ok::<_, Infallible>(())
            };
            store.write(forget).await.map_err(only_fault)?;
        }
        Ok(Some(now.wall_ms + INTERVAL_MS))
    }
}

type Keys<R> = Vec<<R as Row>::Key>;

fn due_tasks(tables: &Tables, now: &Now, settings: &Settings) -> Keys<Task> {
    // In the order of their stamps, so the first that is too young ends the search; those that a clock
    // left behind that went back since are at the other end.
    let over = now.over(settings.stopped_task_life_ms);
    let stopped = || tables.tasks.stopped().iter();
    let old_enough = stopped()
        .take_while(|(stopped_ms, _)| *stopped_ms <= over.until_ms)
        .chain(stopped().rev().take_while(|(stopped_ms, _)| *stopped_ms > over.beyond_ms));
    let rows = old_enough.filter_map(|(_, key)| Some((key, tables.tasks.get(key)?)));
    rows.filter(|(_, task)| {
        let service_is_gone = task.service.as_ref().is_some_and(|member| {
            let key = ServiceKey::new(&task.scope, task.cluster.clone(), member.service.clone());
            tables.services.get(&key).is_none_or(|s| s.status == ServiceStatus::Inactive)
        });
        service_is_gone || retention::forgets_task(task, now, settings)
    })
    .map(|(key, _)| key.clone())
    .take(ROWS_PER_PASS_MAX)
    .collect()
}

fn due_services(tables: &Tables, now: &Now, settings: &Settings) -> Keys<Service> {
    let due = tables.services.iter().filter(|s| retention::forgets_service(s, now, settings));
    due.map(|service| service.key()).take(ROWS_PER_PASS_MAX).collect()
}

/// The history of a service goes with it.
fn forget_service(tx: &mut Transaction<'_>, key: &ServiceKey) {
    tx.remove::<Service>(key);
    let deployments = tx.service_deployments.of_service(key).values();
    let deployments: Keys<ServiceDeployment> = deployments.map(|row| row.key()).collect();
    for deployment in deployments {
        tx.remove::<ServiceDeployment>(&deployment);
    }
    let revisions = tx.service_revisions.of_service(key).values();
    let revisions: Keys<ServiceRevision> = revisions.map(|row| row.key()).collect();
    for revision in revisions {
        tx.remove::<ServiceRevision>(&revision);
    }
}

fn due_task_definitions(tables: &Tables) -> Keys<TaskDefinition> {
    let status = TaskDefinitionStatus::DeleteInProgress;
    let deleting = tables.task_definitions.all_in_status(status);
    let rows = deleting.filter_map(|key| tables.task_definitions.get(&key));
    rows.filter(|row| retention::forgets_task_definition(row, is_in_use(tables, row)))
        .map(|definition| definition.key())
        .take(ROWS_PER_PASS_MAX)
        .collect()
}

/// Asked of the few revisions that are to be deleted.
fn is_in_use(tables: &Tables, row: &TaskDefinition) -> bool {
    let tasks = tables.tasks_of_family(&row.scope, &row.family);
    retention::is_in_use(row, tasks, tables.services.iter())
}

type HistoryKeys = (<ServiceDeployment as Row>::Key, <ServiceRevision as Row>::Key);

fn due_history(tables: &Tables, now: &Now, settings: &Settings) -> Vec<HistoryKeys> {
    let is_current = |entry: &ServiceDeployment| {
        let key = ServiceKey::new(&entry.scope, entry.cluster.clone(), entry.service.clone());
        tables.services.get(&key).is_some_and(|service| {
            service.deployments.iter().any(|deployment| deployment.id == entry.target_revision)
        })
    };
    tables
        .service_deployments
        .iter()
        .filter(|entry| {
            retention::forgets_service_deployment(entry, is_current(entry), now, settings)
        })
        .map(|entry| {
            let revision = outport_store::keys::ServiceRevisionKey::new(
                &entry.scope,
                entry.cluster.clone(),
                entry.service.clone(),
                entry.target_revision.clone(),
            );
            (entry.key(), revision)
        })
        .take(ROWS_PER_PASS_MAX)
        .collect()
}

fn due_clusters(tables: &Tables, now: &Now, settings: &Settings) -> Keys<Cluster> {
    let due = tables.clusters.iter().filter(|cluster| {
        let empty = is_empty(tables, &cluster.key());
        retention::forgets_cluster(cluster, empty, now, settings)
    });
    due.map(|cluster| cluster.key()).take(ROWS_PER_PASS_MAX).collect()
}

fn is_empty(tables: &Tables, cluster: &ClusterKey) -> bool {
    tables.services.in_cluster(cluster).is_empty()
        && tables.container_instances.in_cluster(cluster).is_empty()
        && [DesiredStatus::Running, DesiredStatus::Stopped]
            .into_iter()
            .all(|desired| tables.tasks.with_facet(cluster, desired, TaskFacet::Any).is_empty())
}

fn due_secrets(tables: &Tables, now: &Now) -> Keys<Secret> {
    let due = tables.secrets.iter().filter(|secret| retention::forgets_secret(secret, now));
    due.map(|secret| secret.key()).take(ROWS_PER_PASS_MAX).collect()
}

fn due_kms_keys(tables: &Tables, now: &Now) -> Keys<KmsKey> {
    let due = tables.kms_keys.iter().filter(|key| retention::forgets_kms_key(key, now));
    due.map(|key| key.key()).take(ROWS_PER_PASS_MAX).collect()
}

fn due_tokens(tables: &Tables, now: &Now) -> Keys<IdempotencyToken> {
    let due = tables.idempotency_tokens.iter().filter(|token| idempotency::is_expired(token, now));
    due.map(|token| token.key()).take(ROWS_PER_PASS_MAX).collect()
}
