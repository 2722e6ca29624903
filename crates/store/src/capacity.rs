//! What the nodes have left: kept with every change of a node, of a container instance and of what tasks hold, so that
//! placement looks at few nodes, however many there are.
//!
//! ```text
//! pool -> class of free CPU (0, 1, 2-3, 4-7, ...) -> nodes, the most free memory first
//! ```
//!
//! A search for `n` CPU units takes the classes from that of `n` on, and of each the nodes from the top: it passes over
//! nodes only in the class of `n` itself.
//!
//! **Invariant:** it says exactly what the rows of nodes, container instances and tasks say.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use outport_model::capacity::{Candidate, Capacity, NodeUse, Pool, SubnetSpace};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::task::Reservation;
use outport_model::{ClusterName, NodeId, Scope, SubnetId};

use crate::rows::keys::SubnetKey;
use crate::tables::Tables;

/// The room of every node.
#[derive(Clone, Default)]
pub struct NodeRooms {
    nodes: OrdMap<NodeId, Arc<NodeRoom>>,
    pools: OrdMap<Pool, OrdMap<CpuClass, OrdSet<Place>>>,
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

    fn place(&self) -> Place {
        let candidate = self.candidate(None);
        let (memory, cpu) = (candidate.free_memory_mib(), candidate.free_cpu_units());
        (Reverse(memory), Reverse(cpu), self.node.id.clone())
    }

    /// The pools that it takes tasks of.
    fn pools(&self) -> Vec<Pool> {
        if !self.node.connected || !self.node.accepts_tasks {
            return Vec::new();
        }
        let active =
            |instance: &&Arc<ContainerInstance>| instance.status == ContainerInstanceStatus::Active;
        let of_instance = |instance: &Arc<ContainerInstance>| {
            Pool::ContainerInstances(instance.scope.clone(), instance.cluster.clone())
        };
        let instances = self.instances.iter().filter(active).map(of_instance);
        std::iter::once(Pool::Fargate).chain(instances).collect()
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
        if let Some(old) = old {
            self.take_out(&old);
        }
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

    fn put_in(&mut self, room: &NodeRoom) {
        for pool in room.pools() {
            let classes = self.pools.entry(pool).or_default();
            classes.entry(room.class()).or_default().insert(room.place());
        }
    }

    fn take_out(&mut self, room: &NodeRoom) {
        for pool in room.pools() {
            let Some(classes) = self.pools.get_mut(&pool) else { continue };
            let Some(places) = classes.get_mut(&room.class()) else { continue };
            places.remove(&room.place());
            if places.is_empty() {
                classes.remove(&room.class());
            }
            if classes.is_empty() {
                self.pools.remove(&pool);
            }
        }
    }
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
    fn with_room<'a>(
        &'a self,
        pool: &'a Pool,
        cpu_units: u32,
        memory_mib: u32,
    ) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let Some(classes) = self.pools.get(pool) else { return Box::new(std::iter::empty()) };
        let cluster = match pool {
            Pool::Fargate => None,
            Pool::ContainerInstances(scope, cluster) => Some((scope, cluster)),
        };
        let classes = classes.range(class_of(u64::from(cpu_units))..);
        let found = Merged::of(classes.map(|(_, places)| places));
        let found = found
            .take_while(move |(memory, _, _)| memory.0 >= u64::from(memory_mib))
            .filter(move |(_, cpu, _)| cpu.0 >= u64::from(cpu_units))
            .filter_map(|(_, _, id)| self.nodes.get(id));
        Box::new(found.map(move |room| room.candidate(cluster)))
    }

    fn members<'a>(
        &'a self,
        scope: &'a Scope,
        cluster: &'a ClusterName,
    ) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a> {
        let candidates = self.nodes.values().map(|room| room.candidate(Some((scope, cluster))));
        Box::new(candidates.filter(|candidate| {
            let instance = candidate.container_instance;
            instance.is_some_and(|i| i.status != ContainerInstanceStatus::Inactive)
        }))
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
