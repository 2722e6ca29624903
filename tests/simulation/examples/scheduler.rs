//! What the scheduler costs with many nodes and many standing tasks: simulated nodes, the real node link, planner and
//! store. `cargo xtask bench scheduler` runs it. One line of JSON a figure.
//!
//! The subject of each figure is the same at every size, so that what differs is what stands around it: fifty nodes with
//! ten tasks each are measured (of ten nodes five), all other nodes and tasks are in other clusters. Of those every second
//! node is of another architecture than the tasks: empty, and first in a search that looked at it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use outport_controllers::Heartbeats;
use outport_controllers::node_link::{LinkConfig, NodeLink, router};
use outport_model::account_setting::AccountSetting;
use outport_model::capacity::NoPlacedTasks;
use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::network::AwsvpcConfiguration;
use outport_model::node::{Architecture, Node, NodeCapacity};
use outport_model::node_identity::{KeyFingerprint, NodeIdentity};
use outport_model::task::{ContainerStatus, Task, TaskOverrides};
use outport_model::task_definition::{LaunchType, NetworkMode, ReadWorkload};
use outport_model::{ClusterName, Family, NewIds, NodeId, Tags, TaskStatus};
use outport_node_protocol::{
    AssignmentRequest, ContainerReport, KnownGenerations, ProtocolVersions, Registered,
    Registration, Report, TaskReport, call_path,
};
use outport_planner::node_admission::ProvenNode;
use outport_planner::placement::Rules;
use outport_planner::{Settings, StartRequest, task_start};
use outport_service_ecs::task_definition::Workloads;
use outport_simulation::nobody::Nobody;
use outport_simulation::user::{self, Answer, User};
use outport_store::keys::TaskDefinitionKey;
use outport_store::{RandomIds, Store, SystemClock, Transaction};
use serde_json::json;
use tower::ServiceExt;

/// What the program allocates with.
#[global_allocator]
static ALLOCATOR: outport_memory::Allocator = outport_memory::ALLOCATOR;

/// Nodes, and tasks around those that are measured.
const SIZES: [(usize, usize); 10] = [
    (10, 100),
    (100, 100),
    (1_000, 100),
    (1_000, 10_000),
    (1_000, 100_000),
    (5_000, 100),
    (5_000, 10_000),
    (5_000, 100_000),
    (9_900, 100_000),
    (64_000, 100_000),
];
/// With more nodes than these a machine may have too little memory.
const MANY_NODES: usize = 10_000;
/// What such a machine has free. The program takes half of it.
const MANY_NODES_KIB: u64 = 1 << 20;
/// The nodes that are measured, and the tasks on each of them.
const MEASURED: (usize, usize) = (50, 10);
/// The first of the clusters around.
const AROUND: &str = "cluster-0";
const MEASURED_CLUSTER: &str = "measured";
/// Source: "Amazon ECS service quotas", container instances per cluster.
const NODES_PER_CLUSTER: usize = 5_000;
/// A figure is the median of so many rounds.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);
/// How often a node reports.
const REPORT_INTERVAL_S: f64 = 10.0;

struct World {
    store: Store,
    link: NodeLink,
    heartbeats: Arc<Heartbeats>,
    nodes: usize,
    /// The first of them.
    measured: usize,
    tasks: usize,
    sequence: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let sizes = if quick { &SIZES[..3] } else { &SIZES[..] };
    // Each size in a process of its own: memory that one gave back would be another's for nothing.
    if let [size, nodes, tasks] = &arguments[..]
        && size == "--size"
    {
        measure(nodes.parse().unwrap(), tasks.parse().unwrap());
        return;
    }
    if let [durably, nodes] = &arguments[..]
        && durably == "--durable"
    {
        durable(nodes.parse().unwrap());
        return;
    }
    for (nodes, tasks) in sizes {
        if *nodes > MANY_NODES && available_kib() < MANY_NODES_KIB {
            eprintln!("{nodes} nodes: left out, they want {MANY_NODES_KIB} KiB of free memory");
            continue;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--size", &nodes.to_string(), &tasks.to_string()]);
        assert!(child.status().unwrap().success());
    }
    durable(if quick { 100 } else { 5_000 });
}

fn say(figure: &str, world: &World, value: f64, unit: &str) {
    let (nodes, tasks) = (world.nodes, world.tasks);
    println!(
        "{}",
        json!({"figure": figure, "nodes": nodes, "tasks": tasks, "value": value, "unit": unit})
    );
}

/// Seconds of one call: the median of rounds.
fn time(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (began, mut count) = (Instant::now(), 0_u32);
            while began.elapsed() < ROUND {
                call();
                count += 1;
            }
            began.elapsed().as_secs_f64() / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("nothing waits")
}

fn write<T>(store: &Store, change: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
    now(store.write(|tx| Ok::<_, Infallible>(change(tx)))).unwrap()
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

fn available_kib() -> u64 {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn node_id(number: usize) -> NodeId {
    NodeId::new(format!("{number:032x}"))
}

/// Of a node, when the first `measured` are those that are measured.
fn cluster_of(node: usize, measured: usize) -> String {
    match node.checked_sub(measured) {
        None => MEASURED_CLUSTER.to_owned(),
        Some(around) => format!("cluster-{}", around / NODES_PER_CLUSTER),
    }
}

fn set_up(tx: &mut Transaction<'_>, nodes: usize, measured: usize) {
    user::set_up(tx);
    let names: BTreeSet<String> = (0..nodes).map(|node| cluster_of(node, measured)).collect();
    for name in names {
        tx.put(Cluster {
            scope: user::scope(),
            name: ClusterName::new(&name),
            status: ClusterStatus::Active,
            settings: Vec::new(),
            configuration: None,
            service_connect_defaults: None,
            capacity_providers: Vec::new(),
            default_strategy: None,
            tags: Tags::new(),
            created_at_ms: 0,
            deleted_at_ms: None,
        });
    }
}

/// Registers the family `standing`, of which every task is.
async fn register(store: &Store) {
    let user = User::new(store, Settings::default(), Workloads::default());
    let mut input = user::definition("standing", NetworkMode::None);
    input["runtimePlatform"] =
        json!({ "cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX" });
    let answer = user.call("RegisterTaskDefinition", &input).await;
    assert!(matches!(answer, Answer::Taken(_)), "{answer:?}");
}

/// Starts as many tasks of the family `standing` in the cluster.
fn start(tx: &mut Transaction<'_>, cluster: &str, count: usize) -> Vec<Task> {
    let started = place(tx, cluster, count);
    let tasks = started.iter().map(|started| started.task.clone()).collect();
    started.into_iter().for_each(|started| tx.put_started(started));
    tasks
}

fn place(
    tx: &Transaction<'_>,
    cluster: &str,
    count: usize,
) -> Vec<outport_model::capacity::StartedTask> {
    let key = TaskDefinitionKey::new(&user::scope(), Family::new("standing"), 1_u32);
    let definition = tx.task_definitions.get(&key).unwrap();
    let (overrides, network) = (TaskOverrides::default(), AwsvpcConfiguration::default());
    let request = StartRequest {
        definition: &definition,
        workload: &Workloads::default().read(&definition),
        cluster: &ClusterName::new(cluster),
        launch_type: LaunchType::Ec2,
        capacity_provider: None,
        platform_version: None,
        group: "family:standing".into(),
        started_by: None,
        service: None,
        overrides: &overrides,
        network: &network,
        image_digests: &[],
        enable_execute_command: false,
        tags: Tags::new(),
        troubled: const { &BTreeSet::new() },
        rules: &Rules::default(),
        tasks: &NoPlacedTasks,
        of_zones: BTreeMap::new(),
    };
    let count = u32::try_from(count).unwrap();
    let made = (tx as &dyn NewIds, tx.now_ms());
    let settings = Settings::default();
    let (started, rejection) =
        task_start::start_many(&request, count, &tx.rooms, &mut [], made, &settings);
    assert_eq!(rejection, None, "there is room for every task");
    started
}

impl World {
    fn new(nodes: usize) -> Self {
        let store = Store::in_memory(Arc::new(SystemClock), Arc::new(RandomIds));
        let measured = MEASURED.0.min(nodes / 2);
        write(&store, |tx| set_up(tx, nodes, measured));
        now(register(&store));
        let heartbeats = Arc::new(Heartbeats::new(store.now().steady_ms));
        let registered = Registered {
            registry_host: "127.0.0.1:4566".into(),
            registry_names: Vec::new(),
            vpc_cidr: "172.31.0.0/16".into(),
            protocol_version: 1,
            takes_report_changes: true,
        };
        let config = LinkConfig {
            scope: user::scope(),
            registered,
            workloads: Arc::new(Workloads::default()),
            nodes_max: nodes,
        };
        let nobody = Arc::new(Nobody);
        let link = NodeLink::new(
            store.clone(),
            config,
            heartbeats.clone(),
            nobody.clone(),
            nobody.clone(),
            nobody,
        );
        let (tasks, sequence) = (0, 0);
        let mut world = Self { store, link, heartbeats, nodes: 0, measured, tasks, sequence };
        (0..nodes).for_each(|number| world.join(number));
        write(&world.store, |tx| start(tx, MEASURED_CLUSTER, measured * MEASURED.1));
        world
    }

    fn join(&mut self, number: usize) {
        let registration = Registration {
            node: node_id(number),
            host_name: format!("host-{number}"),
            agent_version: "0".into(),
            boot_id: "boot".into(),
            architecture: match number.checked_sub(self.measured) {
                Some(around) if around % 2 == 1 => Architecture::Arm64,
                _ => Architecture::X86_64,
            },
            // Room for a thousand tasks.
            capacity: NodeCapacity {
                cpu_units: 256 * 1024,
                memory_mib: 512 * 1024,
                reserved_ports: vec![22],
            },
            cluster: cluster_of(number, self.measured),
            ask_only: false,
            allows_privileged: false,
            regions: Vec::new(),
            attributes: Vec::new(),
            protocol: ProtocolVersions::SPOKEN,
        };
        now(self.link.register(registration)).unwrap();
        let identity = NodeIdentity {
            node: node_id(number),
            keys: vec![KeyFingerprint::new("key")],
            joined_at_ms: 0,
            revoked_at_ms: None,
        };
        write(&self.store, |tx| tx.put(identity));
        self.nodes = self.nodes.max(number + 1);
        self.report(number, None);
    }

    fn add_tasks(&mut self, count: usize) {
        let others = self.nodes - self.measured;
        let clusters = others.div_ceil(NODES_PER_CLUSTER);
        let mut left = count;
        let mut turn = 0;
        while left > 0 {
            let batch = left.min(500);
            let cluster = format!("cluster-{}", turn % clusters);
            write(&self.store, |tx| start(tx, &cluster, batch));
            (left, turn) = (left - batch, turn + 1);
        }
        self.tasks += count;
        for number in 0..self.nodes {
            self.report(number, None);
        }
    }

    /// What the node would say: its tasks run, and the first of them for this reason.
    fn message(&mut self, number: usize, reason: Option<&str>) -> Report {
        self.sequence += 1;
        let node = node_id(number);
        let snapshot = self.store.snapshot();
        let live = snapshot.tasks.live_on_node(&node).values();
        let tasks = live.enumerate().map(|(index, task)| TaskReport {
            task: task.id.clone(),
            status: TaskStatus::Running,
            containers: vec![ContainerReport {
                name: "app".into(),
                status: ContainerStatus::Running,
                runtime_id: Some("0123456789abcdef-app".into()),
                image_digest: None,
                exit_code: None,
                reason: reason.filter(|_| index == 0).map(str::to_owned),
                health: None,
            }],
            pull_started_at_ms: Some(1),
            pull_stopped_at_ms: Some(2),
            connectivity_at_ms: None,
            started_at_ms: Some(3),
            stopping_at_ms: None,
            execution_stopped_at_ms: None,
            stopped_at_ms: None,
            stop: None,
        });
        let tasks = tasks.collect();
        Report {
            node,
            boot_id: "boot".into(),
            sequence: self.sequence,
            generation: 0,
            tasks,
            unreadable: Vec::new(),
            accepts_tasks: true,
            changes_only: false,
        }
    }

    fn report(&mut self, number: usize, reason: Option<&str>) {
        let message = self.message(number, reason);
        now(self.link.report(&message)).unwrap();
    }
}

fn measure(nodes: usize, tasks: usize) {
    let before = resident_bytes();
    let mut world = World::new(nodes);
    let measured = world.measured;
    let with_nodes = resident_bytes();
    world.add_tasks(tasks);
    let with_tasks = resident_bytes();
    if nodes >= 5_000 {
        say("memory of a node", &world, (with_nodes - before) / nodes as f64 / 1024.0, "KiB");
    }
    if tasks >= 100_000 {
        say("memory of a task", &world, (with_tasks - with_nodes) / tasks as f64 / 1024.0, "KiB");
    }
    let us = 1e6;
    let mut turn = 0_usize;

    let reports: Vec<Report> = (0..measured).map(|node| world.message(node, None)).collect();
    let known = time(|| {
        let mut report = reports[turn % measured].clone();
        world.sequence += 1;
        report.sequence = world.sequence;
        turn += 1;
        now(world.link.report(&report)).unwrap();
    });
    say("report of what is known", &world, known * us, "us");
    let news = time(|| {
        let mut report = reports[turn % measured].clone();
        world.sequence += 1;
        report.sequence = world.sequence;
        report.tasks[0].containers[0].reason = Some(format!("{turn}"));
        turn += 1;
        now(world.link.report(&report)).unwrap();
    });
    say("report of a change", &world, news * us, "us");

    let requests: Vec<AssignmentRequest> = (0..measured)
        .map(|number| {
            let known = KnownGenerations::default();
            let mut request = AssignmentRequest {
                node: node_id(number),
                known,
                takes_changes: true,
                takes_secrets: true,
                boot_id: None,
            };
            let told = now(world.link.assignment(&request)).unwrap();
            let tasks = told.and_then(|news| news.tasks);
            request.known.tasks = tasks.map_or(0, |told| told.generation);
            request
        })
        .collect();
    let poll = time(|| {
        turn += 1;
        let told = now(world.link.assignment(&requests[turn % measured])).unwrap();
        assert!(told.is_none(), "nothing is new");
    });
    say("poll without news", &world, poll * us, "us");

    let commit = time(|| {
        turn += 1;
        write(&world.store, |tx| tx.put(setting(turn)));
    });
    say("commit of one row", &world, commit * us, "us");

    for (figure, cluster) in [
        ("placements, decided", MEASURED_CLUSTER),
        ("placements, decided, half the nodes of another architecture", AROUND),
    ] {
        let mut placed = 0;
        let placement = time(|| {
            placed = write(&world.store, |tx| black_box(place(tx, cluster, 100)).len());
        });
        say(figure, &world, placed as f64 / placement, "1/s");
    }
    heartbeats(&mut world);
}

fn setting(turn: usize) -> AccountSetting {
    AccountSetting {
        scope: user::scope(),
        principal_arn: "root".into(),
        name: "containerInsights".into(),
        value: format!("{turn}"),
    }
}

/// What the reports of every node cost, over the calls as HTTP brings them, in percent of one core.
fn heartbeats(world: &mut World) {
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let router = router(world.link.clone(), stopping);
    let bodies: Vec<(NodeId, Vec<u8>)> = (0..world.nodes)
        .map(|number| {
            let message = world.message(number, None);
            (node_id(number), serde_json::to_vec(&message).unwrap())
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = cpu_seconds();
    runtime.block_on(async {
        for (node, body) in &bodies {
            let request = axum::http::Request::post(call_path(1, "report"))
                .header("content-length", body.len())
                .extension(proven(node))
                .body(axum::body::Body::from(body.clone()))
                .unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 204, "{answer:?}");
        }
    });
    let seconds = cpu_seconds() - began;
    say("reports of every node", world, 100.0 * seconds / REPORT_INTERVAL_S, "% of a core");
    black_box(world.heartbeats.last_heard_ms(&node_id(0)));
}

fn proven(node: &NodeId) -> ProvenNode {
    let (not_before_ms, not_after_ms) = (0, i64::MAX);
    ProvenNode { node: node.clone(), key: KeyFingerprint::new("key"), not_before_ms, not_after_ms }
}

/// A node with room for a thousand tasks, and its container instance in the cluster that is measured.
fn put_node(tx: &mut Transaction<'_>, id: &NodeId) {
    tx.put(Node {
        id: id.clone(),
        host_name: "host".into(),
        agent_version: "0".into(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity {
            cpu_units: 256 * 1024,
            memory_mib: 512 * 1024,
            reserved_ports: vec![22],
        },
        boot_id: "boot".into(),
        registered_at_ms: 0,
        last_seen_ms: 0,
        assignment_generation: 0,
        accepts_tasks: true,
        connected: true,
        regions: Vec::new(),
    });
    let instance = ContainerInstance {
        scope: user::scope(),
        cluster: ClusterName::new(MEASURED_CLUSTER),
        id: tx.container_instance_id(),
        node: id.clone(),
        ec2_instance_id: id.ec2_instance_id(),
        status: ContainerInstanceStatus::Active,
        attributes: Vec::new(),
        registered_at_ms: 0,
        version: 1,
        tags: Tags::new(),
    };
    tx.put(instance);
}

/// Placements that are on the disk when they are answered, by 64 callers of ten tasks each.
fn durable(nodes: usize) {
    const CALLERS: usize = 64;
    const TASKS_PER_CALL: usize = 10;
    const SECONDS: u64 = 5;
    let directory = tempfile::tempdir().unwrap();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let store = Store::open(directory.path(), clock, ids).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let set_up = store.write(|tx| {
            set_up(tx, 1, 1);
            for number in 0..nodes {
                put_node(tx, &node_id(number));
            }
            Ok::<_, Infallible>(())
        });
        set_up.await.unwrap();
        register(&store).await;
        let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(SECONDS));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut placed = 0;
                    while Instant::now() < until {
                        let started = store
                            .write(|tx| Ok::<_, Infallible>(start(tx, MEASURED_CLUSTER, TASKS_PER_CALL)));
                        placed += started.await.unwrap().len();
                    }
                    placed
                })
            })
            .collect();
        let mut placed = 0;
        for caller in callers {
            placed += caller.await.unwrap();
        }
        let rate = placed as f64 / began.elapsed().as_secs_f64();
        println!("{}", json!({"figure": "placements, on disk", "nodes": nodes, "tasks": placed, "value": rate, "unit": "1/s"}));
    });
}
