//! What the nodes have left: kept with every change of a node, of a container instance and of what tasks hold, so that
//! placement looks at few nodes, however many there are.
//!
//! ```text
//! pool -> kind of node, class of free CPU (0, 1, 2-3, 4-7, ...) -> nodes, the most free memory first
//! ```
//!
//! A search for `n` CPU units takes the classes from that of `n` on of the kinds that will do, and of each the nodes from
//! the top: it passes over nodes only in the class of `n` itself.
//!
//! **Invariant:** it says exactly what the rows of nodes, container instances and tasks say.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use outport_model::capacity::{Candidate, Capacity, NodeKind, NodeUse, Pool, SubnetSpace, Wanted};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::task::Reservation;
use outport_model::{ClusterName, NodeId, Scope, SubnetId};

use crate::rows::keys::{ClusterKey, SubnetKey};
use crate::table::Members;
use crate::tables::Tables;

/// The room of every node.
#[derive(Clone, Default)]
pub struct NodeRooms {
    nodes: OrdMap<NodeId, Arc<NodeRoom>>,
    pools: OrdMap<Pool, OrdMap<(NodeKind, CpuClass), OrdSet<Place>>>,
    /// The nodes of the container instances of a cluster that are not INACTIVE.
    members: Members<ClusterKey, NodeId>,
    grown: u64,
}

/// Not how often room grew: that is not of the rows.
impl fmt::Debug for NodeRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRooms").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct NodeRoom {
    node: Arc<Node>,
    /// At most one a cluster.
    instances: Vec<Arc<ContainerInstance>>,
    used: NodeUse,
}

/// How many bits the number of free CPU units has.
type CpuClass = u32;
/// The order in which nodes of a class are tried: free memory, free CPU, id.
type Place = (Reverse<u64>, Reverse<u64>, NodeId);

fn class_of(cpu_units: u64) -> CpuClass {
    u64::BITS - cpu_units.leading_zeros()
}

impl NodeRoom {
    fn candidate(&self, cluster: Option<(&Scope, &ClusterName)>) -> Candidate<'_> {
        let of_cluster = |instance: &&Arc<ContainerInstance>| {
            cluster == Some((&instance.scope, &instance.cluster))
        };
        let container_instance = self.instances.iter().find(of_cluster);
        Candidate { node: &self.node, container_instance, used: &self.used }
    }

    fn class(&self) -> CpuClass {
        class_of(self.candidate(None).free_cpu_units())
    }

    /// The clusters whose container instance it is.
    fn clusters(&self) -> impl Iterator<Item = ClusterKey> {
        let registered = self.instances.iter().filter(|instance| is_registered(instance));
        registered.map(|instance| ClusterKey::new(&instance.scope, instance.cluster.clone()))
    }

    fn place(&self) -> Place {
        let candidate = self.candidate(None);
        let (memory, cpu) = (candidate.free_memory_mib(), candidate.free_cpu_units());
        (Reverse(memory), Reverse(cpu), self.node.id.clone())
    }

    /// The pools that it takes tasks of, and what kind of node it is in each.
    fn pools(&self) -> Vec<(Pool, NodeKind)> {
        if !self.node.connected || !self.node.accepts_tasks {
            return Vec::new();
        }
        let active =
            |instance: &&Arc<ContainerInstance>| instance.status == ContainerInstanceStatus::Active;
        let of_instance = |instance: &Arc<ContainerInstance>| {
            let (scope, cluster) = (&instance.scope, &instance.cluster);
            let kind = self.candidate(Some((scope, cluster))).kind();
            (Pool::ContainerInstances(scope.clone(), cluster.clone()), kind)
        };
        let instances = self.instances.iter().filter(active).map(of_instance);
        let kind = self.candidate(None).kind();
        let regions = self.node.regions.iter();
        let mut fargate: Vec<_> =
            regions.map(|region| (Pool::Fargate(Some(region.clone())), kind)).collect();
        if fargate.is_empty() {
            fargate.push((Pool::Fargate(None), kind));
        }
        fargate.into_iter().chain(instances).collect()
    }
}

impl NodeRooms {
    /// How often a node got more room, or began to take tasks, since the store was opened. Who found no place tries again
    /// when it has grown.
    pub fn grown(&self) -> u64 {
        self.grown
    }

    fn set(&mut self, id: &NodeId, room: Option<NodeRoom>) {
        let old = self.nodes.get(id).cloned();
        let has_grown = room.as_ref().is_some_and(|new| has_grown(old.as_deref(), new));
        self.grown += u64::from(has_grown);
        if let Some(old) = &old {
            self.take_out(old);
        }
        self.set_members(id, old.as_deref(), room.as_ref());
        match room {
            Some(room) => {
                self.put_in(&room);
                self.nodes.insert(id.clone(), Arc::new(room));
            }
            None => {
                self.nodes.remove(id);
            }
        }
    }

    fn set_members(&mut self, id: &NodeId, old: Option<&NodeRoom>, new: Option<&NodeRoom>) {
        // Tasks come and go, container instances do not.
        if old.map(|room| &room.instances) == new.map(|room| &room.instances) {
            return;
        }
        old.into_iter().flat_map(NodeRoom::clusters).for_each(|c| self.members.remove(&c, id));
        new.into_iter()
            .flat_map(NodeRoom::clusters)
            .for_each(|cluster| self.members.add(cluster, id.clone()));
    }

    fn put_in(&mut self, room: &NodeRoom) {
        for (pool, kind) in room.pools() {
            let classes = self.pools.entry(pool).or_default();
            classes.entry((kind, room.class())).or_default().insert(room.place());
        }
    }

    /// The nodes of each class that a search walks over.
    fn classes(&self, wanted: Wanted<'_>) -> impl Iterator<Item = &OrdSet<Place>> {
        let least = class_of(u64::from(wanted.cpu_units));
        let of_every_region = match wanted.pool {
            Pool::Fargate(Some(_)) => self.pools.get(&Pool::Fargate(None)),
            Pool::Fargate(None) | Pool::ContainerInstances(..) => None,
        };
        let pools = self.pools.get(wanted.pool).into_iter().chain(of_every_region);
        pools.flat_map(move |classes| {
            let kinds = NodeKind::ALL.into_iter().filter(move |kind| wanted.takes(*kind));
            let of_kind = move |kind| classes.range((kind, least)..=(kind, CpuClass::MAX));
            kinds.flat_map(of_kind).map(|(_, places)| places)
        })
    }

    fn take_out(&mut self, room: &NodeRoom) {
        for (pool, kind) in room.pools() {
            let class = (kind, room.class());
            let Some(classes) = self.pools.get_mut(&pool) else { continue };
            let Some(places) = classes.get_mut(&class) else { continue };
            places.remove(&room.place());
            if places.is_empty() {
                classes.remove(&class);
            }
            if classes.is_empty() {
                self.pools.remove(&pool);
            }
        }
    }
}

fn is_registered(instance: &ContainerInstance) -> bool {
    instance.status != ContainerInstanceStatus::Inactive
}

fn has_grown(old: Option<&NodeRoom>, new: &NodeRoom) -> bool {
    let Some(old) = old else { return true };
    let room = |room: &NodeRoom| {
        let candidate = room.candidate(None);
        (candidate.free_memory_mib(), candidate.free_cpu_units())
    };
    let ((old_memory, old_cpu), (memory, cpu)) = (room(old), room(new));
    memory > old_memory
        || cpu > old_cpu
        || new.used.host_ports.len() < old.used.host_ports.len()
        || (!Arc::ptr_eq(&old.node, &new.node) && new.pools() != old.pools())
        || new.instances != old.instances
}

impl Capacity for NodeRooms {
    fn with_room<'a>(&'a self, wanted: Wanted<'a>) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let cluster = match wanted.pool {
            Pool::Fargate(_) => None,
            Pool::ContainerInstances(scope, cluster) => Some((scope, cluster)),
        };
        let found = Merged::of(self.classes(wanted))
            .take_while(move |(memory, _, _)| memory.0 >= u64::from(wanted.memory_mib))
            .filter(move |(_, cpu, _)| cpu.0 >= u64::from(wanted.cpu_units))
            .filter_map(|(_, _, id)| self.nodes.get(id));
        Box::new(found.map(move |room| room.candidate(cluster)))
    }

    fn members<'a>(
        &'a self,
        scope: &'a Scope,
        cluster: &'a ClusterName,
    ) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let nodes = self.members.get(&ClusterKey::new(scope, cluster.clone())).iter();
        let rooms = nodes.filter_map(|id| self.nodes.get(id));
        Box::new(rooms.map(|room| room.candidate(Some((scope, cluster)))))
    }

    fn member<'a>(
        &'a self,
        scope: &Scope,
        cluster: &ClusterName,
        node: &NodeId,
    ) -> Option<Candidate<'a>> {
        Some(self.nodes.get(node)?.candidate(Some((scope, cluster))))
    }

    fn instance_of(&self, node: &NodeId) -> Option<&Arc<ContainerInstance>> {
        self.nodes.get(node)?.instances.iter().find(|instance| is_registered(instance))
    }

    fn reserve(&mut self, node: &NodeId, held: &Reservation) {
        let Some(room) = self.nodes.get(node) else { return };
        let mut room = NodeRoom::clone(room);
        room.used.add(held);
        self.set(node, Some(room));
    }
}

/// The places of several classes in one order. The first one, which is nearly always taken, costs a look at the top of
/// each class.
struct Merged<'a> {
    tops: BinaryHeap<Reverse<(&'a Place, usize)>>,
    classes: Vec<Class<'a>>,
    /// The class that the last place came from.
    taken: Option<usize>,
}

struct Class<'a> {
    places: &'a OrdSet<Place>,
    /// Made when a second place is asked for.
    rest: Option<imbl::ordset::Iter<'a, Place, imbl::shared_ptr::DefaultSharedPtr>>,
}

impl<'a> Merged<'a> {
    fn of(classes: impl Iterator<Item = &'a OrdSet<Place>>) -> Self {
        let classes: Vec<Class<'a>> = classes.map(|places| Class { places, rest: None }).collect();
        let top =
            |(index, class): (usize, &Class<'a>)| Some(Reverse((class.places.get_min()?, index)));
        let tops = classes.iter().enumerate().filter_map(top).collect();
        Self { tops, classes, taken: None }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = &'a Place;

    fn next(&mut self) -> Option<&'a Place> {
        if let Some(index) = self.taken.take() {
            // What comes behind a place is looked for when it is asked for.
            let class = &mut self.classes[index];
            let places = class.places;
            let rest = class.rest.get_or_insert_with(|| {
                let mut rest = places.iter();
                rest.next();
                rest
            });
            self.tops.extend(rest.next().map(|next| Reverse((next, index))));
        }
        let Reverse((place, index)) = self.tops.pop()?;
        self.taken = Some(index);
        Some(place)
    }
}

impl Tables {
    /// Says of every node what its rows say, after rows were loaded.
    pub(crate) fn make_rooms(&mut self) {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id.clone()).collect();
        ids.iter().for_each(|id| self.refresh_room(id));
    }

    /// Says of a node what its rows say now.
    pub(crate) fn refresh_room(&mut self, id: &NodeId) {
        let room = self.nodes.get(id).map(|node| NodeRoom {
            node: Arc::clone(node),
            instances: self.container_instances.of_node(id).values().cloned().collect(),
            used: self.tasks.use_of_node(id),
        });
        self.rooms.set(id, room);
    }

    /// The subnets of these ids that exist, in the order given, as the choice of an address for a task
    /// looks at them.
    pub fn subnet_spaces(&self, scope: &Scope, subnet_ids: &[SubnetId]) -> Vec<SubnetSpace<'_>> {
        let keys = subnet_ids.iter().map(|id| SubnetKey::new(scope, id.clone()));
        keys.filter_map(|key| self.subnet_space(&key)).collect()
    }

    fn subnet_space(&self, key: &SubnetKey) -> Option<SubnetSpace<'_>> {
        let subnet = Arc::clone(self.subnets.get(key)?);
        let interfaces = self.network_interfaces.in_subnet(key);
        let default_group = self.security_groups.default_of(&key.scope, &subnet.vpc_id);
        Some(SubnetSpace {
            default_security_group: default_group.map(|group| group.id.clone()),
            taken: interfaces.len(),
            is_taken: Box::new(|address| interfaces.contains_key(&address)),
            given: std::collections::BTreeSet::new(),
            last: self.address_cursors.get(key).map(|cursor| cursor.last),
            subnet,
        })
    }
}

#[cfg(test)]
mod tests {
    use outport_model::ContainerInstanceId;
    use outport_model::linux_capability::PRIVILEGED_ATTRIBUTE;
    use outport_model::node::Architecture;

    use super::*;

    /// Nodes of a kind, with free memory, in the cluster `default`.
    fn fill(rooms: &mut NodeRooms, kind: NodeKind, count: usize, memory_mib: u32) {
        let read = |name: &str| {
            let path = format!("{}/tests/golden/{name}.v1.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::read(path).expect("the golden file is there")
        };
        let mut node: Node = serde_json::from_slice(&read("node")).expect("a node");
        let mut instance: ContainerInstance =
            serde_json::from_slice(&read("container_instance")).expect("a container instance");
        (node.architecture, node.capacity.memory_mib) = (kind.architecture, memory_mib);
        (node.connected, node.accepts_tasks) = (true, true);
        instance.status = ContainerInstanceStatus::Active;
        instance.attributes.retain(|(name, _)| name != PRIVILEGED_ATTRIBUTE);
        if kind.allows_privileged {
            instance.attributes.push((PRIVILEGED_ATTRIBUTE.to_owned(), String::new()));
        }
        for number in 0..count {
            let id = format!("{kind:?} {number}");
            node.id = NodeId::new(&id);
            (instance.id, instance.node) = (ContainerInstanceId::new(&id), node.id.clone());
            let room = NodeRoom {
                node: Arc::new(node.clone()),
                instances: vec![Arc::new(instance.clone())],
                used: NodeUse::default(),
            };
            rooms.set(&node.id, Some(room));
        }
    }

    #[test]
    fn a_search_walks_over_the_nodes_of_its_kind_only() {
        let mut rooms = NodeRooms::default();
        let kind = |architecture, allows_privileged| NodeKind { architecture, allows_privileged };
        fill(&mut rooms, kind(Architecture::Arm64, false), 500, 9_999);
        fill(&mut rooms, kind(Architecture::X86_64, false), 20, 512);
        fill(&mut rooms, kind(Architecture::X86_64, true), 3, 256);
        let instance = Arc::clone(&rooms.nodes.values().next().expect("a node").instances[0]);
        let pool = Pool::ContainerInstances(instance.scope.clone(), instance.cluster.clone());
        for (pool, architecture, privileged, expected) in [
            (&pool, Some(Architecture::X86_64), false, 23),
            (&pool, Some(Architecture::X86_64), true, 3),
            (&pool, Some(Architecture::Arm64), false, 500),
            (&pool, Some(Architecture::Arm64), true, 0),
            (&pool, None, false, 523),
            (
                &Pool::Fargate(Some(instance.scope.region.clone())),
                Some(Architecture::X86_64),
                false,
                23,
            ),
        ] {
            let wanted = Wanted { pool, architecture, privileged, cpu_units: 1, memory_mib: 1 };
            let walked: usize = rooms.classes(wanted).map(OrdSet::len).sum();
            assert_eq!(walked, expected, "{wanted:?}");
            assert_eq!(rooms.with_room(wanted).count(), expected, "{wanted:?}");
        }
    }
}
