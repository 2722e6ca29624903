//! What a task or a service asks of where its tasks are placed.

use serde::{Deserialize, Serialize};

/// Constraints of a task, those of its definition included. Source: botocore's documentation of `placementConstraints`.
pub const CONSTRAINTS_PER_TASK_MAX: usize = 10;
/// Strategies of a task. Source: botocore's documentation of `placementStrategy`.
pub const STRATEGIES_PER_TASK_MAX: usize = 5;

/// The constraints that hold, and what is tried in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRules {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<PlacementConstraint>,
    /// The first decides; among those that it finds equal the second, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategy: Vec<PlacementStrategy>,
}

impl PlacementRules {
    pub fn is_empty(&self) -> bool {
        self.constraints.is_empty() && self.strategy.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementConstraint {
    /// Each task of the group on another container instance.
    DistinctInstance,
    /// Only container instances that this expression of the cluster query language means.
    MemberOf(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementStrategy {
    Random,
    /// The fewest tasks of the group first.
    Spread(SpreadField),
    /// The least that is left first.
    Binpack(BinpackField),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpreadField {
    /// Also called `host`.
    InstanceId,
    /// By the value of the attribute of this name.
    Attribute(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinpackField {
    Cpu,
    Memory,
}
