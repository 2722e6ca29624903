//! Constraints and strategies, ready to be asked of every container instance.

use outport_model::placement::{
    BinpackField, PlacementConstraint, PlacementRules, PlacementStrategy, SpreadField,
};

use crate::cluster_query::{Instance, Query};

/// The attribute that services are spread by.
const ZONE: &str = "ecs.availability-zone";

/// What is asked of where the tasks of a group are placed.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The tasks that count for `distinctInstance` and for spreading: `service:web`, or what RunTask was told.
    pub(super) group: String,
    pub(super) is_distinct: bool,
    member_of: Vec<Query>,
    /// An expression that this version does not understand means no instance.
    has_unreadable: bool,
    pub(super) strategy: Vec<PlacementStrategy>,
}

impl Rules {
    /// Of a request or a service, and the `memberOf` expressions of the task definition.
    pub fn new(group: &str, rules: &PlacementRules, of_definition: &[String]) -> Self {
        let of_request = rules.constraints.iter().filter_map(|constraint| match constraint {
            PlacementConstraint::MemberOf(expression) => Some(expression),
            PlacementConstraint::DistinctInstance => None,
        });
        let parsed: Vec<_> =
            of_request.chain(of_definition).map(|text| Query::parse(text)).collect();
        Self {
            group: group.to_owned(),
            is_distinct: rules.constraints.contains(&PlacementConstraint::DistinctInstance),
            has_unreadable: parsed.iter().any(Result::is_err),
            member_of: parsed.into_iter().filter_map(Result::ok).collect(),
            strategy: rules.strategy.clone(),
        }
    }

    /// The same for a service: without a strategy its tasks are spread over the zones, and there over the instances.
    /// Source: "Amazon ECS services", Replica.
    #[must_use]
    pub fn of_service(mut self) -> Self {
        if self.strategy.is_empty() {
            let zone = SpreadField::Attribute(ZONE.to_owned());
            self.strategy = vec![
                PlacementStrategy::Spread(zone),
                PlacementStrategy::Spread(SpreadField::InstanceId),
            ];
        }
        self
    }

    pub fn strategy(&self) -> &[PlacementStrategy] {
        &self.strategy
    }

    /// Whether a strategy is `random`.
    pub fn leaves_to_chance(&self) -> bool {
        self.strategy.contains(&PlacementStrategy::Random)
    }

    /// Whether an instance is a member of all that is asked.
    pub(super) fn is_member(&self, instance: &Instance<'_>) -> bool {
        !self.has_unreadable && self.member_of.iter().all(|query| query.holds(instance))
    }

    /// Whether anything is asked of single instances.
    pub(super) fn constrains(&self) -> bool {
        self.is_distinct || self.has_unreadable || !self.member_of.is_empty()
    }
}

/// What of a candidate a strategy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Criterion {
    /// Tasks of the group in the same place, by the first so many attributes.
    Attributes(usize),
    Instance,
    Cpu,
    Memory,
    Random,
}

/// The strategies in order, without those that an earlier one leaves nothing to.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// Names of the attributes that tasks are spread by.
    pub attributes: Vec<String>,
    pub criteria: Vec<Criterion>,
}

impl Chain {
    pub fn of(strategy: &[PlacementStrategy]) -> Self {
        let mut chain = Self::default();
        for one in strategy {
            let criterion = match one {
                PlacementStrategy::Random => Criterion::Random,
                PlacementStrategy::Binpack(BinpackField::Cpu) => Criterion::Cpu,
                PlacementStrategy::Binpack(BinpackField::Memory) => Criterion::Memory,
                PlacementStrategy::Spread(SpreadField::InstanceId) => Criterion::Instance,
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                    if chain.attributes.contains(name) {
                        continue;
                    }
                    chain.attributes.push(name.clone());
                    Criterion::Attributes(chain.attributes.len())
                }
            };
            if !chain.criteria.contains(&criterion) {
                chain.criteria.push(criterion);
            }
            if criterion == Criterion::Random {
                break;
            }
        }
        chain
    }

    /// Spreads by attributes, then perhaps by instance, then whatever is left of it: what buckets can be kept for. Other
    /// orders are rare, and look at every candidate for every task.
    pub fn is_in_buckets(&self) -> bool {
        let rank = |criterion: &Criterion| match criterion {
            Criterion::Attributes(_) => 0,
            Criterion::Instance => 1,
            Criterion::Cpu | Criterion::Memory | Criterion::Random => 2,
        };
        self.criteria.is_sorted_by_key(rank)
    }

    pub fn has(&self, criterion: Criterion) -> bool {
        self.criteria.contains(&criterion)
    }

    /// Whether the order of candidates of one bucket is that in which they are found: the most free memory first.
    pub fn leaves_the_order(&self) -> bool {
        ![Criterion::Cpu, Criterion::Memory, Criterion::Random].iter().any(|one| self.has(*one))
    }
}
