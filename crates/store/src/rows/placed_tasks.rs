//! How many tasks of a group are wanted on which container instance, for placement.

use imbl::OrdMap;
use outport_model::NodeId;
use outport_model::TaskStatus;
use outport_model::capacity::PlacedTasks;
use outport_model::container_instance::ContainerInstance;
use outport_model::task::Task;

use crate::rows::cluster::ClusterKey;
use crate::rows::task::cluster_key;
use crate::table::Table;

/// One map a cluster: most groups of tasks that are no service's have one task.
type Counts = OrdMap<(String, NodeId), u32>;

#[derive(Clone, Debug, Default)]
pub(super) struct PlacedIndex(OrdMap<ClusterKey, Counts>);

/// The node and the group of a task that placement counts.
fn placed(row: &Task) -> Option<(&NodeId, &String)> {
    let is_placed = row.is_wanted() && row.container_instance.is_some();
    is_placed.then(|| Some((row.node.as_ref()?, &row.group)))?
}

impl PlacedIndex {
    pub fn add(&mut self, row: &Task) {
        if let Some((node, group)) = placed(row) {
            let counts = self.0.entry(cluster_key(row)).or_default();
            *counts.entry((group.clone(), node.clone())).or_default() += 1;
        }
    }

    pub fn remove(&mut self, row: &Task) {
        let Some((node, group)) = placed(row) else { return };
        let cluster = cluster_key(row);
        let Some(counts) = self.0.get_mut(&cluster) else { return };
        let key = (group.clone(), node.clone());
        match counts.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&key)),
        }
        if counts.is_empty() {
            self.0.remove(&cluster);
        }
    }

    pub fn replace(&mut self, old: &Task, new: &Task) {
        if placed(old) != placed(new) {
            self.remove(old);
            self.add(new);
        }
    }

    pub fn in_cluster(&self, cluster: &ClusterKey) -> Option<&Counts> {
        self.0.get(cluster)
    }
}

/// The tasks on the container instances of one cluster.
#[derive(Debug)]
pub struct PlacedInCluster<'a> {
    tasks: &'a Table<Task>,
    counts: Option<&'a Counts>,
}

impl<'a> PlacedInCluster<'a> {
    pub(super) fn new(tasks: &'a Table<Task>, counts: Option<&'a Counts>) -> Self {
        Self { tasks, counts }
    }

    fn on<'b>(&'b self, instance: &'b ContainerInstance) -> impl Iterator<Item = &'b Task> {
        let tasks = self.tasks.live_on_node(&instance.node).values().map(|task| &**task);
        tasks.filter(|task| task.container_instance.as_ref() == Some(&instance.id))
    }
}

impl PlacedTasks for PlacedInCluster<'_> {
    fn count(&self, group: &str, node: &NodeId) -> u32 {
        let key = (group.to_owned(), node.clone());
        self.counts.and_then(|counts| counts.get(&key)).copied().unwrap_or(0)
    }

    fn of_group<'a>(&'a self, group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a> {
        let first = (group.to_owned(), NodeId::new(""));
        let behind = self.counts.into_iter().flat_map(move |counts| counts.range(first.clone()..));
        let of_group = behind.take_while(move |((known, _), _)| known == group);
        Box::new(of_group.map(|((_, node), count)| (node, *count)))
    }

    fn any_group_on(&self, instance: &ContainerInstance, will_do: &dyn Fn(&str) -> bool) -> bool {
        self.on(instance).any(|task| task.is_wanted() && will_do(&task.group))
    }

    fn running_on(&self, instance: &ContainerInstance) -> u32 {
        let running = self.on(instance).filter(|task| task.last_status == TaskStatus::Running);
        u32::try_from(running.count()).unwrap_or(u32::MAX)
    }
}
