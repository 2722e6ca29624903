//! What depends on where tasks are: draining, and which tasks go first when there are too many.

use std::collections::BTreeMap;

use outport_model::capacity::NodeUse;
use outport_model::container_instance::ContainerInstance;
use outport_model::node::Node;
use outport_model::placement::{BinpackField, PlacementRules, PlacementStrategy, SpreadField};
use outport_model::{ContainerInstanceId, NodeId};

use super::steps;
use super::*;
use crate::testing::node;

/// An instance with what its node holds.
type Room = (Arc<Node>, Arc<ContainerInstance>, NodeUse);

/// `a x 500 draining, …`: zone, MiB that are free of 1,024.
fn rooms(text: &str) -> BTreeMap<NodeId, Room> {
    let room = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let id = NodeId::new(words[0]);
        let instance = ContainerInstance {
            scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
            cluster: ClusterName::new("default"),
            id: ContainerInstanceId::new(words[0]),
            node: id.clone(),
            ec2_instance_id: "i-0".into(),
            status: match words.contains(&"draining") {
                true => ContainerInstanceStatus::Draining,
                false => ContainerInstanceStatus::Active,
            },
            attributes: vec![("ecs.availability-zone".into(), words[1].into())],
            registered_at_ms: 0,
            version: 1,
            tags: Tags::new(),
        };
        let free: u64 = words[2].parse().unwrap();
        let used = NodeUse { memory_mib: 1_024 - free, ..NodeUse::default() };
        (id, (Arc::new(node(words[0])), Arc::new(instance), used))
    };
    text.split(", ").map(room).collect()
}

/// As `steps::check`, of a service of launch type EC2 with tasks as `v1 healthy@a`.
#[track_caller]
fn check(spec: &str, strategy: &[PlacementStrategy], nodes: &str, text: &str, expected: &str) {
    let n = steps::numbers(spec);
    let mut service = service(n[0], n[1], n[2], n[3]);
    service.placement = PlacementRules { strategy: strategy.to_vec(), ..Default::default() };
    let (states, places): (Vec<&str>, Vec<&str>) =
        text.split(", ").map(|task| task.split_once('@').unwrap()).unzip();
    let mut tasks = tasks(&service, &states.join(", "));
    for (index, (task, place)) in tasks.iter_mut().zip(places).enumerate() {
        let task = Arc::make_mut(task);
        task.launch_type = LaunchType::Ec2;
        task.node = Some(NodeId::new(place));
        task.container_instance = Some(ContainerInstanceId::new(place));
        task.reserved.memory_mib = 100;
        // The later, the younger.
        task.created_at_ms = i64::try_from(index).unwrap();
    }
    let rooms = rooms(nodes);
    let place_of = |task: &Task| {
        let (node, instance, used) = rooms.get(task.node.as_ref()?)?;
        Some(Candidate { node, container_instance: Some(instance), used })
    };
    let history = history_of(&service);
    let (ids, settings) = (CountedIds(Cell::new(0)), Settings::default());
    let scene = Scene {
        service: &service,
        tasks: &tasks,
        history: &history,
        now: Now::steady_at(NOW_MS),
        settings: &settings,
        ids: &ids,
        place_of: &place_of,
        drains: nodes.contains("draining"),
    };
    let plan = plan(&scene);
    let starts = (plan.starts > 0).then(|| format!("start {}", plan.starts));
    let stops = plan.stops.iter().map(|stop| format!("stop {}", stop.task));
    let is_steady =
        plan.service.events.iter().any(|event| event.message.ends_with("a steady state."));
    let steady = is_steady.then(|| "steady".to_owned());
    let steps = starts.into_iter().chain(stops).chain(steady).collect::<Vec<_>>().join(", ");
    assert_eq!(steps, expected, "{spec} | {text}");
}

fn spread(name: &str) -> PlacementStrategy {
    PlacementStrategy::Spread(match name {
        "host" => SpreadField::InstanceId,
        _ => SpreadField::Attribute(format!("ecs.availability-{name}")),
    })
}

const DRAINING: &str = "a x 500 draining, b x 500, c y 500";

/// With a ceiling above what is wanted, replacements serve before anything stops.
#[test]
fn tasks_of_a_draining_instance_are_replaced_first() {
    let check = |spec, text, expected| check(spec, &[], DRAINING, text, expected);
    check("2 100-200 v1", "v1 healthy@a, v1 healthy@b", "start 1");
    check("2 100-200 v1", "v1 healthy@a, v1 healthy@b, v1 pending@c", "");
    check("2 100-200 v1", "v1 healthy@a, v1 healthy@b, v1 running@c", "");
    check("2 100-200 v1", "v1 healthy@a, v1 healthy@b, v1 healthy@c", "stop t0");
    check("4 100-125 v1", "v1 healthy@a, v1 healthy@a, v1 healthy@a, v1 healthy@a", "start 1");
}

/// With none, as many stop as the floor allows.
#[test]
fn tasks_of_a_draining_instance_stop_first_where_the_ceiling_says_so() {
    let check = |spec, text, expected| check(spec, &[], DRAINING, text, expected);
    check(
        "4 50-100 v1",
        "v1 healthy@a, v1 healthy@a, v1 healthy@a, v1 healthy@b",
        "stop t2, stop t1",
    );
    check("4 50-100 v1", "v1 healthy@a, v1 stopping@a, v1 stopping@a, v1 healthy@b", "start 2");
    // It has no safe step, and is not as it should be.
    check("2 100-100 v1", "v1 healthy@a, v1 healthy@b", "");
    check("2 100-100 v1", "v1 healthy@b, v1 healthy@c", "steady");
}

/// "Service tasks on the container instance that are in the PENDING state are stopped immediately."
#[test]
fn pending_tasks_of_a_draining_instance_stop_at_once() {
    let check = |spec, text, expected| check(spec, &[], DRAINING, text, expected);
    check("2 100-200 v1", "v1 pending@a, v1 healthy@b", "start 1, stop t0");
    check("2 100-100 v1", "v1 pending@a, v1 healthy@b", "stop t0");
    check("2 100-200 v1", "v1 pending@b, v1 healthy@b", "");
}

#[test]
fn too_many_tasks_leave_the_best_spread() {
    let nodes = "a x 500, b x 500, c y 500";
    let all = "v1 healthy@a, v1 healthy@a, v1 healthy@b, v1 healthy@c";
    // Zone x has three, instance a two of them, of which the younger goes.
    check("3 100-200 v1", &[], nodes, all, "stop t1");
    check("2 100-200 v1", &[], nodes, all, "stop t1, stop t0");
    check("1 100-200 v1", &[], nodes, all, "stop t1, stop t0, stop t2");
    check("3 100-200 v1", &[spread("host")], nodes, all, "stop t1");
    let zones = "v1 healthy@a, v1 healthy@c, v1 healthy@c";
    check("2 100-200 v1", &[spread("zone")], nodes, zones, "stop t2");
    // What does not serve goes first, wherever it is.
    let pending = "v1 healthy@a, v1 healthy@a, v1 healthy@b, v1 pending@c";
    check("3 100-200 v1", &[], nodes, pending, "stop t3");
}

#[test]
fn too_many_tasks_of_a_packed_service_empty_the_emptiest() {
    let nodes = "a x 500, b x 900, c y 100";
    let all = "v1 healthy@a, v1 healthy@b, v1 healthy@b, v1 healthy@c";
    let memory = [PlacementStrategy::Binpack(BinpackField::Memory)];
    check("3 100-200 v1", &memory, nodes, all, "stop t2");
    check("1 100-200 v1", &memory, nodes, all, "stop t2, stop t1, stop t0");
    check("3 100-200 v1", &[PlacementStrategy::Random], nodes, all, "stop t3");
}
