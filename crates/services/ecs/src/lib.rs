//! Amazon ECS: one file per operation in [`operations`].
//!
//! ```text
//! typed input -> parse (names, limits) -> call.authorize -> one transaction or snapshot -> typed output or error
//! ```
//!
//! **Invariant:** an operation talks to nobody but the store, decides by functions of the planner, and answers with
//! AWS's own texts where they are known. What this version does not build is refused here, at the edge, and never ignored.

mod access;
mod account_setting;
mod attribute;
mod capacity_provider;
pub mod default_cluster;
mod deployment_configuration;
mod handler;
mod idempotency;
mod launch;
mod lookup;
mod names;
mod network_configuration;
pub mod operations;
mod page;
mod rejection;
mod service_deployment;
mod service_request;
mod taggable;
mod tags;
pub mod task_definition;
mod task_overrides;
mod views;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod hostile_input;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;

use outport_planner::Settings;
use outport_store::{Snapshot, Store, Transaction};

/// The service: its store, and the numbers that placement depends on.
#[derive(Clone)]
pub struct EcsService {
    store: Store,
    settings: Settings,
}

impl EcsService {
    /// `settings` are the ones that the controllers have too.
    pub fn new(store: Store, settings: Settings) -> Self {
        Self { store, settings }
    }

    fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// One transaction; a rejection leaves no trace.
    async fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(change).await.map_err(Rejection::from)
    }
}
