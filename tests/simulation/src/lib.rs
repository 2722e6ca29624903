//! The whole control plane and its nodes, on one thread, from one seed.
//!
//! The store (on a journal in memory), the operations of the ECS API with their dispatcher, the controllers,
//! the node link, and of each node's agent what follows assignments, runs tasks and keeps their records, are the real
//! ones; the machines below them, the network between and what the user wants are made here,
//! and so are their faults: lost, repeated, late and reordered messages, crashes of containers, agents, machines and the control plane, containers that do not listen, logs that are late, records that are damaged, images that
//! cannot be pulled, a wall clock that is set by an hour, a day and a year, suspends of the control plane
//! and of agents. After every step `invariants` must hold, and when the faults stop the world must
//! come to rest as it was asked to be.
//!
//! **Invariant:** the same seed gives the same run: no clock, no thread, no hash map order. A failure
//! is a seed.

pub mod chance;
pub mod invariants;
pub mod machine;
pub mod network;
pub mod nobody;
pub mod node;
pub mod rng;
pub mod user;
pub mod wish;
pub mod world;

pub use world::{Happened, World};

/// The time of one step, for the control plane and for the nodes.
pub const STEP: std::time::Duration = std::time::Duration::from_millis(100);
