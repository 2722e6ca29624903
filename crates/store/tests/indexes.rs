//! Indexes and the room of nodes are what a look at every row says, whatever happened to the rows before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use outport_model::capacity::{Candidate, Capacity, NodeUse, PlacedTasks, Pool, Wanted};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::linux_capability::PRIVILEGED_ATTRIBUTE;
use outport_model::node::{Architecture, Node, NodeCapacity};
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::{Reservation, ServiceMembership, Task};
use outport_model::task_definition::{LaunchType, TransportProtocol};
use outport_model::{
    ClusterName, ContainerInstanceId, DeploymentId, DesiredStatus, Family, NodeId, Region,
    ServiceName, TaskId, TaskStatus,
};
use outport_store::journal::MemoryJournal;
use outport_store::keys::{ClusterKey, ServiceKey};
use outport_store::{
    DeploymentCounts, ManualClock, Row, SeededIds, ServiceCounts, Snapshot, Store, Tables,
    TaskCounts, TaskFacet, Transaction,
};
use serde::de::DeserializeOwned;

const NODES: u64 = 12;
const TASKS: u64 = 40;
const SERVICES: u64 = 6;
const CHANGES: u64 = 2_000;

fn golden<R: DeserializeOwned>(name: &str) -> R {
    let path = format!("{}/tests/golden/{name}.v1.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Any sequence will do, if it is the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
    fn small(&mut self, end: u64) -> u32 {
        u32::try_from(self.below(end)).unwrap()
    }
}

fn node(number: u64, random: &mut Random) -> Node {
    Node {
        id: NodeId::new(format!("{number:032x}")),
        capacity: NodeCapacity {
            cpu_units: 256 * random.small(9),
            memory_mib: 512 * random.small(9),
            reserved_ports: vec![22],
        },
        architecture: [Architecture::X86_64, Architecture::Arm64][random.below(2) as usize],
        accepts_tasks: random.below(5) > 0,
        connected: random.below(5) > 0,
        regions: [&[][..], &["us-east-1"], &["us-east-1", "eu-west-1"]][random.below(3) as usize]
            .iter()
            .map(Region::new)
            .collect(),
        ..golden("node")
    }
}

fn instance(number: u64, random: &mut Random) -> ContainerInstance {
    let statuses = [
        ContainerInstanceStatus::Active,
        ContainerInstanceStatus::Active,
        ContainerInstanceStatus::Draining,
        ContainerInstanceStatus::Inactive,
    ];
    ContainerInstance {
        id: ContainerInstanceId::new(format!("{number:032x}")),
        cluster: ClusterName::new(["default", "other"][(number % 2) as usize]),
        node: NodeId::new(format!("{number:032x}")),
        status: statuses[random.below(4) as usize],
        attributes: (random.below(2) > 0)
            .then(|| (PRIVILEGED_ATTRIBUTE.to_owned(), String::new()))
            .into_iter()
            .collect(),
        ..golden("container_instance")
    }
}

fn task(number: u64, random: &mut Random) -> Task {
    let statuses = [TaskStatus::Pending, TaskStatus::Running, TaskStatus::Stopped];
    Task {
        id: TaskId::new(format!("{number:032x}")),
        node: (random.below(9) > 0).then(|| NodeId::new(format!("{:032x}", random.below(NODES)))),
        desired_status: [DesiredStatus::Running, DesiredStatus::Stopped][random.below(2) as usize],
        family: Family::new(["a", "b"][random.below(2) as usize]),
        group: ["a", "b"][random.below(2) as usize].into(),
        container_instance: (random.below(4) > 0)
            .then(|| ContainerInstanceId::new(format!("{:032x}", random.below(NODES)))),
        started_by: (random.below(2) > 0).then(|| "a".to_owned()),
        launch_type: [LaunchType::Ec2, LaunchType::Fargate][random.below(2) as usize],
        stopped_at_ms: (random.below(2) > 0).then(|| i64::from(random.small(9))),
        last_status: statuses[random.below(3) as usize],
        service: (random.below(4) > 0).then(|| ServiceMembership {
            service: ServiceName::new(["a", "b"][random.below(2) as usize]),
            deployment: DeploymentId::new(["1", "2"][random.below(2) as usize]),
        }),
        reserved: Reservation {
            cpu_units: 64 * random.small(5),
            memory_mib: 128 * random.small(5),
            // A port is of one task at a time on a node.
            host_ports: vec![(8_000 + u16::try_from(number).unwrap(), TransportProtocol::Tcp)],
        },
        ..golden("task")
    }
}

fn service(number: u64, random: &mut Random) -> Service {
    let statuses = [ServiceStatus::Active, ServiceStatus::Draining, ServiceStatus::Inactive];
    Service {
        name: ServiceName::new(format!("{number}")),
        status: statuses[random.below(3) as usize],
        launch_type: [LaunchType::Ec2, LaunchType::Fargate][random.below(2) as usize],
        ..golden("service")
    }
}

fn change(tx: &mut Transaction<'_>, random: &mut Random) {
    match random.below(12) {
        0 | 1 => tx.put(node(random.below(NODES), random)),
        2 => {
            tx.remove::<Node>(&NodeId::new(format!("{:032x}", random.below(NODES))));
        }
        3 => tx.put(instance(random.below(NODES), random)),
        4 => {
            let key = instance(random.below(NODES), random).key();
            tx.remove::<ContainerInstance>(&key);
        }
        5 => {
            let key = task(random.below(TASKS), random).key();
            tx.remove::<Task>(&key);
        }
        6 => tx.put(service(random.below(SERVICES), random)),
        7 => {
            let key = service(random.below(SERVICES), random).key();
            tx.remove::<Service>(&key);
        }
        _ => tx.put(task(random.below(TASKS), random)),
    }
}

/// What a look at every row says: each node that fits with what it has left, in the order of the search.
fn look(tables: &Tables, wanted: Wanted<'_>) -> Vec<(NodeId, u64, u64)> {
    let takes = |instance: &Arc<ContainerInstance>| match wanted.pool {
        Pool::Fargate(_) => false,
        Pool::ContainerInstances(scope, cluster) => {
            let allows = instance.attributes.iter().any(|(name, _)| name == PRIVILEGED_ATTRIBUTE);
            (&instance.scope, &instance.cluster) == (scope, cluster)
                && instance.status == ContainerInstanceStatus::Active
                && (allows || !wanted.privileged)
        }
    };
    let mut found = Vec::new();
    for node in tables.nodes.iter().filter(|node| node.connected && node.accepts_tasks) {
        let mut used = NodeUse::default();
        let held = tables.tasks.iter().filter(|task| {
            task.node.as_ref() == Some(&node.id) && task.last_status < TaskStatus::Stopped
        });
        held.for_each(|task| used.add(&task.reserved));
        let mut instances = tables.container_instances.iter().filter(|i| i.node == node.id);
        let candidate = Candidate { node, container_instance: None, used: &used };
        let (cpu, memory) = (candidate.free_cpu_units(), candidate.free_memory_mib());
        let is_fargate = match wanted.pool {
            Pool::Fargate(Some(region)) if !wanted.privileged => {
                node.regions.is_empty() || node.regions.contains(region)
            }
            _ => false,
        };
        let is_member = is_fargate || instances.any(takes);
        let has_room = cpu >= u64::from(wanted.cpu_units) && memory >= u64::from(wanted.memory_mib);
        let is_of_kind = wanted.architecture.is_none_or(|wanted| wanted == node.architecture);
        if is_member && is_of_kind && has_room {
            found.push((node.id.clone(), memory, cpu));
        }
    }
    found.sort_by_key(|(id, memory, cpu)| (Reverse(*memory), Reverse(*cpu), id.clone()));
    found
}

fn check(tables: &Tables, random: &mut Random) {
    let scope = golden::<Task>("task").scope;
    let clusters = ["default", "other", "none"]
        .map(|name| Pool::ContainerInstances(scope.clone(), ClusterName::new(name)));
    let fargate = ["us-east-1", "eu-west-1"].map(|name| Pool::Fargate(Some(Region::new(name))));
    for pool in clusters.into_iter().chain(fargate) {
        let architectures = [None, Some(Architecture::X86_64), Some(Architecture::Arm64)];
        let wanted = Wanted {
            pool: &pool,
            architecture: architectures[random.below(3) as usize],
            privileged: random.below(3) == 0,
            cpu_units: 64 * random.small(20),
            memory_mib: 128 * random.small(20),
        };
        let found = tables.rooms.with_room(wanted);
        let found: Vec<_> =
            found.map(|c| (c.node.id.clone(), c.free_memory_mib(), c.free_cpu_units())).collect();
        assert_eq!(found, look(tables, wanted), "{wanted:?}");
    }
    for cluster in ["default", "other", "none"].map(ClusterName::new) {
        let is_member = |row: &&Arc<ContainerInstance>| {
            row.cluster == cluster
                && row.status != ContainerInstanceStatus::Inactive
                && tables.nodes.contains(&row.node)
        };
        let expected: Vec<_> = tables.container_instances.iter().filter(is_member).collect();
        let found = tables.rooms.members(&scope, &cluster);
        let found: Vec<_> = found.filter_map(|candidate| candidate.container_instance).collect();
        assert_eq!(found, expected, "{cluster}");
    }
}

/// The lists and counts of tasks are what a look at every task says.
fn check_lists(tables: &Tables) {
    let cluster = golden::<Task>("task").cluster;
    let key = ClusterKey::new(&golden::<Task>("task").scope, cluster);
    for (desired, launch_type) in [DesiredStatus::Running, DesiredStatus::Stopped]
        .into_iter()
        .flat_map(|desired| [(desired, LaunchType::Ec2), (desired, LaunchType::Fargate)])
    {
        let listed = |facet: TaskFacet, has: &dyn Fn(&Task) -> bool| {
            let rows = tables.tasks.iter().filter(|row| row.desired_status == desired);
            let expected: Vec<TaskId> = rows.filter(|r| has(r)).map(|r| r.id.clone()).collect();
            let found = tables.tasks.with_facet(&key, desired, facet.clone());
            assert_eq!(found.iter().cloned().collect::<Vec<_>>(), expected, "{facet:?}");
        };
        listed(TaskFacet::Any, &|_| true);
        listed(TaskFacet::LaunchType(launch_type), &|row| row.launch_type == launch_type);
        for name in ["a", "b"] {
            listed(TaskFacet::Family(Family::new(name)), &|row| row.family.as_str() == name);
            let by_name = |row: &Task| row.started_by.as_deref() == Some(name);
            listed(TaskFacet::StartedBy(name.into()), &by_name);
        }
        let of_type = || tables.tasks.iter().filter(|row| row.launch_type == launch_type);
        let expected = TaskCounts {
            running: of_type().filter(|row| row.last_status == TaskStatus::Running).count(),
            pending: of_type().filter(|row| row.last_status < TaskStatus::Running).count(),
        };
        assert_eq!(tables.tasks.counts(&key, launch_type), expected);
    }
    for node in (0..NODES).map(|number| NodeId::new(format!("{number:032x}"))) {
        let live = |row: &&Arc<Task>| row.node.as_ref() == Some(&node) && row.holds_resources();
        let expected: Vec<&Arc<Task>> = tables.tasks.iter().filter(live).collect();
        let found: Vec<&Arc<Task>> = tables.tasks.live_on_node(&node).values().collect();
        assert_eq!(found, expected);
    }
    let placed = tables.tasks.placed_in(&key);
    for group in ["a", "b", "c"] {
        let mut expected: BTreeMap<NodeId, u32> = BTreeMap::new();
        let of_group = tables.tasks.iter().filter(|row| row.group == group && row.is_wanted());
        for row in of_group.filter(|row| row.container_instance.is_some()) {
            row.node.iter().for_each(|node| *expected.entry(node.clone()).or_default() += 1);
        }
        let found: BTreeMap<NodeId, u32> =
            placed.of_group(group).map(|(node, count)| (node.clone(), count)).collect();
        assert_eq!(found, expected, "{group}");
        assert!(expected.iter().all(|(node, count)| placed.count(group, node) == *count));
    }
    let stopped = tables.tasks.iter().filter(|row| row.last_status >= TaskStatus::Stopped);
    assert_eq!(tables.tasks.stopped().len(), stopped.count());
}

/// The counts of services, of container instances, and of the tasks of one service, are what a look at every row says.
fn check_counts(tables: &Tables) {
    let any = golden::<Task>("task");
    let cluster = ClusterKey::new(&any.scope, any.cluster.clone());
    for launch_type in [LaunchType::Ec2, LaunchType::Fargate, LaunchType::External] {
        let in_status = |status: ServiceStatus| {
            let mut rows = tables.services.iter().collect::<Vec<_>>();
            rows.retain(|row| row.status == status && row.launch_type == launch_type);
            rows.len()
        };
        let (active, draining) = (ServiceStatus::Active, ServiceStatus::Draining);
        let expected = ServiceCounts { active: in_status(active), draining: in_status(draining) };
        assert_eq!(tables.services.counts(&cluster, launch_type), expected);
    }
    for name in ["default", "other", "none"].map(ClusterName::new) {
        let is_counted = |row: &&Arc<ContainerInstance>| {
            row.cluster == name && row.status != ContainerInstanceStatus::Inactive
        };
        let expected = tables.container_instances.iter().filter(is_counted).count();
        let key = ClusterKey::new(&any.scope, name.clone());
        assert_eq!(tables.container_instances.registered(&key), expected);
        let is_draining = |row: &Arc<ContainerInstance>| {
            row.cluster == name && row.status == ContainerInstanceStatus::Draining
        };
        let drains = tables.container_instances.iter().any(is_draining);
        assert_eq!(tables.container_instances.drains(&key), drains);
    }
    for name in ["a", "b", "none"] {
        let key = ServiceKey::new(&any.scope, any.cluster.clone(), ServiceName::new(name));
        let look = |is_of: &dyn Fn(&ServiceMembership) -> bool| {
            let is_member = |row: &&Arc<Task>| {
                row.service.as_ref().is_some_and(|m| m.service.as_str() == name && is_of(m))
            };
            let tasks: Vec<_> = tables.tasks.iter().filter(is_member).collect();
            let is_running = |row: &Task| row.last_status == TaskStatus::Running;
            DeploymentCounts {
                running: tasks.iter().filter(|row| is_running(row)).count(),
                pending: tasks.iter().filter(|row| row.is_wanted() && !is_running(row)).count(),
                wanted: tasks.iter().filter(|row| row.is_wanted()).count(),
            }
        };
        assert_eq!(tables.tasks.counts_of_service(&key), look(&|_| true));
        for deployment in ["1", "2", "none"].map(DeploymentId::new) {
            let expected = look(&|member| member.deployment == deployment);
            assert_eq!(tables.tasks.counts_of_deployment(&key, &deployment), expected);
        }
    }
}

fn snapshot(store: &Store) -> Snapshot {
    store.snapshot()
}

#[tokio::test]
async fn rooms_are_what_the_rows_say_after_any_changes_and_after_a_restart() {
    let journal = MemoryJournal::default();
    let open = || {
        let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
        Store::with_journal(journal.clone(), clock, ids).unwrap()
    };
    let store = open();
    let mut random = Random(42);
    for _ in 0..CHANGES {
        let written = store.write(|tx| {
            change(tx, &mut random);
            Ok::<_, ()>(())
        });
        written.await.unwrap();
        check(&snapshot(&store), &mut random);
        check_lists(&snapshot(&store));
        check_counts(&snapshot(&store));
    }
    // Rows, every index of them, and the rooms.
    let before = format!("{:?}", snapshot(&store).tables());
    drop(store);
    assert!(format!("{:?}", snapshot(&open()).tables()) == before, "not what it was");
}

#[tokio::test]
async fn a_scratch_state_takes_room_that_the_rows_still_have() {
    let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
    let store = Store::in_memory(clock, ids);
    let only = Node {
        capacity: NodeCapacity { cpu_units: 1_024, memory_mib: 1_024, reserved_ports: vec![] },
        accepts_tasks: true,
        connected: true,
        ..golden("node")
    };
    let id = only.id.clone();
    let written = store.write(|tx| {
        tx.put(only);
        Ok::<_, ()>(())
    });
    written.await.unwrap();
    let snapshot = store.snapshot();
    let mut scratch = snapshot.rooms.clone();
    let held = Reservation { cpu_units: 600, memory_mib: 600, host_ports: Vec::new() };
    let fits = |rooms: &outport_store::NodeRooms| {
        let wanted = Wanted {
            pool: &Pool::Fargate(Some(Region::new("us-east-1"))),
            architecture: None,
            privileged: false,
            cpu_units: 600,
            memory_mib: 600,
        };
        rooms.with_room(wanted).next().is_some()
    };
    assert!(fits(&scratch));
    scratch.reserve(&id, &held);
    assert_eq!((fits(&scratch), fits(&snapshot.rooms)), (false, true));
}
