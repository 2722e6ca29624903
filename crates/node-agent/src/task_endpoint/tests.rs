//! What is answered to whom.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use outport_model::task::{ContainerStatus, HealthStatus};
use outport_model::task_definition::LaunchType;
use outport_model::{NetworkInterfaceId, TaskStatus};
use outport_node_protocol::{
    AwsvpcAttachment, ContainerHealth, ContainerReport, TaskCredentials, TaskTags,
};
use serde_json::{Value, json};

use super::*;
use crate::control_plane_test::House;
use crate::task::runner_test::assignment;
use crate::task_record::nothing_seen;

const OWN: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 4);
const OTHER: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 5);
const LIFE_MS: i64 = 6 * 3_600_000;

fn credentials(key: &str) -> TaskCredentials {
    TaskCredentials {
        role_arn: "arn:aws:iam::000000000000:role/app".into(),
        access_key_id: key.into(),
        secret_access_key: "secret".into(),
        session_token: "token".into(),
        expires_at_ms: 1_795_880_000_000,
        lifetime_ms: LIFE_MS,
    }
}

fn task() -> TaskAssignment {
    TaskAssignment {
        task_role_arn: Some("arn:aws:iam::000000000000:role/app".into()),
        execution_role_arn: None,
        network: TaskNetwork::Awsvpc(AwsvpcAttachment {
            network_interface_id: NetworkInterfaceId::new("eni-1"),
            mac_address: "0a:58:ac:1f:00:04".into(),
            address: OWN,
            prefix: 20,
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            vpc_cidr: "172.31.0.0/16".into(),
            subnet_cidr: "172.31.0.0/20".into(),
            security_groups: Vec::new(),
            private_dns_name: "ip-172-31-0-4.ec2.internal".into(),
        }),
        ..assignment(&["web"])
    }
}

/// Of every container.
struct Usage;

impl UsageOf for Usage {
    fn usage(&self, _task: &TaskId, _container: &str) -> Option<CgroupUsage> {
        Some(CgroupUsage { cpu_ns: 5, memory_bytes: 7, memory_limit_bytes: None, pids: 3 })
    }
}

/// A node's endpoint, and a control plane that it asks.
struct World {
    house: House,
    directory: tempfile::TempDir,
    endpoint: Arc<TaskEndpoint>,
}

impl World {
    async fn new(given: Option<TaskCredentials>) -> Self {
        let house = House::start().await;
        house.give(given);
        let directory = tempfile::tempdir().unwrap();
        let endpoint = open(&house, directory.path());
        Self { house, directory, endpoint }
    }

    async fn begin(&self, task: &TaskAssignment) {
        self.endpoint.begin(task, vec![OWN]);
        self.endpoint.settle(task).await;
    }
}

fn open(house: &House, directory: &Path) -> Arc<TaskEndpoint> {
    let control_plane = Arc::new(house.node(directory));
    TaskEndpoint::open(&directory.join("run"), control_plane).unwrap().0
}

fn get(endpoint: &TaskEndpoint, peer: Ipv4Addr, path: &str) -> (u16, Value) {
    let answer = endpoint.answer_at_once(peer.into(), &http::Method::GET, path);
    let answer = answer.unwrap_or_else(|_| panic!("{path} asks the control plane"));
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The same of what has to be asked of the control plane.
async fn ask(endpoint: &TaskEndpoint, path: &str) -> (u16, Value) {
    let answer = endpoint.answer(OWN.into(), &http::Method::GET, path).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The value of a variable in the task's only container.
fn variable(endpoint: &TaskEndpoint, task: &TaskAssignment, name: &str) -> Option<String> {
    let set = endpoint.environment(task, &task.containers[0]);
    set.into_iter().find(|(one, _)| one == name).map(|(_, value)| value)
}

fn path(endpoint: &TaskEndpoint, task: &TaskAssignment) -> String {
    variable(endpoint, task, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").unwrap()
}

#[tokio::test]
async fn a_task_gets_its_credentials_and_nobody_else_does() {
    let world = World::new(Some(credentials("ASIA1"))).await;
    world.begin(&task()).await;
    let path = path(&world.endpoint, &task());
    let expected = json!({
        "RoleArn": "arn:aws:iam::000000000000:role/app",
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-11-28T15:33:20Z",
    });
    assert_eq!(get(&world.endpoint, OWN, &path), (200, expected));
    for (peer, path) in [(OTHER, path.as_str()), (ADDRESS, &path), (OWN, "/v2/credentials/1")] {
        let (status, body) = get(&world.endpoint, peer, path);
        assert_eq!((status, &body["code"]), (400, &json!("InvalidIdInRequest")), "{peer} {path}");
    }
    world.endpoint.forget(&task().task);
    assert_eq!(get(&world.endpoint, OWN, &path).0, 400, "it has stopped");
    assert_eq!(std::fs::read_dir(world.directory.path().join("run/endpoint")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_task_without_a_role_is_told_of_no_credentials() {
    let world = World::new(Some(credentials("ASIA1"))).await;
    let task = TaskAssignment { task_role_arn: None, ..task() };
    world.begin(&task).await;
    let name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    assert_eq!(variable(&world.endpoint, &task, name), None);
    assert!(world.house.names().is_empty(), "and none are asked for");
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_said_and_asked_for_again() {
    let world = World::new(None).await;
    world.begin(&task()).await;
    let path = path(&world.endpoint, &task());
    let (status, body) = get(&world.endpoint, OWN, &path);
    assert_eq!((status, &body["HTTPErrorCode"]), (500, &json!(500)));
    assert!(body["message"].as_str().unwrap().contains("there is no role app"), "{body}");
    world.house.give(Some(credentials("ASIA1")));
    let begun = Instant::now();
    while get(&world.endpoint, OWN, &path).0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_was_given_is_served_by_the_next_agent_without_a_control_plane() {
    let world = World::new(Some(credentials("ASIA1"))).await;
    world.begin(&task()).await;
    let path = path(&world.endpoint, &task());
    let file = world.directory.path().join("run/endpoint/t1.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    world.house.give(None);
    let next = open(&world.house, world.directory.path());
    assert_eq!(get(&next, OWN, &path).0, 200);
    assert_eq!(get(&next, OTHER, &path).0, 400);
    next.adopt(&task());
    assert_eq!(self::path(&next, &task()), path, "the containers know it by that");
    next.keep_only(&HashSet::new());
    assert_eq!(get(&next, OWN, &path).0, 400);
}

#[tokio::test]
async fn credentials_that_have_run_out_are_not_handed_out() {
    let short = TaskCredentials { lifetime_ms: 0, ..credentials("ASIA1") };
    let world = World::new(Some(short)).await;
    world.begin(&task()).await;
    let (status, body) = get(&world.endpoint, OWN, &path(&world.endpoint, &task()));
    assert_eq!((status, &body["code"]), (503, &json!("CredentialsUninitialized")));
}

#[tokio::test]
async fn a_task_on_the_hosts_network_asks_from_the_host() {
    let world = World::new(Some(credentials("ASIA1"))).await;
    let task = TaskAssignment { network: TaskNetwork::Host, ..task() };
    world.endpoint.begin(&task, Vec::new());
    world.endpoint.settle(&task).await;
    let uri = variable(&world.endpoint, &task, "AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap();
    let base = format!("http://{ADDRESS}:{}", world.endpoint.port());
    let path = uri.strip_prefix(&base).unwrap();
    assert_eq!(get(&world.endpoint, ADDRESS, path).0, 200);
    assert_eq!(get(&world.endpoint, OWN, path).0, 400);
}

#[tokio::test]
async fn a_container_sees_itself_and_its_task() {
    let world = World::new(None).await;
    let task = TaskAssignment { launch_type: LaunchType::Fargate, ..task() };
    world.endpoint.begin(&task, vec![OWN]);
    let reports = Arc::new(TaskReports::default());
    let mut report = nothing_seen(&task.task);
    report.status = TaskStatus::Running;
    report.started_at_ms = Some(1_795_880_000_001);
    report.containers = vec![ContainerReport {
        name: "web".into(),
        status: ContainerStatus::Running,
        runtime_id: None,
        image_digest: Some("sha256:1".into()),
        exit_code: None,
        reason: None,
        health: Some(ContainerHealth {
            status: HealthStatus::Unhealthy,
            since_ms: Some(1_795_880_000_002),
            exit_code: Some(1),
            output: "no answer".into(),
        }),
    }];
    reports.put(report);
    world.endpoint.observe(reports, Usage);
    let uri = variable(&world.endpoint, &task, "ECS_CONTAINER_METADATA_URI_V4").unwrap();
    let path = uri.strip_prefix("http://169.254.170.2").unwrap();
    let (status, own) = get(&world.endpoint, OWN, path);
    assert_eq!(status, 200, "{own}");
    for (member, expected) in [
        ("Name", json!("web")),
        ("ImageID", json!("sha256:1")),
        ("KnownStatus", json!("RUNNING")),
        ("DesiredStatus", json!("RUNNING")),
        ("StartedAt", json!("2026-11-28T15:33:20.001Z")),
        ("Type", json!("NORMAL")),
        (
            "Health",
            json!({
                "status": "UNHEALTHY", "statusSince": "2026-11-28T15:33:20.002Z", "exitCode": 1, "output": "no answer",
            }),
        ),
    ] {
        assert_eq!(own[member], expected, "{member}");
    }
    let network = &own["Networks"][0];
    assert_eq!(network["IPv4Addresses"], json!(["172.31.0.4"]));
    assert_eq!(network["SubnetGatewayIpv4Address"], "172.31.0.1/20");
    assert_eq!(network["IPv4SubnetCIDRBlock"], "172.31.0.0/20");
    let (_, whole) = get(&world.endpoint, OWN, &format!("{path}/task"));
    assert_eq!(whole["Cluster"], "arn:aws:ecs:us-east-1:000000000000:cluster/default");
    assert_eq!(whole["TaskARN"], task.task_arn);
    assert_eq!((&whole["Revision"], &whole["LaunchType"]), (&json!("1"), &json!("FARGATE")));
    assert_eq!(whole["Containers"], json!([own]));
    assert_eq!(get(&world.endpoint, OTHER, path).0, 404, "another task's");
    let stats = |path: &str| get(&world.endpoint, OWN, path).1;
    let first = stats(&format!("{path}/stats"));
    assert_eq!((&first["id"], &first["pids_stats"]["current"]), (&own["DockerId"], &json!(3)));
    let next = stats(&format!("{path}/task/stats"));
    let id = own["DockerId"].as_str().unwrap();
    assert_eq!(next[id]["precpu_stats"], first["cpu_stats"], "of the request before");
    let with_tags = format!("{path}/taskWithTags");
    let (status, mut tagged) = ask(&world.endpoint, &with_tags).await;
    assert_eq!(status, 200);
    assert_eq!(tagged["Errors"][0]["ErrorField"], "TaskTags", "an earlier control plane");
    world.house.tag(TaskTags { task: vec![("team".into(), "blue".into())], ..TaskTags::default() });
    tagged = ask(&world.endpoint, &with_tags).await.1;
    assert_eq!(tagged["TaskTags"], json!({"team": "blue"}));
    tagged.as_object_mut().unwrap().remove("TaskTags");
    assert_eq!(tagged, whole, "all else is as without");
}
