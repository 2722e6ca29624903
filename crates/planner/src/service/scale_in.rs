//! Which tasks of a service go first when there are too many, so that those that stay are placed best.
//!
//! | strategy | goes first |
//! |---|---|
//! | spread | a task where the most tasks of the service are |
//! | binpack | one whose instance then has the most left |
//! | random, none left | the youngest: it has the least to lose |
//!
//! A service without a strategy is spread over zones, then over instances. Tasks that do not serve go before all that do.
//!
//! Source: "Use strategies to define Amazon ECS task placement" and "Amazon ECS services" (task termination) in the Amazon
//! ECS Developer Guide.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use outport_model::capacity::Candidate;
use outport_model::placement::{BinpackField, PlacementStrategy, SpreadField};
use outport_model::task::Task;
use outport_model::task_definition::LaunchType;

use super::Scene;
use super::health::is_healthy;
use crate::placement::Rules;

/// The first so many tasks to stop.
pub(super) fn first_to_stop<'a>(
    scene: &Scene<'_>,
    tasks: &[&'a Arc<Task>],
    count: usize,
) -> Vec<&'a Arc<Task>> {
    if count == 0 {
        return Vec::new();
    }
    let rules = Rules::new("", &scene.service.placement, &[]).of_service();
    let (serving, mut first): (Vec<_>, Vec<_>) =
        tasks.iter().copied().partition(|task| is_healthy(task, scene));
    youngest_first(&mut first);
    let mut all = Places::of(scene, &serving, rules.strategy());
    while first.len() < count
        && let Some(task) = all.take()
    {
        first.push(task);
    }
    first.truncate(count);
    first
}

fn youngest_first(tasks: &mut [&Arc<Task>]) {
    tasks.sort_by_key(|task| (Reverse(task.created_at_ms), task.id.clone()));
}

/// The tasks of one place, and the places in it by the next strategy.
struct Places<'a> {
    count: u64,
    /// With binpack: what the instance has left.
    left: u64,
    inner: BTreeMap<Option<String>, Places<'a>>,
    is_binpacked: bool,
    field: Option<BinpackField>,
    /// The youngest last. Only of a place that has none in it.
    tasks: Vec<&'a Arc<Task>>,
}

impl<'a> Places<'a> {
    fn of(scene: &Scene<'_>, tasks: &[&'a Arc<Task>], strategy: &[PlacementStrategy]) -> Self {
        let mut places = Self {
            count: tasks.len() as u64,
            left: 0,
            inner: BTreeMap::new(),
            is_binpacked: false,
            field: None,
            tasks: Vec::new(),
        };
        let rest = match strategy.split_first() {
            None | Some((PlacementStrategy::Random, _)) => {
                places.tasks = tasks.to_vec();
                youngest_first(&mut places.tasks);
                places.tasks.reverse();
                return places;
            }
            Some((one, rest)) => {
                if let PlacementStrategy::Binpack(field) = one {
                    (places.is_binpacked, places.field) = (true, Some(*field));
                }
                let mut by_place: BTreeMap<Option<String>, Vec<&'a Arc<Task>>> = BTreeMap::new();
                for task in tasks {
                    by_place.entry(place_of(scene, task, one)).or_default().push(task);
                }
                (by_place, rest)
            }
        };
        let (by_place, rest) = rest;
        for (place, tasks) in by_place {
            let mut inner = Self::of(scene, &tasks, rest);
            inner.left = tasks.first().map_or(0, |task| left_of(scene, task, places.field));
            places.inner.insert(place, inner);
        }
        places
    }

    /// Takes the next one out.
    fn take(&mut self) -> Option<&'a Arc<Task>> {
        self.count = self.count.checked_sub(1)?;
        if self.inner.is_empty() {
            return self.tasks.pop();
        }
        let is_binpacked = self.is_binpacked;
        // The first by name of equals.
        let (_, inner) = self
            .inner
            .iter_mut()
            .rev()
            .filter(|(_, inner)| inner.count > 0)
            .max_by_key(|(_, inner)| if is_binpacked { inner.left } else { inner.count })?;
        let task = inner.take()?;
        inner.left += match self.field {
            Some(BinpackField::Cpu) => u64::from(task.reserved.cpu_units),
            Some(BinpackField::Memory) => u64::from(task.reserved.memory_mib),
            None => 0,
        };
        Some(task)
    }
}

/// What a strategy tells apart. On Fargate there are zones only.
fn place_of(scene: &Scene<'_>, task: &Task, strategy: &PlacementStrategy) -> Option<String> {
    if task.launch_type == LaunchType::Fargate {
        let is_zone = matches!(
            strategy,
            PlacementStrategy::Spread(SpreadField::Attribute(name)) if name == "ecs.availability-zone"
        );
        return task.availability_zone.clone().filter(|_| is_zone);
    }
    match strategy {
        PlacementStrategy::Spread(SpreadField::Attribute(wanted)) => {
            let candidate = (scene.place_of)(task)?;
            let attributes = &candidate.container_instance?.attributes;
            let attribute = attributes.iter().find(|(name, _)| name == wanted);
            attribute.map(|(_, value)| value.clone())
        }
        PlacementStrategy::Spread(SpreadField::InstanceId) | PlacementStrategy::Binpack(_) => {
            task.node.as_ref().map(ToString::to_string)
        }
        PlacementStrategy::Random => None,
    }
}

fn left_of(scene: &Scene<'_>, task: &Task, field: Option<BinpackField>) -> u64 {
    let left = |candidate: Candidate<'_>| match field {
        Some(BinpackField::Cpu) => candidate.free_cpu_units() + u64::from(task.reserved.cpu_units),
        Some(BinpackField::Memory) => {
            candidate.free_memory_mib() + u64::from(task.reserved.memory_mib)
        }
        None => 0,
    };
    (scene.place_of)(task).map_or(0, left)
}
