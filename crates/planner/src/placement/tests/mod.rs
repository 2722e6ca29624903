mod oracle;
mod strategies;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use outport_model::capacity::{NoPlacedTasks, NodeUse, Wanted};
use outport_model::container_instance::ContainerInstance;
use outport_model::node::{Node, NodeCapacity};
use outport_model::task::Reservation;
use outport_model::task_definition::TransportProtocol;
use outport_model::{AccountId, NodeId, Region, Tags};

use super::*;

/// Placement as a look at every node: what an index must agree with.
#[derive(Clone, Debug, Default)]
struct EveryNode {
    rooms: Vec<Room>,
    /// How many nodes `choose` was shown.
    shown: Rc<Cell<usize>>,
}

#[derive(Clone, Debug)]
struct Room {
    node: Arc<Node>,
    instance: Option<Arc<ContainerInstance>>,
    used: NodeUse,
}

impl Room {
    fn candidate(&self) -> Candidate<'_> {
        let container_instance = self.instance.as_ref();
        Candidate { node: &self.node, container_instance, used: &self.used }
    }
}

impl Capacity for EveryNode {
    fn with_room<'a>(&'a self, wanted: Wanted<'a>) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let takes = move |candidate: &Candidate<'_>| {
            let instance = candidate.container_instance;
            let is_active =
                |i: &Arc<ContainerInstance>| i.status == ContainerInstanceStatus::Active;
            (matches!(wanted.pool, Pool::Fargate(_)) || instance.is_some_and(is_active))
                && candidate.node.connected
                && candidate.node.accepts_tasks
                && wanted.takes(candidate.kind())
                && candidate.free_cpu_units() >= u64::from(wanted.cpu_units)
                && candidate.free_memory_mib() >= u64::from(wanted.memory_mib)
        };
        let mut found: Vec<_> = self.rooms.iter().map(Room::candidate).filter(takes).collect();
        found.sort_by_key(|found| {
            let room = (found.free_memory_mib(), found.free_cpu_units());
            (std::cmp::Reverse(room), found.node.id.clone())
        });
        Box::new(found.into_iter().inspect(|_| self.shown.set(self.shown.get() + 1)))
    }
    fn members<'a>(
        &'a self,
        _scope: &'a Scope,
        _cluster: &'a ClusterName,
    ) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let with_instance = self.rooms.iter().filter(|room| room.instance.is_some());
        Box::new(with_instance.map(Room::candidate))
    }
    fn member<'a>(
        &'a self,
        _scope: &Scope,
        _cluster: &ClusterName,
        node: &NodeId,
    ) -> Option<Candidate<'a>> {
        self.rooms.iter().find(|room| room.node.id == *node).map(Room::candidate)
    }
    fn instance_of(&self, node: &NodeId) -> Option<&Arc<ContainerInstance>> {
        self.rooms.iter().find(|room| room.node.id == *node)?.instance.as_ref()
    }
    fn reserve(&mut self, node: &NodeId, held: &Reservation) {
        let rooms = self.rooms.iter_mut().filter(|room| room.node.id == *node);
        rooms.for_each(|room| room.used.add(held));
    }
}

/// `a 1024/2048`: node `a` with so much CPU and memory free; words behind it: `silent`, `leaving`,
/// `arm`, `draining`, `troubled`, `allowing` (privileged containers), `bare` (no container instance), a
/// number (that host port is taken).
fn room(text: &str, troubled: &mut BTreeSet<NodeId>) -> Room {
    let mut words = text.split_whitespace();
    let id = words.next().unwrap();
    let (cpu, memory) = words.next().unwrap().split_once('/').unwrap();
    let mut node = Node {
        id: NodeId::new(id),
        host_name: id.into(),
        agent_version: "0".into(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity {
            cpu_units: 100 + cpu.parse::<u32>().unwrap(),
            memory_mib: 100 + memory.parse::<u32>().unwrap(),
            reserved_ports: vec![22],
        },
        boot_id: "1".into(),
        registered_at_ms: 0,
        last_seen_ms: 0,
        assignment_generation: 0,
        accepts_tasks: true,
        connected: true,
        regions: Vec::new(),
    };
    let mut instance = Some(instance(id));
    let mut used = NodeUse { cpu_units: 100, memory_mib: 100, ..NodeUse::default() };
    for word in words {
        match word {
            "silent" => node.connected = false,
            "leaving" => node.accepts_tasks = false,
            "arm" => node.architecture = Architecture::Arm64,
            "bare" => instance = None,
            "troubled" => {
                troubled.insert(node.id.clone());
            }
            "allowing" => {
                let attribute = (PRIVILEGED_ATTRIBUTE.to_owned(), String::new());
                instance.as_mut().unwrap().attributes.push(attribute);
            }
            "draining" => {
                if let Some(instance) = &mut instance {
                    instance.status = ContainerInstanceStatus::Draining;
                }
            }
            port => {
                used.host_ports.insert((port.parse().unwrap(), TransportProtocol::Tcp));
            }
        }
    }
    Room { node: Arc::new(node), instance: instance.map(Arc::new), used }
}

fn instance(node: &str) -> ContainerInstance {
    ContainerInstance {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        cluster: ClusterName::new("default"),
        id: ContainerInstanceId::new(format!("i-{node}")),
        node: NodeId::new(node),
        ec2_instance_id: "i-0".into(),
        status: ContainerInstanceStatus::Active,
        attributes: Vec::new(),
        registered_at_ms: 0,
        version: 1,
        tags: Tags::new(),
    }
}

/// The place of one task.
fn choose(
    needs: &Requirements,
    place: Place<'_>,
    capacity: &EveryNode,
    troubled: &BTreeSet<NodeId>,
) -> Result<String, Rejection> {
    let settings = Settings::default();
    let tasks = &NoPlacedTasks;
    let scene = Scene { needs, place, capacity, tasks, troubled, settings: &settings, seed: 0 };
    let mut batch = Batch::new(&scene);
    let Some(chosen) = batch.pick() else { return Err(rejection(&batch)) };
    Ok(batch.candidate(chosen).node.id.to_string())
}

/// `fargate 256/512`, `ec2 256/512 8080` or `privileged 256/512`: what the task needs | nodes | the node or the reasons.
#[track_caller]
fn check(needs: &str, nodes: &str, expected: &str) {
    let words: Vec<&str> = needs.split_whitespace().collect();
    let (cpu, memory) = words[1].split_once('/').unwrap();
    let needs = Requirements {
        launch_type: match words[0] {
            "fargate" => LaunchType::Fargate,
            _ => LaunchType::Ec2,
        },
        privileged: words[0] == "privileged",
        architecture: Some(Architecture::X86_64),
        cpu_units: cpu.parse().unwrap(),
        memory_mib: memory.parse().unwrap(),
        host_ports: words[2..]
            .iter()
            .map(|port| (port.parse().unwrap(), TransportProtocol::Tcp))
            .collect(),
        open_ports: 0,
    };
    let mut troubled = BTreeSet::new();
    let texts = nodes.split(", ").filter(|text| !text.is_empty());
    let rooms = texts.map(|text| room(text, &mut troubled)).collect();
    let capacity = EveryNode { rooms, shown: Rc::default() };
    let scope = Scope::new(AccountId::new("0"), Region::new("us-east-1"));
    let cluster = ClusterName::new("default");
    let pool = pool(needs.launch_type, &scope, &cluster);
    let rules = Rules::default();
    let place = Place { pool: &pool, scope: &scope, cluster: &cluster, rules: &rules };
    let chosen = match choose(&needs, place, &capacity, &troubled) {
        Ok(node) => node,
        Err(Rejection { shortage: Some(shortage), .. }) if needs.cpu_units > 9_000 => {
            shortage.to_string()
        }
        Err(Rejection { reason, instances, .. }) if instances.is_empty() => reason.to_string(),
        Err(Rejection { instances, .. }) => {
            let each = instances.iter().map(|passed| match passed.detail() {
                Some(detail) if needs.memory_mib > 9_000 => format!("{}: {detail}", passed.id),
                _ => format!("{} {}", passed.id, passed.reason),
            });
            each.collect::<Vec<_>>().join(" | ")
        }
    };
    assert_eq!(chosen, expected);
}

#[test]
fn the_node_with_the_most_room_gets_the_task() {
    check("fargate 256/512", "a 1024/1024, b 1024/2048, c 1024/1536", "b");
    check("fargate 256/512", "a 512/1024, b 1024/1024", "b");
    check("fargate 256/512", "b 1024/1024, a 1024/1024", "a");
}

#[test]
fn a_troubled_node_comes_last_and_is_better_than_none() {
    check("fargate 256/512", "a 1024/2048 troubled, b 512/512", "b");
    check("fargate 256/512", "a 1024/2048 troubled, b 1/1", "a");
    check("fargate 256/512", "a 512/512 troubled, b 1024/1024 troubled", "b");
}

#[test]
fn a_task_that_fits_exactly_fits() {
    check("ec2 256/512", "a 256/512", "a");
    check("ec2 257/512", "a 256/512", "i-a RESOURCE:CPU");
    check("ec2 256/513", "a 256/512", "i-a RESOURCE:MEMORY");
}

#[test]
fn the_closest_match_is_named_first() {
    check(
        "ec2 256/512 80",
        "a 1/1, b 1024/1024 80, c 1024/1, d 1024/1024 silent, e 1024/1024 arm",
        "i-b RESOURCE:PORTS | i-c RESOURCE:MEMORY | i-a RESOURCE:CPU | i-e ATTRIBUTE | i-d AGENT",
    );
}

/// `check` tells the numbers of one that asks for more than 9,000 CPU units.
#[test]
fn what_never_fits_says_what_was_wanted_and_what_is_free() {
    let wanted = "wanted: 9999 CPU units, 512 MiB; ";
    let free = "free on the machine with the most memory left";
    let check = |needs: &str, nodes: &str, rest: &str| {
        check(needs, nodes, &format!("{wanted}{rest}"));
    };
    let rooms = "a 1024/1024, b 512/4096, c 9999/9999 silent, d 9999/9999 arm";
    let larger =
        "; larger than any machine that takes tasks: it fits on none of them, however empty";
    let of_b = format!("{free} (i-b): 512 CPU units, 4096 MiB");
    check("fargate 9999/512", rooms, &format!("{of_b}{larger}"));
    check("ec2 9999/512", rooms, &format!("{of_b}{larger}"));
    // `e` has 9,999 in all, and 100 of them are taken.
    check("fargate 9999/512", "e 9899/1024, b 512/4096", &of_b);
    let bare = format!("{free} (b): 512 CPU units, 4096 MiB{larger}");
    check("fargate 9999/512", "b 512/4096 bare", &bare);
    let nobody = "no machine of architecture X86_64 takes such tasks now";
    check("fargate 9999/512", "d 9999/9999 arm, c 9999/9999 silent", nobody);
}

/// `check` tells the detail of each container instance for a task of more than 9,000 MiB.
#[test]
fn each_container_instance_says_what_it_lacks() {
    check(
        "ec2 256/9999",
        "a 1024/9998, b 1/20000, c 1024/512",
        "i-a: wanted: 256 CPU units, 9999 MiB; free on it: 1024 CPU units, 9998 MiB | \
         i-c: wanted: 256 CPU units, 9999 MiB; free on it: 1024 CPU units, 512 MiB; larger than the machine: it does \
         not fit there, however empty | \
         i-b: wanted: 256 CPU units, 9999 MiB; free on it: 1 CPU units, 20000 MiB; larger than the machine: it does \
         not fit there, however empty",
    );
    let ports = "i-a: wanted: host ports 80/tcp, 22/tcp, 81/tcp; taken on it: 80/tcp, 22/tcp";
    check("ec2 1/9999 80 22 81", "a 9/9999 80", ports);
    let twice =
        "i-a: wanted: host ports 80/tcp, 80/tcp; free on it: too few, or one is wanted twice";
    check("ec2 1/9999 80 80", "a 9/9999", twice);
}

#[test]
fn nodes_that_are_silent_leaving_or_draining_get_nothing() {
    check("ec2 1/1", "a 9/9 draining, b 9/9 leaving", "i-a AGENT | i-b AGENT");
    check("fargate 1/1", "a 9/9 draining", "a");
}

#[test]
fn power_over_the_host_is_given_by_nodes_that_allow_it() {
    check("privileged 1/1", "a 9/9, b 1/1 allowing", "b");
    check("privileged 1/1", "a 9/9, b 9/9 arm allowing", "i-a ATTRIBUTE | i-b ATTRIBUTE");
    let detail = Unplaceable::Privileged.detail().unwrap();
    assert!(detail.contains("--allow-privileged") && detail.contains(PRIVILEGED_ATTRIBUTE));
    assert_eq!(Unplaceable::Attribute.detail(), None);
}

/// As of a cluster of many emptier nodes of another kind.
#[test]
fn nodes_of_another_kind_are_not_looked_at() {
    let mut rooms: Vec<Room> = (0..5_000)
        .map(|number| room(&format!("a{number} 9999/9999 arm"), &mut BTreeSet::new()))
        .collect();
    rooms.push(room("b 512/512", &mut BTreeSet::new()));
    rooms.push(room("c 256/256 allowing", &mut BTreeSet::new()));
    let shown = Rc::new(Cell::new(0));
    let capacity = EveryNode { rooms, shown: Rc::clone(&shown) };
    let scope = Scope::new(AccountId::new("0"), Region::new("us-east-1"));
    let cluster = ClusterName::new("default");
    for (launch_type, privileged, expected) in [
        (LaunchType::Ec2, false, "b"),
        (LaunchType::Ec2, true, "c"),
        (LaunchType::Fargate, false, "b"),
    ] {
        let needs = Requirements {
            launch_type,
            architecture: Some(Architecture::X86_64),
            privileged,
            cpu_units: 1,
            memory_mib: 1,
            host_ports: Vec::new(),
            open_ports: 0,
        };
        let pool = pool(launch_type, &scope, &cluster);
        let rules = Rules::default();
        let place = Place { pool: &pool, scope: &scope, cluster: &cluster, rules: &rules };
        let chosen = choose(&needs, place, &capacity, &BTreeSet::new());
        assert_eq!(chosen.unwrap(), expected);
        assert_eq!(shown.replace(0), 1, "nodes that were looked at for {expected}");
    }
}

#[test]
fn machines_of_fargate_are_never_named() {
    let capacity = "Capacity is unavailable at this time. Please try again later or in a \
                    different availability zone";
    check("fargate 256/512", "", capacity);
    check("fargate 256/512", "a 1/1, b 9999/9999 silent", capacity);
    check("fargate 1/1", "a 9/9 bare", "a");
}

#[test]
fn ec2_needs_a_container_instance_of_the_cluster() {
    let none = "No Container Instances were found in your cluster.";
    check("ec2 1/1", "", none);
    check("ec2 1/1", "a 9/9 bare", none);
}

#[test]
fn ports_of_the_host_itself_and_the_same_port_twice_are_refused() {
    check("ec2 1/1 22", "a 9/9", "i-a RESOURCE:PORTS");
    check("ec2 1/1 80 80", "a 9/9", "i-a RESOURCE:PORTS");
    check("ec2 1/1 80 81", "a 9/9 82", "a");
}
