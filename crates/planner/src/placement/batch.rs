//! Places for several tasks of one kind, one after the other: what was looked at for one is not looked at again for the next.
//!
//! ```text
//! candidates, the most free memory first -> bucket (attributes that tasks are spread by) -> heap
//! the next place: the bucket with the fewest tasks of the group -> the top of its heap
//! ```
//!
//! Candidates are drawn only until none that is left can be better: without a strategy one a task. Where tasks of the
//! group are everywhere, or a strategy has an order of its own, all of the pool are drawn once a batch.
//!
//! **Invariant:** each place is the best by the strategies among all nodes that fit (`tests/oracle.rs` of this room), given
//! the places before it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use outport_model::NodeId;
use outport_model::capacity::{Candidate, Capacity, NodeUse, PlacedTasks, Wanted};
use outport_model::container_instance::ContainerInstance;
use outport_model::node::Node;
use outport_model::task::Reservation;

use super::rules::{Chain, Criterion};
use super::{Place, Requirements, has_ports};
use crate::cluster_query::Instance;
use crate::settings::Settings;

/// What a batch is placed by.
pub(crate) struct Scene<'a, C> {
    pub needs: &'a Requirements,
    pub place: Place<'a>,
    pub capacity: &'a C,
    pub tasks: &'a dyn PlacedTasks,
    pub troubled: &'a BTreeSet<NodeId>,
    pub settings: &'a Settings,
    /// Decides where chance does.
    pub seed: u64,
}

/// A candidate that was drawn, with what the batch has taken of it.
struct Seen<'a> {
    node: &'a Arc<Node>,
    instance: Option<&'a Arc<ContainerInstance>>,
    used: Cow<'a, NodeUse>,
    /// Tasks of the group on it.
    tasks: u32,
    /// When chance has it come next. Each task adds a step to it, long or short as those between events that come at random: so the
    /// earliest of several is any of them, whatever came before.
    clock: u64,
    is_troubled: bool,
    bucket: usize,
}

impl Seen<'_> {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { node: self.node, container_instance: self.instance, used: &self.used }
    }
}

/// Smaller is better. Troubled nodes come last, whatever else is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LeafKey {
    is_troubled: bool,
    tasks: u32,
    tail: Tail,
}

/// By what of the strategies is not spreading, then by most free memory and CPU, then by id.
type Tail = ([u64; 5], NodeId);

#[derive(Default)]
struct Bucket {
    /// Values of the attributes that tasks are spread by; a node without one is of a bucket of its own kind.
    values: Vec<Option<String>>,
    heap: BinaryHeap<Reverse<(LeafKey, usize)>>,
    /// Where it stands in the order, while its heap has something.
    rank: Option<Rank>,
}

/// Whether its best is troubled, how many tasks of the group each of its prefixes has, and its best.
type Rank = (bool, Vec<u64>, LeafKey);

pub(crate) struct Batch<'a, C> {
    pub(super) scene: &'a Scene<'a, C>,
    chain: Chain,
    stream: Box<dyn Iterator<Item = Candidate<'a>> + 'a>,
    is_exhausted: bool,
    /// Of the last one that was drawn.
    drawn: Option<Tail>,
    seen: Vec<Seen<'a>>,
    buckets: Vec<Bucket>,
    of_values: BTreeMap<Vec<Option<String>>, usize>,
    order: BTreeSet<(Rank, usize)>,
    /// Tasks of the group by the first values of their place.
    counts: BTreeMap<Vec<Option<String>>, u64>,
    /// Tasks that the batch placed.
    added: BTreeMap<NodeId, u32>,
    reserved: Vec<(NodeId, Reservation)>,
}

impl<'a, C: Capacity> Batch<'a, C> {
    pub fn new(scene: &'a Scene<'a, C>) -> Self {
        let needs = scene.needs;
        let wanted = Wanted {
            pool: scene.place.pool,
            architecture: needs.architecture,
            privileged: needs.privileged,
            cpu_units: needs.cpu_units,
            memory_mib: needs.memory_mib,
        };
        let mut batch = Self {
            scene,
            chain: Chain::of(&scene.place.rules.strategy),
            stream: scene.capacity.with_room(wanted),
            is_exhausted: false,
            drawn: None,
            seen: Vec::new(),
            buckets: Vec::new(),
            of_values: BTreeMap::new(),
            order: BTreeSet::new(),
            counts: BTreeMap::new(),
            added: BTreeMap::new(),
            reserved: Vec::new(),
        };
        batch.count_group();
        batch
    }

    fn count_group(&mut self) {
        if self.chain.attributes.is_empty() {
            return;
        }
        let Place { scope, cluster, rules, .. } = self.scene.place;
        for (node, count) in self.scene.tasks.of_group(&rules.group) {
            let member = self.scene.capacity.member(scope, cluster, node);
            if let Some(instance) = member.and_then(|member| member.container_instance) {
                let values = values_of(&self.chain, Some(instance));
                self.add(&values, u64::from(count));
            }
        }
    }

    fn add(&mut self, values: &[Option<String>], count: u64) {
        for length in 1..=values.len() {
            *self.counts.entry(values[..length].to_vec()).or_default() += count;
        }
    }

    /// What is left on a node that was picked.
    pub fn candidate(&self, index: usize) -> Candidate<'_> {
        self.seen[index].candidate()
    }

    /// The best place for the next task, by a number for `candidate` and `reserve`. `None`: nothing fits.
    pub fn pick(&mut self) -> Option<usize> {
        while !self.is_settled() && self.draw() {}
        if !self.chain.is_in_buckets() {
            return self.best_of_all();
        }
        let (_, bucket) = self.order.pop_first()?;
        self.buckets[bucket].rank = None;
        let Reverse((_, index)) = self.buckets[bucket].heap.pop()?;
        Some(index)
    }

    /// Takes room for a task on the node that was picked last.
    pub fn reserve(&mut self, index: usize, held: &Reservation) {
        let seen = &mut self.seen[index];
        seen.used.to_mut().add(held);
        seen.tasks += 1;
        let node = seen.node.id.clone();
        *self.added.entry(node.clone()).or_default() += 1;
        self.reserved.push((node, held.clone()));
        let salt = self.reserved.len() as u64;
        seen.clock += step(self.scene.seed ^ salt.rotate_left(32), &seen.node.id);
        let bucket = seen.bucket;
        let values = self.buckets[bucket].values.clone();
        self.add(&values, 1);
        self.put(index);
        // Others share the first values of their place.
        if values.len() > 1 {
            let shares = |other: &usize| self.buckets[*other].values.first() == values.first();
            let others: Vec<usize> = (0..self.buckets.len()).filter(shares).collect();
            others.into_iter().for_each(|other| self.rank(other));
        } else {
            self.rank(bucket);
        }
    }

    /// Whether nothing that was not drawn yet can be better than the best of what was.
    fn is_settled(&self) -> bool {
        if self.is_exhausted || !self.chain.is_in_buckets() || !self.chain.leaves_the_order() {
            return self.is_exhausted;
        }
        let Some(((is_troubled, counts, best), _)) = self.order.first() else { return false };
        !is_troubled
            && counts.iter().all(|count| *count == 0)
            && best.tasks == 0
            && self.drawn.as_ref().is_some_and(|drawn| best.tail <= *drawn)
    }

    fn draw(&mut self) -> bool {
        let Some(candidate) = self.stream.next() else {
            self.is_exhausted = true;
            return false;
        };
        let group = &self.scene.place.rules.group;
        let counts_tasks =
            self.chain.has(Criterion::Instance) || self.scene.place.rules.is_distinct;
        let tasks =
            if counts_tasks { self.scene.tasks.count(group, &candidate.node.id) } else { 0 };
        let values = values_of(&self.chain, candidate.container_instance);
        let bucket = match self.of_values.get(&values) {
            Some(bucket) => *bucket,
            None => {
                let bucket = self.buckets.len();
                self.buckets.push(Bucket { values: values.clone(), ..Bucket::default() });
                self.of_values.insert(values, bucket);
                bucket
            }
        };
        self.seen.push(Seen {
            node: candidate.node,
            instance: candidate.container_instance,
            used: Cow::Borrowed(candidate.used),
            tasks,
            clock: step(self.scene.seed, &candidate.node.id),
            is_troubled: self.scene.troubled.contains(&candidate.node.id),
            bucket,
        });
        let index = self.seen.len() - 1;
        self.drawn = Some(self.tail(index));
        self.put(index);
        self.rank(bucket);
        true
    }

    /// Puts a candidate that fits into the heap of its bucket.
    fn put(&mut self, index: usize) {
        if self.chain.is_in_buckets() && self.fits(index) {
            let key = self.leaf(index);
            let bucket = self.seen[index].bucket;
            self.buckets[bucket].heap.push(Reverse((key, index)));
        }
    }

    fn rank(&mut self, index: usize) {
        if let Some(rank) = self.buckets[index].rank.take() {
            self.order.remove(&(rank, index));
        }
        let Some(Reverse((best, _))) = self.buckets[index].heap.peek() else { return };
        let rank: Rank =
            (best.is_troubled, self.counts_of(&self.buckets[index].values), best.clone());
        self.buckets[index].rank = Some(rank.clone());
        self.order.insert((rank, index));
    }

    fn counts_of(&self, values: &[Option<String>]) -> Vec<u64> {
        let count = |length| self.counts.get(&values[..length]).copied().unwrap_or(0);
        (1..=values.len()).map(count).collect()
    }

    /// Whether one more task of the batch fits, by room, ports and constraints.
    fn fits(&self, index: usize) -> bool {
        let (needs, rules) = (self.scene.needs, self.scene.place.rules);
        let seen = &self.seen[index];
        let candidate = seen.candidate();
        candidate.free_cpu_units() >= u64::from(needs.cpu_units)
            && candidate.free_memory_mib() >= u64::from(needs.memory_mib)
            && has_ports(needs, &candidate, self.scene.settings)
            && !(rules.is_distinct && seen.tasks > 0)
            && self.is_member(seen)
    }

    /// The tasks of the cluster, those of the batch included.
    pub(super) fn tasks(&self) -> WithAdded<'_> {
        let Scene { tasks, place, .. } = self.scene;
        WithAdded { tasks: *tasks, group: &place.rules.group, added: &self.added }
    }

    /// What the batch left of the nodes.
    pub(super) fn left(&self) -> C {
        let mut left = self.scene.capacity.clone();
        self.reserved.iter().for_each(|(node, held)| left.reserve(node, held));
        left
    }

    fn is_member(&self, seen: &Seen<'_>) -> bool {
        let rules = self.scene.place.rules;
        let Some(row) = seen.instance.filter(|_| rules.constrains()) else { return true };
        let tasks = &self.tasks();
        rules.is_member(&Instance { row, node: Some(seen.node), tasks })
    }

    fn leaf(&self, index: usize) -> LeafKey {
        let seen = &self.seen[index];
        LeafKey {
            is_troubled: seen.is_troubled,
            tasks: if self.chain.has(Criterion::Instance) { seen.tasks } else { 0 },
            tail: self.tail(index),
        }
    }

    fn tail(&self, index: usize) -> Tail {
        let candidate = self.seen[index].candidate();
        let (cpu, memory) = (candidate.free_cpu_units(), candidate.free_memory_mib());
        let mut key = [0; 5];
        let own = self.chain.criteria.iter().filter_map(|criterion| match criterion {
            Criterion::Cpu => Some(cpu),
            Criterion::Memory => Some(memory),
            Criterion::Random => Some(self.seen[index].clock),
            Criterion::Attributes(_) | Criterion::Instance => None,
        });
        own.enumerate().for_each(|(place, value)| key[place] = value);
        (key[3], key[4]) = (!memory, !cpu);
        (key, candidate.node.id.clone())
    }

    /// For strategies in an order that buckets are not kept for.
    fn best_of_all(&self) -> Option<usize> {
        let score = |index: &usize| {
            let seen = &self.seen[*index];
            let counts = self.counts_of(&self.buckets[seen.bucket].values);
            let candidate = seen.candidate();
            let of = |criterion: &Criterion| match criterion {
                Criterion::Attributes(length) => counts[length - 1],
                Criterion::Instance => u64::from(seen.tasks),
                Criterion::Cpu => candidate.free_cpu_units(),
                Criterion::Memory => candidate.free_memory_mib(),
                Criterion::Random => seen.clock,
            };
            let scores: Vec<u64> = self.chain.criteria.iter().map(of).collect();
            (seen.is_troubled, scores, self.tail(*index))
        };
        (0..self.seen.len()).filter(|index| self.fits(*index)).min_by_key(score)
    }
}

fn values_of(chain: &Chain, instance: Option<&Arc<ContainerInstance>>) -> Vec<Option<String>> {
    let value = |name: &String| {
        let attribute = instance?.attributes.iter().find(|(known, _)| known == name);
        attribute.map(|(_, value)| value.clone())
    };
    chain.attributes.iter().map(value).collect()
}

/// How long until an event of the node, in 2^-32 of what it takes on average.
fn step(seed: u64, node: &NodeId) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325;
    for byte in node.as_str().bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number below 50 * 2^32"
    )]
    {
        let chance = ((mixed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        (-chance.ln() * (1_u64 << 32) as f64) as u64
    }
}

/// The tasks of a cluster, with those that a batch has placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct WithAdded<'a> {
    tasks: &'a dyn PlacedTasks,
    group: &'a str,
    added: &'a BTreeMap<NodeId, u32>,
}

impl WithAdded<'_> {
    fn added_on(&self, node: &NodeId) -> u32 {
        self.added.get(node).copied().unwrap_or(0)
    }
}

impl PlacedTasks for WithAdded<'_> {
    fn count(&self, group: &str, node: &NodeId) -> u32 {
        let added = if group == self.group { self.added_on(node) } else { 0 };
        self.tasks.count(group, node) + added
    }

    fn of_group<'a>(&'a self, group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a> {
        self.tasks.of_group(group)
    }

    fn any_group_on(&self, instance: &ContainerInstance, will_do: &dyn Fn(&str) -> bool) -> bool {
        (self.added_on(&instance.node) > 0 && will_do(self.group))
            || self.tasks.any_group_on(instance, will_do)
    }

    fn running_on(&self, instance: &ContainerInstance) -> u32 {
        self.tasks.running_on(instance)
    }
}
