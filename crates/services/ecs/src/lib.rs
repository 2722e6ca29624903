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
mod full_store;
#[cfg(test)]
mod hostile_input;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;

use outport_planner::Settings;
use outport_store::{Snapshot, Store, Transaction};

/// AWS has no bound of all things together, and so no text for it. Its ECS says that a quota is reached with a
/// `ClientException`, which clients do not try again by themselves.
const STORE_IS_FULL: &str = "The maximum size of all clusters, services, tasks and task definitions together has been reached. \
     Delete what is not needed any more, or start outport with a larger --state-mib.";

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

    /// One transaction; a rejection leaves no trace. Nothing that grows is taken by a store that is full.
    async fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_unless(|tx| tx.adds_bytes(), change).await
    }

    /// The same for a change of what is there, which may be the way to less: only more rows are refused.
    async fn write_in_place<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_unless(|tx| tx.adds_rows(), change).await
    }

    /// The same for what stops or removes something: a store that is full takes it, too.
    async fn write_always<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_unless(|_| false, change).await
    }

    async fn write_unless<T>(
        &self,
        is_too_much: impl FnOnce(&Transaction<'_>) -> bool,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let is_full = self.store.is_full();
        let bounded = |tx: &mut Transaction<'_>| {
            let answer = change(tx)?;
            if is_full && is_too_much(tx) {
                return Err(Rejection::client(STORE_IS_FULL));
            }
            Ok(answer)
        };
        self.store.write(bounded).await.map_err(Rejection::from)
    }
}
