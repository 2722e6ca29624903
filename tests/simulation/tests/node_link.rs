//! The calls of the node link, one at a time, over HTTP and without.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use futures_util::{FutureExt, stream};
use http_body_util::BodyExt;
use outport_controllers::Heartbeats;
use outport_controllers::node_link::{
    CredentialSource, LinkConfig, LinkError, LogSink, NodeAuthority, NodeLink, NotIssued,
    SinkError, TaskRoleSource, observe, router,
};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::node_identity::{KeyFingerprint, NodeIdentity};
use outport_model::task::{StopCode, Task};
use outport_model::{ContainerInstanceId, NodeId, TaskId, TaskStatus};
use outport_node_protocol::{
    Assignment, AssignmentRequest, CredentialRequest, DOOR_VERSION, IssuedCertificate, JoinRequest,
    KnownGenerations, LogBatch, LogCursor, LogDestination, POLL_MS_MAX, ProtocolVersions, Refusal,
    RefusalCode, Registered, Registration, RegistryCredential, Report, Reported, TaskCredentials,
    TaskNetwork, TaskReport, TaskSection, call_path,
};
use outport_planner::Settings;
use outport_planner::node_admission::ProvenNode;
use outport_planner::task_end::give_up;
use outport_service_ecs::task_definition::Workloads;
use outport_simulation::user::{self, Answer, User};
use outport_store::journal::MemoryJournal;
use outport_store::{ManualClock, Row, SeededIds, Store, Transaction};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

#[path = "node_link/attributes.rs"]
mod attributes;
#[path = "node_link/belief.rs"]
mod belief;
#[path = "node_link/refusals.rs"]
mod refusals;
#[path = "node_link/speaker.rs"]
mod speaker;
#[path = "node_link/tags.rs"]
mod tags;
#[path = "node_link/versions.rs"]
mod versions;
#[path = "node_link/waiting.rs"]
mod waiting;

use speaker::Speaker;

type Request = axum::http::Request<Body>;

struct House {
    clock: Arc<ManualClock>,
    store: Store,
    link: NodeLink,
    node: Speaker,
    heartbeats: Arc<Heartbeats>,
}

struct Fixed;

#[async_trait]
impl LogSink for Fixed {
    async fn append(
        &self,
        _task: &Task,
        _execution_role: Option<&str>,
        _destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError> {
        Ok(LogCursor { committed: batch.to_cursor })
    }
}

#[async_trait]
impl CredentialSource for Fixed {
    async fn issue(
        &self,
        task: &Task,
        _execution_role: Option<&str>,
        _registry: Option<&outport_model::Scope>,
    ) -> Result<RegistryCredential, SinkError> {
        Ok(RegistryCredential {
            user: "AWS".into(),
            password: task.id.to_string(),
            expires_at_ms: 1,
        })
    }
}

#[async_trait]
impl TaskRoleSource for Fixed {
    async fn issue(&self, task: &Task, role_arn: &str) -> Result<TaskCredentials, SinkError> {
        Ok(TaskCredentials {
            role_arn: role_arn.to_owned(),
            access_key_id: task.id.to_string(),
            secret_access_key: "secret".into(),
            session_token: "token".into(),
            expires_at_ms: 2,
            lifetime_ms: 1,
        })
    }
}

/// A certificate request is its key here, and the proof of the join token the word.
impl NodeAuthority for Fixed {
    fn admit(&self, request: &JoinRequest) -> Result<KeyFingerprint, NotIssued> {
        match request.proof.as_str() {
            "token" => self.key(&request.certificate_request),
            _ => Err(NotIssued::WrongToken),
        }
    }

    fn key(&self, certificate_request: &str) -> Result<KeyFingerprint, NotIssued> {
        Ok(KeyFingerprint::new(certificate_request))
    }

    fn issue(
        &self,
        node: &NodeId,
        certificate_request: &str,
    ) -> Result<IssuedCertificate, NotIssued> {
        Ok(IssuedCertificate { certificate_chain: format!("{node} {certificate_request}") })
    }
}

/// Of a house.
const NODES_MAX: usize = 8;

fn house_on(journal: &MemoryJournal) -> House {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let ids = Arc::new(SeededIds::new(3));
    let store = Store::with_journal(journal.clone(), clock.clone(), ids).unwrap();
    let registered = Registered {
        registry_host: "127.0.0.1:4566".into(),
        registry_names: Vec::new(),
        vpc_cidr: "172.31.0.0/16".into(),
        protocol_version: 1,
        takes_report_changes: true,
    };
    let heartbeats = Arc::new(Heartbeats::new(store.now().steady_ms));
    let link = NodeLink::new(
        store.clone(),
        LinkConfig {
            scope: user::scope(),
            registered,
            workloads: Arc::new(Workloads::default()),
            nodes_max: NODES_MAX,
        },
        heartbeats.clone(),
        Arc::new(Fixed),
        Arc::new(Fixed),
        Arc::new(Fixed),
    )
    .with_task_roles(Arc::new(Fixed));
    House { clock, store, link, node: Speaker::new(1), heartbeats }
}

/// A house with a node that has joined.
fn house() -> House {
    let mut house = house_on(&MemoryJournal::default());
    house.set_up();
    house.register();
    house.know(&house.node.id, "key");
    house
}

impl House {
    fn write<T>(&self, change: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let written = self.store.write(|tx| Ok::<_, Infallible>(change(tx)));
        written.now_or_never().unwrap().unwrap()
    }
    fn know(&self, node: &NodeId, key: &str) {
        let identity = NodeIdentity {
            node: node.clone(),
            keys: vec![KeyFingerprint::new(key)],
            joined_at_ms: self.store.now_ms(),
            revoked_at_ms: None,
        };
        self.write(|tx| tx.put(identity));
    }
    fn revoke(&self, node: &NodeId) {
        self.write(|tx| {
            let now_ms = tx.now_ms();
            tx.update(node, |row: &mut NodeIdentity| row.revoked_at_ms = Some(now_ms))
        });
    }
    /// The node joins, and reports: from then on it gets tasks.
    fn register(&mut self) {
        self.join();
        let report = self.node.report();
        self.report(&report);
    }
    fn join(&self) {
        self.link.register(self.node.registration()).now_or_never().unwrap().unwrap();
    }
    fn set_up(&self) {
        self.write(user::set_up);
        self.user().register_families().now_or_never().unwrap();
    }
    fn user(&self) -> User {
        User::new(&self.store, Settings::default(), Workloads::default())
    }
    fn call(&self, operation: &str, input: &Value) -> Value {
        match self.user().call(operation, input).now_or_never().unwrap() {
            Answer::Taken(output) => output,
            answer => panic!("{operation} {input}: {answer:?}"),
        }
    }
    fn run_task(&self, family: usize) {
        let answer = self.call("RunTask", &user::one_task(family));
        assert_eq!(answer["failures"], json!([]));
    }
    fn ask(&self, tasks: u64) -> Option<Arc<TaskSection>> {
        self.ask_as(tasks, true)
    }
    fn ask_as(&self, tasks: u64, takes_changes: bool) -> Option<Arc<TaskSection>> {
        let node = self.node.id.clone();
        let known = KnownGenerations { tasks };
        let boot_id = Some(self.node.registration().boot_id);
        let request =
            AssignmentRequest { node, known, takes_changes, takes_secrets: true, boot_id };
        let news = self.link.assignment(&request).now_or_never().unwrap().unwrap();
        news.map(|news| news.tasks.expect("it is the only section"))
    }
    fn only_task(&self) -> Arc<Task> {
        let snapshot = self.store.snapshot();
        assert_eq!(snapshot.tasks.len(), 1);
        Arc::clone(snapshot.tasks.iter().next().unwrap())
    }
    fn report(&self, report: &Report) -> Reported {
        self.link.report(report).now_or_never().unwrap().unwrap()
    }
}

#[test]
fn a_generation_grows_with_every_change_and_over_restarts() {
    let journal = MemoryJournal::default();
    let mut house = house_on(&journal);
    house.set_up();
    house.register();
    let first = house.ask(0).expect("it knows none");
    assert!(first.tasks.is_empty());
    assert_eq!(house.ask(first.generation), None, "nothing new");
    house.run_task(0);
    let second = house.ask(first.generation).expect("there is a task");
    assert!(second.generation > first.generation);
    assert_eq!(second.since, Some(first.generation), "what changed");
    let again = house.ask(first.generation).expect("asked again, told again");
    assert_eq!(again.since, None, "and whole: only the last change is remembered");
    assert_eq!(first.with(second.as_ref().clone()), Some(again.as_ref().clone()));

    let restarted = house_on(&journal);
    let third = restarted.ask(second.generation).expect("another control plane tells all anew");
    assert!(third.generation > second.generation);
    assert_eq!((third.since, &third.tasks), (None, &second.tasks));

    let far_ahead = third.generation + 1_000;
    let fourth = restarted.ask(far_ahead).expect("a node that is ahead is caught up with");
    assert!(fourth.generation > far_ahead);
}

#[test]
fn an_assignment_has_all_that_a_task_needs() {
    let house = house();
    house.run_task(0);
    let assignment = house.ask(0).unwrap();
    let task = &assignment.tasks[0];
    let TaskNetwork::Awsvpc(network) = &task.network else { panic!("{:?}", task.network) };
    assert_eq!(network.address.to_string(), "172.31.0.4");
    assert_eq!(network.gateway.to_string(), "172.31.0.1");
    assert_eq!((network.prefix, network.vpc_cidr.as_str()), (28, "172.31.0.0/16"));
    assert_eq!(network.security_groups, ["sg-1"]);
    assert_eq!((task.limits.cpu_units, task.limits.memory_mib), (Some(256), Some(512)));
    let container = &task.containers[0];
    assert_eq!(container.definition.stop_timeout_s, 30);
    assert_eq!(container.ports[0].host_port, 8_000);
    assert!(container.definition.environment.contains(&("AWS_REGION".into(), "us-east-1".into())));
}

#[test]
fn an_open_port_is_chosen_and_told() {
    let house = house();
    house.run_task(1);
    house.run_task(1);
    let assignment = house.ask(0).unwrap();
    let ports: Vec<u16> =
        assignment.tasks.iter().map(|task| task.containers[0].ports[0].host_port).collect();
    assert_ne!(ports[0], ports[1]);
    assert!(ports.iter().all(|port| *port >= 61_000));
}

#[test]
fn a_task_that_was_stopped_before_its_node_saw_it_ends() {
    let mut house = house();
    house.run_task(0);
    house.call("StopTask", &json!({ "task": house.only_task().id.as_str() }));
    let assignment = house.ask(0).unwrap();
    house.node.take(assignment.as_ref().clone());
    let report = house.node.report();
    assert!(report.tasks.is_empty());
    house.report(&report);
    let task = house.only_task();
    assert_eq!(task.last_status, TaskStatus::Stopped);
    assert_eq!(task.stop_code, Some(StopCode::UserInitiated));
    assert!(house.store.snapshot().network_interfaces.is_empty(), "its address is free");
    assert!(house.ask(assignment.generation).unwrap().tasks.is_empty());
}

#[test]
fn only_a_whole_report_says_that_a_task_is_not_there() {
    let mut house = house();
    house.run_task(0);
    house.call("StopTask", &json!({ "task": house.only_task().id.as_str() }));
    house.node.take(house.ask(0).unwrap().as_ref().clone());
    let changes = Report { changes_only: true, ..house.node.report() };
    assert!(changes.tasks.is_empty());
    house.report(&changes);
    assert_ne!(house.only_task().last_status, TaskStatus::Stopped, "nothing was said of it");
    let whole = house.node.report();
    house.report(&whole);
    assert_eq!(house.only_task().last_status, TaskStatus::Stopped);
}

#[test]
fn a_machine_that_booted_has_lost_its_tasks() {
    let mut house = house();
    house.run_task(0);
    house.node.reboot();
    house.clock.advance(12_000);
    house.register();
    let task = house.only_task();
    assert_eq!(task.last_status, TaskStatus::Stopped);
    assert_eq!(task.stop_code, Some(StopCode::InfrastructureHealth));
}

/// A copy of a node's data on another machine, with its key: what runs on the first one is not ended for it.
#[test]
fn a_copy_of_a_node_waits_while_the_node_is_heard() {
    let mut house = house();
    house.run_task(0);
    let mut copy = house.node.registration();
    copy.boot_id = "another".to_owned();
    for _ in 0..3 {
        house.clock.advance(10_000);
        let report = house.node.report();
        house.report(&report);
        house.clock.advance(1_999);
        let refused = house.link.register(copy.clone()).now_or_never().unwrap();
        let Err(LinkError::Unavailable(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("another boot") && text.contains("1999 ms ago"), "{text}");
        assert_ne!(house.only_task().last_status, TaskStatus::Stopped);
    }
}

/// The node of before a boot, or the machine whose copy has joined: what it says is refused aloud, so that it registers
/// again; and it is told nothing, so that it ends nothing.
#[test]
fn what_another_boot_says_or_asks_is_refused_until_it_registers_again() {
    let mut house = house();
    house.run_task(0);
    let mut other = house.node.clone();
    house.node.reboot();
    house.clock.advance(12_000);
    house.join();
    let heard_ms = house.heartbeats.last_heard_ms(&house.node.id);
    house.clock.advance(3_000);
    let refused = house.link.report(&other.report()).now_or_never().unwrap();
    let Err(LinkError::OtherBoot(_)) = &refused else { panic!("{refused:?}") };
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("register again") && text.contains("a copy of the other"), "{text}");
    let request = AssignmentRequest {
        node: other.id.clone(),
        known: KnownGenerations::default(),
        takes_changes: true,
        takes_secrets: true,
        boot_id: Some(other.registration().boot_id),
    };
    let refused = house.link.assignment(&request).now_or_never().unwrap();
    assert!(matches!(refused, Err(LinkError::OtherBoot(_))), "{refused:?}");
    assert_eq!(house.heartbeats.last_heard_ms(&house.node.id), heard_ms, "nobody was heard");

    // The boot that joined last is silent: the other one takes its place again.
    house.clock.advance(9_000);
    house.link.register(other.registration()).now_or_never().unwrap().unwrap();
    house.report(&other.report());
    assert!(house.link.assignment(&request).now_or_never().unwrap().is_ok());
    // An older node does not say of which boot it is.
    let request = AssignmentRequest { boot_id: None, ..request };
    assert!(house.link.assignment(&request).now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn what_another_boot_says_is_answered_with_409() {
    let house = house();
    let id = house.node.id.to_string();
    let mut report = house.node.clone().report();
    report.boot_id = "another".to_owned();
    let report = serde_json::to_string(&report).unwrap();
    assert_eq!(call(&house.link, "report", Some(&id), report).await.0, 409);
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":0}},"boot_id":"another"}}"#);
    assert_eq!(call(&house.link, "assignment", Some(&id), ask).await.0, 409);
}

#[test]
fn a_late_report_changes_nothing() {
    let mut house = house();
    house.run_task(0);
    house.node.take(house.ask(0).unwrap().as_ref().clone());
    let early = house.node.report();
    let late = house.node.report();
    house.report(&late);
    let version = house.store.snapshot().version();
    house.report(&early);
    house.report(&late);
    assert_eq!(house.store.snapshot().version(), version);
}

/// A task report of nothing but a status.
fn seen(task: &TaskId, status: TaskStatus) -> TaskReport {
    TaskReport {
        task: task.clone(),
        status,
        containers: Vec::new(),
        pull_started_at_ms: None,
        pull_stopped_at_ms: None,
        connectivity_at_ms: None,
        started_at_ms: None,
        stopping_at_ms: None,
        execution_stopped_at_ms: None,
        stopped_at_ms: None,
        stop: None,
    }
}

/// Its containers run until it knows that they are to end: whoever got their address or port there would not start.
#[test]
fn a_node_that_comes_back_gets_tasks_once_it_has_ended_those_that_were_given_up() {
    let mut house = house();
    house.run_task(0);
    let old = house.only_task().id.clone();
    house.node.take(house.ask(0).unwrap().as_ref().clone());
    house.write(|tx| {
        let end = give_up(tx.tasks.by_id(&old).unwrap(), "lost", tx.now_ms()).unwrap();
        tx.put_end(end);
        tx.update(&house.node.id, |node: &mut Node| node.connected = false);
    });
    let is_connected =
        |house: &House| house.store.snapshot().nodes.get(&house.node.id).unwrap().connected;
    // What is on its way to it brings the task yet.
    let report = house.node.report();
    house.report(&Report { generation: 0, tasks: Vec::new(), ..report });
    assert!(!is_connected(&house), "{old} may begin there");
    let report = house.node.report();
    assert_eq!(report.tasks.len(), 1);
    house.report(&report);
    assert!(!is_connected(&house), "{old} is there still");
    assert_eq!(house.call("RunTask", &user::one_task(0))["tasks"], json!([]));
    // It knows that the task is to end, and has not ended it.
    let told = house.ask(report.generation).expect("it is gone from the assignment");
    let mut report = Report { generation: told.generation, ..house.node.report() };
    house.report(&report);
    assert!(!is_connected(&house), "{old} is there still");
    report.sequence += 1;
    let changes = Report { tasks: Vec::new(), changes_only: true, ..report.clone() };
    assert!(house.report(&changes).wants_whole);
    assert!(!is_connected(&house), "nothing was said of {old}");
    report.sequence += 1;
    report.tasks = vec![seen(&old, TaskStatus::Stopped)];
    assert!(!house.report(&report).wants_whole);
    assert!(is_connected(&house), "what has stopped holds nothing");
    house.run_task(0);
}

#[test]
fn a_credential_is_for_live_tasks_of_the_node_only() {
    let house = house();
    house.run_task(0);
    let task = house.only_task().id.clone();
    let ask = |node: &NodeId| {
        let request = CredentialRequest::new(node.clone(), task.clone());
        house.link.registry_credential(&request).now_or_never().unwrap()
    };
    assert_eq!(ask(&house.node.id).unwrap().password, task.to_string());
    let other = ask(&NodeId::new("other"));
    assert!(matches!(other, Err(LinkError::UnknownTask(_))));
}

#[test]
fn the_credentials_of_a_task_are_for_its_node_while_it_lives() {
    let house = house();
    house.run_task(0);
    let (key, task) = (house.only_task().key(), house.only_task().id.clone());
    let change = |change: &dyn Fn(&mut Task)| house.write(|tx| tx.update(&key, change));
    let ask = |node: &NodeId, task: &TaskId| {
        let request = CredentialRequest::new(node.clone(), task.clone());
        house.link.task_credentials(&request).now_or_never().unwrap()
    };
    let (own, other) = (&house.node.id, NodeId::new("other"));
    let without = ask(own, &task).unwrap_err();
    assert_eq!(without.to_string(), "the task has no task role");
    change(&|row| row.overrides.task_role_arn = Some("app".to_owned()));
    let given = ask(own, &task).unwrap();
    assert_eq!(given.access_key_id, task.as_str());
    assert_eq!(
        given.role_arn, "arn:aws:iam::000000000000:role/app",
        "a name is one of the account"
    );
    let section = house.ask(0).unwrap();
    let assigned = section.tasks.iter().find(|assigned| assigned.task == task).unwrap();
    assert_eq!(assigned.task_role_arn.as_ref(), Some(&given.role_arn), "what the node is told");
    assert!(matches!(ask(&other, &task), Err(LinkError::UnknownTask(_))));
    let unknown = ask(own, &TaskId::new("0123456789abcdef0123456789abcdef"));
    assert!(matches!(unknown, Err(LinkError::UnknownTask(_))));
    change(&|row| row.last_status = TaskStatus::Stopped);
    assert!(matches!(ask(own, &task), Err(LinkError::UnknownTask(_))), "it has stopped");
}

/// The status and body of a call over a connection that has proven `key` of `caller`.
async fn call(link: &NodeLink, path: &str, caller: Option<&str>, body: String) -> (u16, String) {
    let (_stop, stopping) = watch::channel(false);
    let caller = caller.map(|caller| proven(caller, "key"));
    call_until(link, path, caller, body, stopping).await
}

const LIFE_MS: i64 = 1_000_000;

fn proven(node: &str, key: &str) -> ProvenNode {
    let now_ms = 1_700_000_000_000;
    let (not_before_ms, not_after_ms) = (now_ms - LIFE_MS, now_ms + LIFE_MS);
    let (node, key) = (NodeId::new(node), KeyFingerprint::new(key));
    ProvenNode { node, key, not_before_ms, not_after_ms }
}

async fn call_until(
    link: &NodeLink,
    path: &str,
    caller: Option<ProvenNode>,
    body: String,
    stopping: watch::Receiver<bool>,
) -> (u16, String) {
    let length = body.len();
    let request = request(path, caller, Some(length), body.into());
    answer(router(link.clone(), stopping), request).await
}

fn request(path: &str, caller: Option<ProvenNode>, length: Option<usize>, body: Body) -> Request {
    let version = match path {
        "join" | "certificate" | "register" => DOOR_VERSION,
        _ => ProtocolVersions::SPOKEN.highest,
    };
    request_at(version, path, caller, length, body)
}

fn request_at(
    version: u32,
    path: &str,
    caller: Option<ProvenNode>,
    length: Option<usize>,
    body: Body,
) -> Request {
    let mut request = axum::http::Request::post(call_path(version, path));
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    if let Some(caller) = caller {
        request = request.extension(caller);
    }
    request.body(body).unwrap()
}

async fn answer(router: Router, request: Request) -> (u16, String) {
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn code(answer: &(u16, String)) -> RefusalCode {
    assert!(matches!(answer.0, 401 | 403), "{answer:?}");
    serde_json::from_str::<Refusal>(&answer.1).unwrap().code
}

#[tokio::test]
async fn what_a_node_says_of_itself_is_bounded() {
    let house = house();
    let id = house.node.id.to_string();
    let mut long = house.node.registration();
    long.host_name = "h".repeat(254);
    let refused = house.link.register(long.clone()).await;
    assert!(matches!(refused, Err(LinkError::Malformed(_))), "{refused:?}");
    let body =
        serde_json::to_string(&long).unwrap().replace(&"h".repeat(254), &"h".repeat(10 << 20));
    assert_eq!(call(&house.link, "register", Some(&id), body).await.0, 413);
    let changes: [fn(&mut Registration); 4] = [
        |r| r.boot_id = "b".repeat(65),
        |r| r.agent_version = "v".repeat(65),
        |r| r.cluster = "c".repeat(256),
        |r| r.capacity.reserved_ports = vec![1; 101],
    ];
    for change in changes {
        let mut registration = house.node.registration();
        change(&mut registration);
        let refused = house.link.register(registration).await;
        assert!(matches!(refused, Err(LinkError::Malformed(_))), "{refused:?}");
    }
    let request = AssignmentRequest {
        node: house.node.id.clone(),
        known: KnownGenerations { tasks: u64::MAX },
        takes_changes: true,
        takes_secrets: true,
        boot_id: None,
    };
    let refused = house.link.assignment(&request).await;
    assert!(matches!(refused, Err(LinkError::Malformed(_))), "{refused:?}");
}

#[test]
fn a_node_that_only_asked_or_only_joined_gets_no_tasks() {
    let house = house_on(&MemoryJournal::default());
    house.set_up();
    let question = Registration { ask_only: true, ..house.node.registration() };
    let told = house.link.register(question).now_or_never().unwrap().unwrap();
    assert_eq!(told.vpc_cidr, "172.31.0.0/16");
    assert!(house.store.snapshot().nodes.iter().next().is_none(), "nothing is written down");
    house.join();
    let answer = house.call("RunTask", &user::one_task(0));
    assert_eq!(answer["tasks"], json!([]), "it has not reported");
    // Whose first poll is answered before it reports knows of nothing, and there is nothing.
    assert!(house.ask(0).is_some());
    house.report(&house.node.clone().report());
    house.run_task(0);
}

#[test]
fn a_cluster_has_as_many_container_instances_as_at_aws() {
    const QUOTA: usize = 5_000;
    let house = house_on(&MemoryJournal::default());
    house.set_up();
    house.join();
    let own = house.store.snapshot().container_instances.iter().next().cloned().unwrap();
    let other = |number: usize| ContainerInstance {
        id: ContainerInstanceId::new(format!("{number:032x}")),
        node: NodeId::new(format!("{number:032x}")),
        ..ContainerInstance::clone(&own)
    };
    let fill = |tx: &mut Transaction<'_>| {
        (1_001..1_000 + QUOTA).for_each(|number| tx.put(other(number)));
        Ok::<_, Infallible>(())
    };
    house.write(fill).unwrap();
    let join = |node: &Speaker| house.link.register(node.registration()).now_or_never().unwrap();
    let refused = join(&Speaker::new(9)).unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(text) if text.contains("5000")), "{refused}");
    assert_eq!(house.store.snapshot().container_instances.len(), QUOTA, "nothing of it is kept");
    join(&house.node).expect("who is one of them comes again");
    let deregister = |tx: &mut Transaction<'_>| {
        let status = ContainerInstanceStatus::Inactive;
        tx.put(ContainerInstance { status, ..other(1_001) });
        Ok::<_, Infallible>(())
    };
    house.write(deregister).unwrap();
    join(&Speaker::new(9)).expect("one was deregistered");
}

#[test]
fn nobody_who_has_no_row_is_remembered() {
    let house = house();
    let ask = |number: u32| {
        let node = NodeId::new(format!("{number:032x}"));
        let known = KnownGenerations::default();
        let request = AssignmentRequest {
            node: node.clone(),
            known,
            takes_changes: true,
            takes_secrets: true,
            boot_id: None,
        };
        let refused = house.link.assignment(&request).now_or_never().unwrap();
        assert!(matches!(refused, Err(LinkError::NotRegistered(_))));
        assert_eq!(house.heartbeats.last_heard_ms(&node), None);
    };
    (100..200).for_each(ask);
}

#[test]
fn a_task_is_kept_from_when_we_heard_of_its_end_whatever_its_node_says() {
    let house = house();
    house.run_task(0);
    let task = house.only_task();
    let now_ms = house.store.now_ms();
    let mut report = seen(&task.id, TaskStatus::Stopped);
    report.started_at_ms = Some(5);
    report.stopped_at_ms = Some(now_ms - 31_536_000_000);
    let after = observe::news(&house.store.snapshot(), &house.node.id, &report, now_ms).unwrap();
    let after = after.task();
    assert_eq!((after.started_at_ms, after.stopped_at_ms), (Some(now_ms), Some(now_ms)));
}
