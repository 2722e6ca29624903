//! The whole control plane and fake nodes, on one thread, from one seed.
//!
//! The store (on a journal in memory), the controllers and the node link are the real ones; nodes, the
//! network between and the user are made here, and so are their faults: lost, repeated, late and
//! reordered messages, crashes of containers, agents, machines and the control plane, images that
//! cannot be pulled, a wall clock that is set by an hour, a day and a year, suspends of the control plane
//! and of agents. After every step `invariants` must hold, and when the faults stop the world must
//! come to rest as it was asked to be.
//!
//! **Invariant:** the same seed gives the same run: no clock, no thread, no hash map order. A failure
//! is a seed.

pub mod invariants;
pub mod network;
pub mod nobody;
pub mod node;
pub mod rng;
pub mod user;
pub mod world;

pub use world::{Happened, World};
