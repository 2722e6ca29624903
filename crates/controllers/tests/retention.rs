//! What retention forgets, when, and that it forgets nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use outport_controllers::{Controller, Extent, RetentionController};
use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceDeploymentStatus, ServiceRevision};
use outport_model::idempotency::{IDEMPOTENCY_TOKEN_LIFE_MS, IdempotencyToken};
use outport_model::kms::{KmsAlias, KmsGrant, KmsKey, KmsKeyDeletion};
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::secret::{Deletion, Secret, SecretValue};
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::{ServiceMembership, Task};
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily, TaskDefinitionStatus};
use outport_model::{
    ClusterName, DeploymentId, DesiredStatus, Family, ServiceDeploymentId, ServiceName, TaskId,
    TaskStatus, TimestampMs,
};
use outport_planner::Settings;
use outport_store::{InTables, Keeps, ManualClock, SeededIds, Store, Tables, Transaction};
use serde::de::DeserializeOwned;

/// When everything that stays was made: long before what goes.
const LONG_AGO_MS: TimestampMs = 1_000_000_000_000;
/// When what goes began to age.
const SINCE_MS: TimestampMs = 1_700_000_000_000;
const SCOPE: &str = "000000000000/us-east-1";

fn golden<R: DeserializeOwned>(name: &str) -> R {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/golden");
    let bytes = std::fs::read(format!("{directory}/{name}.v1.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A stopped task that no service has.
fn stopped_task(id: &str, stopped_at_ms: TimestampMs) -> Task {
    Task {
        id: TaskId::new(id),
        family: Family::new("kept"),
        service: None,
        desired_status: DesiredStatus::Stopped,
        last_status: TaskStatus::Stopped,
        created_at_ms: LONG_AGO_MS,
        stopped_at_ms: Some(stopped_at_ms),
        protected_until_ms: None,
        end_noted: false,
        ..golden("task")
    }
}

fn of_service(task: Task, service: &str, end_noted: bool) -> Task {
    let (service, deployment) = (ServiceName::new(service), DeploymentId::new("1"));
    Task { service: Some(ServiceMembership { service, deployment }), end_noted, ..task }
}

fn service(name: &str, status: ServiceStatus, deleted_at_ms: Option<TimestampMs>) -> Service {
    Service {
        name: ServiceName::new(name),
        status,
        created_at_ms: LONG_AGO_MS,
        deleted_at_ms,
        ..golden("service")
    }
}

fn cluster(name: &str, status: ClusterStatus, deleted_at_ms: Option<TimestampMs>) -> Cluster {
    let (name, created_at_ms) = (ClusterName::new(name), LONG_AGO_MS);
    Cluster { name, status, created_at_ms, deleted_at_ms, ..golden("cluster") }
}

fn definition(family: &str, status: TaskDefinitionStatus) -> TaskDefinition {
    TaskDefinition { family: Family::new(family), status, ..golden("task_definition") }
}

fn history(service: &str, id: &str, status: ServiceDeploymentStatus) -> ServiceDeployment {
    let is_over = status != ServiceDeploymentStatus::InProgress;
    ServiceDeployment {
        service: ServiceName::new(service),
        id: ServiceDeploymentId::new(id),
        target_revision: DeploymentId::new(id),
        status,
        updated_at_ms: LONG_AGO_MS,
        finished_at_ms: is_over.then_some(LONG_AGO_MS),
        ..golden("service_deployment")
    }
}

fn revision(service: &str, id: &str) -> ServiceRevision {
    let (service, id) = (ServiceName::new(service), DeploymentId::new(id));
    ServiceRevision { service, id, ..golden("service_revision") }
}

/// One of everything that is never forgotten, however old it is.
fn put_what_stays(tx: &mut Transaction<'_>) {
    tx.put(golden::<AccountSetting>("account_setting"));
    tx.put(golden::<AddressCursor>("address_cursor"));
    tx.put(golden::<ContainerInstance>("container_instance"));
    tx.put(KmsKey { deletion: None, ..golden("kms_key") });
    tx.put(golden::<KmsAlias>("kms_alias"));
    tx.put(golden::<KmsGrant>("kms_grant"));
    tx.put(golden::<NetworkInterface>("network_interface"));
    tx.put(golden::<Node>("node"));
    tx.put(golden::<NodeIdentity>("node_identity"));
    tx.put(Secret { deletion: None, ..golden("secret") });
    tx.put(golden::<SecretValue>("secret_value"));
    tx.put(golden::<SecurityGroup>("security_group"));
    tx.put(golden::<Subnet>("subnet"));
    tx.put(golden::<TaskDefinitionFamily>("family"));
    tx.put(golden::<Vpc>("vpc"));
    tx.put(cluster("default", ClusterStatus::Active, None));
    // Deleted, but the node of an instance may still come back to it.
    let instance = golden::<ContainerInstance>("container_instance");
    let id = tx.container_instance_id();
    tx.put(ContainerInstance { cluster: ClusterName::new("full"), id, ..instance });
    tx.put(cluster("full", ClusterStatus::Inactive, Some(LONG_AGO_MS)));
    tx.put(service("kept", ServiceStatus::Active, None));
    tx.put(service("draining", ServiceStatus::Draining, Some(LONG_AGO_MS)));
    let mut with_history = service("shown", ServiceStatus::Active, None);
    with_history.deployments[0].id = DeploymentId::new("current");
    tx.put(with_history);
    tx.put(history("shown", "current", ServiceDeploymentStatus::Successful));
    tx.put(history("shown", "in-progress", ServiceDeploymentStatus::InProgress));
    tx.put(revision("shown", "current"));
    tx.put(definition("active", TaskDefinitionStatus::Active));
    tx.put(definition("inactive", TaskDefinitionStatus::Inactive));
    // To be deleted, but somebody still runs it.
    tx.put(definition("used", TaskDefinitionStatus::DeleteInProgress));
    tx.put(Task {
        family: Family::new("used"),
        last_status: TaskStatus::Running,
        ..stopped_task("running", LONG_AGO_MS)
    });
    tx.put(of_service(stopped_task("not-noted", LONG_AGO_MS), "kept", false));
}

fn rows_of<R: InTables>(tables: &Tables, rows: &mut BTreeSet<String>) {
    rows.extend(R::table(tables).rows().map(|row| format!("{} {}", R::TABLE, row.key())));
}

/// Every row as text.
fn all_rows(tables: &Tables) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    rows_of::<AccountSetting>(tables, &mut rows);
    rows_of::<AddressCursor>(tables, &mut rows);
    rows_of::<Cluster>(tables, &mut rows);
    rows_of::<ContainerInstance>(tables, &mut rows);
    rows_of::<IdempotencyToken>(tables, &mut rows);
    rows_of::<KmsAlias>(tables, &mut rows);
    rows_of::<KmsGrant>(tables, &mut rows);
    rows_of::<KmsKey>(tables, &mut rows);
    rows_of::<NetworkInterface>(tables, &mut rows);
    rows_of::<Node>(tables, &mut rows);
    rows_of::<NodeIdentity>(tables, &mut rows);
    rows_of::<Secret>(tables, &mut rows);
    rows_of::<SecretValue>(tables, &mut rows);
    rows_of::<SecurityGroup>(tables, &mut rows);
    rows_of::<Service>(tables, &mut rows);
    rows_of::<ServiceDeployment>(tables, &mut rows);
    rows_of::<ServiceRevision>(tables, &mut rows);
    rows_of::<Subnet>(tables, &mut rows);
    rows_of::<Task>(tables, &mut rows);
    rows_of::<TaskDefinition>(tables, &mut rows);
    rows_of::<TaskDefinitionFamily>(tables, &mut rows);
    rows_of::<Vpc>(tables, &mut rows);
    rows
}

struct House {
    store: Store,
    clock: Arc<ManualClock>,
    retention: RetentionController,
}

impl House {
    async fn new(put: impl FnOnce(&mut Transaction<'_>)) -> Self {
        let clock = Arc::new(ManualClock::at(SINCE_MS));
        let store = Store::in_memory(clock.clone(), Arc::new(SeededIds::new(1)));
        let written = store.write(|tx| {
            put_what_stays(tx);
            put(tx);
            Ok::<_, Infallible>(())
        });
        written.await.unwrap();
        Self { store, clock, retention: RetentionController::new(Settings::default()) }
    }

    /// The rows that are gone after `ms` more.
    async fn gone_after(&mut self, ms: i64) -> BTreeSet<String> {
        let before = all_rows(&self.store.snapshot());
        self.clock.advance(ms);
        self.retention.activate(&self.store, Extent::All).await.unwrap();
        let after = all_rows(&self.store.snapshot());
        assert!(after.is_subset(&before), "retention makes nothing");
        before.difference(&after).cloned().collect()
    }
}

/// What is put goes when its life is over, not a millisecond earlier, and all else stays.
async fn check(put: impl FnOnce(&mut Transaction<'_>), life_ms: i64, goes: &[&str]) {
    let mut house = House::new(put).await;
    let early = house.gone_after(life_ms - 1).await;
    assert!(early.is_empty(), "too early: {early:?}");
    let expected: BTreeSet<String> =
        goes.iter().map(|row| row.replacen(' ', &format!(" {SCOPE}/"), 1)).collect();
    assert_eq!(house.gone_after(1).await, expected);
    assert!(house.gone_after(1_000 * life_ms).await.is_empty(), "nothing else goes, ever");
}

#[tokio::test]
async fn a_task_goes_when_its_life_is_over() {
    let life_ms = Settings::default().stopped_task_life_ms;
    check(|tx| tx.put(stopped_task("over", SINCE_MS)), life_ms, &["task default/over"]).await;
    let noted = of_service(stopped_task("noted", SINCE_MS), "kept", true);
    check(|tx| tx.put(noted), life_ms, &["task default/noted"]).await;
}

#[tokio::test]
async fn a_service_goes_with_its_history_and_a_cluster_when_its_life_is_over() {
    let life_ms = Settings::default().inactive_life_ms;
    let put = |tx: &mut Transaction<'_>| {
        tx.put(service("gone", ServiceStatus::Inactive, Some(SINCE_MS)));
        tx.put(history("gone", "of-it", ServiceDeploymentStatus::InProgress));
        tx.put(revision("gone", "of-it"));
    };
    let goes = [
        "service default/gone",
        "service_deployment default/gone/of-it",
        "service_revision default/gone/of-it",
    ];
    check(put, life_ms, &goes).await;
    let put = |tx: &mut Transaction<'_>| {
        tx.put(cluster("gone", ClusterStatus::Inactive, Some(SINCE_MS)));
    };
    check(put, life_ms, &["cluster gone"]).await;
}

#[tokio::test]
async fn old_history_and_tokens_go_when_their_lives_are_over() {
    let put = |tx: &mut Transaction<'_>| {
        let over = history("shown", "over", ServiceDeploymentStatus::Successful);
        tx.put(ServiceDeployment { finished_at_ms: Some(SINCE_MS), ..over });
        tx.put(revision("shown", "over"));
    };
    let goes = ["service_deployment default/shown/over", "service_revision default/shown/over"];
    check(put, Settings::default().service_history_life_ms, &goes).await;
    let token: IdempotencyToken = golden("idempotency_token");
    let token = IdempotencyToken { token: "old".into(), created_at_ms: SINCE_MS, ..token };
    let goes = ["idempotency_token RunTask/old"];
    check(|tx| tx.put(token), IDEMPOTENCY_TOKEN_LIFE_MS, &goes).await;
}

#[tokio::test]
async fn a_secret_goes_with_its_values_when_its_recovery_window_is_over() {
    let window_ms = 7 * 86_400_000;
    let deletion = Some(Deletion { requested_at_ms: SINCE_MS, window_ms });
    let put = |tx: &mut Transaction<'_>| {
        tx.put(Secret { name: "gone".into(), deletion, ..golden("secret") });
        tx.put(SecretValue { secret: "gone".into(), ..golden("secret_value") });
    };
    check(put, window_ms, &["secret gone", "secret_value gone/7"]).await;
}

#[tokio::test]
async fn a_kms_key_goes_with_its_aliases_and_grants_when_its_waiting_period_is_over() {
    let deletion = Some(KmsKeyDeletion { requested_at_ms: SINCE_MS, window_days: 7 });
    let put = |tx: &mut Transaction<'_>| {
        tx.put(KmsKey { id: "gone".into(), deletion, ..golden("kms_key") });
        tx.put(KmsAlias {
            name: "alias/gone".into(),
            key_id: "gone".into(),
            ..golden("kms_alias")
        });
        tx.put(KmsGrant { key_id: "gone".into(), id: "g".into(), ..golden("kms_grant") });
    };
    let goes = ["kms_key gone", "kms_alias alias/gone", "kms_grant gone/g"];
    check(put, 7 * 86_400_000, &goes).await;
}

#[tokio::test]
async fn what_waits_for_something_else_goes_with_the_next_pass_after_it() {
    // A revision that is to be deleted, when nothing runs it any more.
    let put = |tx: &mut Transaction<'_>| {
        tx.put(definition("unused", TaskDefinitionStatus::DeleteInProgress));
    };
    let mut house = House::new(put).await;
    let unused = BTreeSet::from([format!("task_definition {SCOPE}/unused/1")]);
    assert_eq!(house.gone_after(0).await, unused);
    // One of a service that was deleted goes, one of a service that still stops its tasks does not.
    let put = |tx: &mut Transaction<'_>| {
        for (name, status) in
            [("over", ServiceStatus::Inactive), ("ending", ServiceStatus::Draining)]
        {
            let mut of_service = service(name, status, Some(SINCE_MS));
            of_service.deployments[0].family = Family::new(name);
            tx.put(of_service);
            tx.put(definition(name, TaskDefinitionStatus::DeleteInProgress));
        }
    };
    let mut house = House::new(put).await;
    let over = BTreeSet::from([format!("task_definition {SCOPE}/over/1")]);
    assert_eq!(house.gone_after(0).await, over);
    // A task of a service that is gone is noted by nobody.
    let orphan = of_service(stopped_task("orphan", SINCE_MS), "deleted", false);
    let mut house = House::new(|tx| tx.put(orphan)).await;
    let gone = house.gone_after(Settings::default().stopped_task_life_ms).await;
    assert_eq!(gone, BTreeSet::from([format!("task {SCOPE}/default/orphan")]));
}

#[tokio::test]
async fn a_wall_clock_that_is_set_forgets_nothing() {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let mut house = House::new(|tx| tx.put(stopped_task("over", SINCE_MS))).await;
    house.retention.activate(&house.store, Extent::All).await.unwrap();
    house.clock.step(YEAR_MS);
    assert!(house.gone_after(1).await.is_empty());
}
