//! Amazon ECS: one file per operation in [`operations`].
//!
//! ```text
//! typed input -> parse (names, limits) -> look and ask -> authorized -> one transaction or snapshot -> typed output or error
//! ```
//!
//! **Invariant:** an operation talks to nobody but the store, decides by functions of the planner, and answers with
//! AWS's own texts where they are known. What this version does not build is refused here, at the edge, and never ignored.

mod access;
mod account_setting;
mod attribute;
mod capacity_provider;
pub mod change_events;
pub mod default_cluster;
mod deployment_configuration;
mod deployment_strategy;
mod handler;
mod idempotency;
mod launch;
mod lookup;
mod names;
mod network_configuration;
pub mod operations;
mod page;
mod placement;
mod rejection;
mod resource;
mod service;
mod service_deployment;
mod service_request;
mod tags;
pub mod task_definition;
mod task_overrides;
mod views;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod full_store;
#[cfg(test)]
mod hostile_input;
#[cfg(test)]
mod placement_test;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::EcsService;
