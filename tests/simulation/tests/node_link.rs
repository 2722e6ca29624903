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
    SinkError, observe, router,
};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::node_identity::{KeyFingerprint, NodeIdentity};
use outport_model::task::{StopCode, Task};
use outport_model::{ContainerInstanceId, NodeId, Scope, TaskId, TaskStatus};
use outport_node_protocol::{
    Assignment, AssignmentRequest, CredentialRequest, IssuedCertificate, JoinRequest, LogBatch,
    LogCursor, LogDestination, POLL_MS_MAX, Refusal, RefusalCode, Registered, Registration,
    RegistryCredential, Report, TaskNetwork, TaskReport, call_path,
};
use outport_planner::Settings;
use outport_planner::node_admission::ProvenNode;
use outport_simulation::node::FakeNode;
use outport_simulation::user;
use outport_store::journal::MemoryJournal;
use outport_store::{ManualClock, Row, SeededIds, Store, Transaction};
use tokio::sync::watch;
use tower::ServiceExt;

#[path = "node_link/versions.rs"]
mod versions;

type Request = axum::http::Request<Body>;

struct House {
    store: Store,
    link: NodeLink,
    node: FakeNode,
    heartbeats: Arc<Heartbeats>,
}

struct Fixed;

#[async_trait]
impl LogSink for Fixed {
    async fn append(
        &self,
        _scope: &Scope,
        _destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError> {
        Ok(LogCursor { committed: batch.to_cursor })
    }
}

#[async_trait]
impl CredentialSource for Fixed {
    async fn issue(&self, _scope: &Scope, task: &Task) -> Result<RegistryCredential, SinkError> {
        Ok(RegistryCredential {
            user: "AWS".into(),
            password: task.id.to_string(),
            expires_at_ms: 1,
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

fn house_on(journal: &MemoryJournal) -> House {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let store = Store::with_journal(journal.clone(), clock, Arc::new(SeededIds::new(3))).unwrap();
    let registered = Registered {
        registry_host: "127.0.0.1:4566".into(),
        registry_names: Vec::new(),
        vpc_cidr: "172.31.0.0/16".into(),
        protocol_version: 1,
    };
    let heartbeats = Arc::new(Heartbeats::new(store.now().steady_ms));
    let link = NodeLink::new(
        store.clone(),
        LinkConfig { scope: user::scope(), registered },
        heartbeats.clone(),
        Arc::new(Fixed),
        Arc::new(Fixed),
        Arc::new(Fixed),
    );
    House { store, link, node: FakeNode::new(1), heartbeats }
}

/// A house with a node that has joined.
fn house() -> House {
    let mut house = house_on(&MemoryJournal::default());
    house.write(user::set_up);
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
    fn run_task(&self, family: usize) {
        self.write(|tx| user::run_task(tx, family, &Settings::default())).unwrap();
    }
    fn ask(&self, known_generation: u64) -> Option<Arc<Assignment>> {
        let request = AssignmentRequest { node: self.node.id.clone(), known_generation };
        self.link.assignment(&request).now_or_never().unwrap().unwrap()
    }
    fn only_task(&self) -> Arc<Task> {
        let snapshot = self.store.snapshot();
        assert_eq!(snapshot.tasks.len(), 1);
        Arc::clone(snapshot.tasks.iter().next().unwrap())
    }
    fn report(&self, report: &Report) {
        self.link.report(report).now_or_never().unwrap().unwrap();
    }
}

#[test]
fn a_generation_grows_with_every_change_and_over_restarts() {
    let journal = MemoryJournal::default();
    let mut house = house_on(&journal);
    house.write(user::set_up);
    house.register();
    let first = house.ask(0).expect("it knows none");
    assert!(first.tasks.is_empty());
    assert_eq!(house.ask(first.generation), None, "nothing new");
    house.run_task(0);
    let second = house.ask(first.generation).expect("there is a task");
    assert!(second.generation > first.generation);
    assert_eq!(house.ask(first.generation), Some(second.clone()), "asked again, told again");

    let restarted = house_on(&journal);
    let third = restarted.ask(second.generation).expect("another control plane tells all anew");
    assert!(third.generation > second.generation);
    assert_eq!(third.tasks, second.tasks);

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
    assert_eq!(container.stop_timeout_s, 30);
    assert_eq!(container.ports[0].host_port, 8_000);
    assert!(container.environment.contains(&("AWS_REGION".into(), "us-east-1".into())));
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
    let key = house.only_task().key();
    house.write(|tx| user::stop_task(tx, &key));
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
fn a_machine_that_booted_has_lost_its_tasks() {
    let mut house = house();
    house.run_task(0);
    house.node.reboot();
    house.register();
    let task = house.only_task();
    assert_eq!(task.last_status, TaskStatus::Stopped);
    assert_eq!(task.stop_code, Some(StopCode::InfrastructureHealth));
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

#[test]
fn a_credential_is_for_live_tasks_of_the_node_only() {
    let house = house();
    house.run_task(0);
    let task = house.only_task().id.clone();
    let ask = |node: &NodeId| {
        let request = CredentialRequest { node: node.clone(), task: task.clone() };
        house.link.registry_credential(&request).now_or_never().unwrap()
    };
    assert_eq!(ask(&house.node.id).unwrap().password, task.to_string());
    let other = ask(&NodeId::new("other"));
    assert!(matches!(other, Err(LinkError::UnknownTask(_))));
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
    let mut request = axum::http::Request::post(call_path(1, path));
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
async fn only_the_node_itself_is_heard() {
    let house = house();
    let id = house.node.id.to_string();
    let ask = format!(r#"{{"node":"{id}","known_generation":0}}"#);
    let link = &house.link;
    assert_eq!(call(link, "assignment", Some(&id), ask.clone()).await.0, 200);
    assert_eq!(call(link, "assignment", Some(&id), "{".into()).await.0, 400);
    let other = "f".repeat(32);
    let of_stranger = call(link, "assignment", Some(&other), ask.clone()).await;
    assert_eq!(code(&of_stranger), RefusalCode::UnknownNode);
    house.know(&NodeId::new(&other), "key");
    let of_other = call(link, "assignment", Some(&other), ask.clone()).await;
    assert_eq!(code(&of_other), RefusalCode::OtherNode);
    let of_nobody = call(link, "assignment", None, ask.clone()).await;
    assert_eq!(code(&of_nobody), RefusalCode::NoCertificate);
    let own = format!(r#"{{"node":"{other}","known_generation":0}}"#);
    assert_eq!(call(link, "assignment", Some(&other), own).await.0, 409, "not registered yet");
}

/// Every call but `join`, whoever makes it and whatever it says.
#[tokio::test]
async fn no_call_is_answered_to_who_is_not_believed() {
    let house = house();
    let id = house.node.id.to_string();
    for path in ["certificate", "register", "assignment", "report", "logs", "registry-credential"] {
        let big = "x".repeat(20 << 20);
        let answer = call(&house.link, path, None, big).await;
        assert_eq!(code(&answer), RefusalCode::NoCertificate, "{path}: nothing of it is read");
        let other_key = Some(proven(&id, "another key"));
        let (_stop, stopping) = watch::channel(false);
        let answer =
            call_until(&house.link, path, other_key, String::new(), stopping.clone()).await;
        assert_eq!(code(&answer), RefusalCode::UnknownNode, "{path}");
        for shift_ms in [-2 * LIFE_MS, 2 * LIFE_MS] {
            let mut caller = proven(&id, "key");
            caller.not_before_ms += shift_ms;
            caller.not_after_ms += shift_ms;
            let answer =
                call_until(&house.link, path, Some(caller), String::new(), stopping.clone()).await;
            assert_eq!(code(&answer), RefusalCode::CertificateOutOfTime, "{path}");
            assert!(answer.1.contains("set the clocks"), "{answer:?}");
        }
    }
    house.revoke(&house.node.id);
    for path in ["certificate", "register", "assignment", "report", "logs", "registry-credential"] {
        let answer = call(&house.link, path, Some(&id), String::new()).await;
        assert_eq!(code(&answer), RefusalCode::Revoked, "{path}");
    }
}

fn join(node: &str, key: &str, proof: &str) -> String {
    format!(r#"{{"node":"{node}","certificate_request":"{key}","proof":"{proof}"}}"#)
}

#[tokio::test]
async fn the_join_token_admits_and_takes_nobody_over() {
    let house = house();
    let id = house.node.id.to_string();
    let new = "a".repeat(32);
    let link = &house.link;
    let wrong = call(link, "join", None, join(&new, "k", "guess")).await;
    assert_eq!(code(&wrong), RefusalCode::WrongToken);
    assert!(house.store.snapshot().node_identities.get(&NodeId::new(&new)).is_none());
    let joined = call(link, "join", None, join(&new, "k", "token")).await;
    assert_eq!(joined.0, 200, "{joined:?}");
    assert!(joined.1.contains(&format!("{new} k")));
    assert_eq!(call(link, "join", None, join(&new, "k", "token")).await.0, 200, "a lost answer");

    // Who has the token and repeats or makes up a registration of a node that is there.
    let taken = call(link, "join", None, join(&id, "k", "token")).await;
    assert_eq!(code(&taken), RefusalCode::OtherKey);
    assert!(taken.1.contains("deregister-container-instance"), "it says what to do: {taken:?}");
    let ask = format!(r#"{{"node":"{id}","known_generation":0}}"#);
    assert_eq!(call(link, "assignment", Some(&id), ask).await.0, 200, "the node goes on");

    house.revoke(&house.node.id);
    let again = call(link, "join", None, join(&id, "key", "token")).await;
    assert_eq!(code(&again), RefusalCode::Revoked);
    assert_eq!(call(link, "join", None, join(&id, "fresh", "token")).await.0, 200);
    for id in ["", "../x", &"A".repeat(32), &"a".repeat(33)] {
        assert_eq!(call(link, "join", None, join(id, "k", "token")).await.0, 400, "{id}");
    }
    let big = join(&new, &"k".repeat(9_000), "token");
    assert_eq!(call(link, "join", None, big).await.0, 413);
}

#[tokio::test]
async fn a_renewed_key_takes_the_place_of_the_one_before_the_last() {
    let house = house();
    let id = house.node.id.to_string();
    let renew = async |from: &str, to: &str| {
        let (_stop, stopping) = watch::channel(false);
        let body = format!(r#"{{"node":"{id}","certificate_request":"{to}"}}"#);
        call_until(&house.link, "certificate", Some(proven(&id, from)), body, stopping).await.0
    };
    assert_eq!(renew("key", "second").await, 200);
    assert_eq!(renew("key", "second again").await, 200, "the answer was lost");
    assert_eq!(renew("second", "third").await, 403, "that one was never used");
    assert_eq!(renew("second again", "third").await, 200);
    assert_eq!(renew("key", "fourth").await, 403);
    let ask = format!(r#"{{"node":"{id}","known_generation":0}}"#);
    let (_stop, stopping) = watch::channel(false);
    let third = Some(proven(&id, "third"));
    assert_eq!(call_until(&house.link, "assignment", third, ask.clone(), stopping).await.0, 200);
    // Who took the key from an old disk: it is good until the next is used, and then no more.
    assert_eq!(renew("second again", "of the thief").await, 403);
    let keys = house.store.snapshot().node_identities.get(&house.node.id).unwrap().keys.clone();
    assert_eq!(keys, [KeyFingerprint::new("third")]);
}

/// A body that was begun while the node was believed, and ends after it was deregistered.
#[test]
fn a_node_that_was_deregistered_meanwhile_comes_back_by_nothing_that_it_says() {
    let house = house();
    house.revoke(&house.node.id);
    house.write(|tx| {
        tx.update(&house.node.id, |node: &mut Node| {
            (node.accepts_tasks, node.connected) = (false, false);
        });
    });
    let is_revoked = |answer: Result<(), LinkError>| {
        matches!(answer, Err(LinkError::Disbelieved { code: RefusalCode::Revoked, .. }))
    };
    let registered = house.link.register(house.node.registration()).now_or_never().unwrap();
    assert!(is_revoked(registered.map(drop)));
    let mut node = house.node.clone();
    assert!(is_revoked(house.link.report(&node.report()).now_or_never().unwrap()));
    let row = house.store.snapshot().nodes.get(&house.node.id).cloned().unwrap();
    assert!(!row.accepts_tasks && !row.connected);
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
    let request = AssignmentRequest { node: house.node.id.clone(), known_generation: u64::MAX };
    let refused = house.link.assignment(&request).await;
    assert!(matches!(refused, Err(LinkError::Malformed(_))), "{refused:?}");
}

/// Whatever a node does: without a length, longer than its call, and of the longest in great number, waiting,
/// dripping or both.
#[tokio::test]
async fn no_node_keeps_another_waiting() {
    const LONGEST: usize = 16 << 20;
    let house = house();
    let (hostile, honest) = ("e".repeat(32), house.node.id.to_string());
    house.know(&NodeId::new(&hostile), "key");
    let mut second = FakeNode::new(2);
    second.id = NodeId::new(&hostile);
    house.link.register(second.registration()).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let router = router(house.link.clone(), stopping);
    let of = |node: &str| Some(proven(node, "key"));
    let unsaid = request("assignment", of(&hostile), None, Body::empty());
    assert_eq!(answer(router.clone(), unsaid).await.0, 411);
    let long = request("assignment", of(&hostile), Some(LONGEST), Body::empty());
    assert_eq!(answer(router.clone(), long).await.0, 413, "it is not asked what the route takes");

    let known_generation = 1_u64 << 40;
    let poll = |node: &str| {
        let ask = format!(r#"{{"node":"{node}","known_generation":{known_generation}}}"#);
        request("assignment", of(node), Some(ask.len()), ask.into())
    };
    let told: Assignment =
        serde_json::from_str(&answer(router.clone(), poll(&hostile)).await.1).unwrap();
    let mut held = Vec::new();
    for number in 0..64 {
        // It waits for news; padded, so that it costs all that its route takes.
        let ask = format!(r#"{{"node":"{hostile}","known_generation":{}}}"#, told.generation);
        let padding = " ".repeat((64 << 10) - ask.len());
        let ask = ask + &padding;
        held.push(request("assignment", of(&hostile), Some(ask.len()), ask.into()));
        let never = Body::from_stream(stream::pending::<Result<String, Infallible>>());
        let path = ["report", "logs"][number % 2];
        held.push(request(path, of(&hostile), Some(LONGEST), never));
    }
    let held: Vec<_> =
        held.into_iter().map(|one| tokio::spawn(answer(router.clone(), one))).collect();
    for _ in 0..held.len() {
        tokio::task::yield_now().await;
    }
    let report = serde_json::to_string(&house.node.clone().report()).unwrap();
    let heard = async {
        let length = Some(report.len());
        let report = request("report", of(&honest), length, report.clone().into());
        (answer(router.clone(), report).await.0, answer(router.clone(), poll(&honest)).await.0)
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    assert_eq!(heard.expect("before any of the others ends"), (204, 200));
    assert!(held.iter().all(|one| !one.is_finished()));
}

#[tokio::test]
async fn a_waiting_node_is_told_of_a_new_task() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known_generation":{known}}}"#);
    let link = house.link.clone();
    let waiting = tokio::spawn(async move { call(&link, "assignment", Some(&id), ask).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    house.run_task(0);
    let (status, body) = waiting.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(house.only_task().id.as_str()));
}

#[tokio::test]
async fn a_waiting_node_is_told_that_it_was_deregistered() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known_generation":{known}}}"#);
    let link = house.link.clone();
    let waiting = tokio::spawn(async move { call(&link, "assignment", Some(&id), ask).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    house.revoke(&house.node.id);
    let answer = tokio::time::timeout(Duration::from_millis(POLL_MS_MAX / 2), waiting).await;
    assert_eq!(code(&answer.unwrap().unwrap()), RefusalCode::Revoked);
}

#[tokio::test]
async fn a_waiting_node_is_let_go_when_the_control_plane_stops() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known_generation":{known}}}"#);
    let (stop, stopping) = watch::channel(false);
    let link = house.link.clone();
    let caller = Some(proven(&id, "key"));
    let waiting =
        tokio::spawn(async move { call_until(&link, "assignment", caller, ask, stopping).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    stop.send_replace(true);
    // Well before it would have ended by itself.
    let answer = tokio::time::timeout(Duration::from_millis(POLL_MS_MAX / 2), waiting).await;
    assert_eq!(answer.unwrap().unwrap().0, 204);
}

#[test]
fn a_node_that_only_asked_or_only_joined_gets_no_tasks() {
    let house = house_on(&MemoryJournal::default());
    house.write(user::set_up);
    let question = Registration { ask_only: true, ..house.node.registration() };
    let told = house.link.register(question).now_or_never().unwrap().unwrap();
    assert_eq!(told.vpc_cidr, "172.31.0.0/16");
    assert!(house.store.snapshot().nodes.iter().next().is_none(), "nothing is written down");
    house.join();
    let place = |house: &House| house.write(|tx| user::run_task(tx, 0, &Settings::default()));
    assert!(place(&house).is_err(), "it has not reported");
    house.report(&house.node.clone().report());
    place(&house).expect("it has reported");
}

#[test]
fn a_cluster_has_as_many_container_instances_as_at_aws() {
    const QUOTA: usize = 5_000;
    let house = house_on(&MemoryJournal::default());
    house.write(user::set_up);
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
    let join = |node: &FakeNode| house.link.register(node.registration()).now_or_never().unwrap();
    let refused = join(&FakeNode::new(9)).unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(text) if text.contains("5000")), "{refused}");
    assert_eq!(house.store.snapshot().container_instances.len(), QUOTA, "nothing of it is kept");
    join(&house.node).expect("who is one of them comes again");
    let deregister = |tx: &mut Transaction<'_>| {
        let status = ContainerInstanceStatus::Inactive;
        tx.put(ContainerInstance { status, ..other(1_001) });
        Ok::<_, Infallible>(())
    };
    house.write(deregister).unwrap();
    join(&FakeNode::new(9)).expect("one was deregistered");
}

#[test]
fn nobody_who_has_no_row_is_remembered() {
    let house = house();
    let ask = |number: u32| {
        let node = NodeId::new(format!("{number:032x}"));
        let request = AssignmentRequest { node: node.clone(), known_generation: 0 };
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
