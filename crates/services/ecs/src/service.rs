//! The service: its store, behind the answers to questions of permission (`outport-guarded-store`), and what placement
//! depends on.

use std::sync::Arc;

use outport_guarded_store::{GuardedStore, Refusal};
use outport_planner::{Settings, TaskRoleTrust};
use outport_store::Store;

use crate::rejection::Rejection;
use crate::task_definition::Workloads;

/// The service: its store, and the numbers that placement depends on.
#[derive(Clone)]
pub struct EcsService {
    pub(crate) store: GuardedStore<Rejection>,
    pub(crate) settings: Settings,
    pub(crate) workloads: Workloads,
    /// Without: no role is looked at.
    pub(crate) task_roles: Option<Arc<dyn TaskRoleTrust>>,
}

/// Source of the exceptions: ECS says that a quota is reached with a `ClientException`, which clients do not try again by
/// themselves; a `ServerException` they do.
impl Refusal for Rejection {
    fn store_is_full(text: &'static str) -> Self {
        Self::client(text)
    }
    fn changes_all_the_time(text: &'static str) -> Self {
        Self::Server { message: text.to_owned(), detail: text.to_owned() }
    }
}

impl EcsService {
    /// `settings` and `workloads` are the ones that the controllers have too.
    pub fn new(store: Store, settings: Settings, workloads: Workloads) -> Self {
        Self { store: GuardedStore::new(store), settings, workloads, task_roles: None }
    }

    /// The same, for an installation that has roles.
    #[must_use]
    pub fn with_task_roles(self, task_roles: Arc<dyn TaskRoleTrust>) -> Self {
        Self { task_roles: Some(task_roles), ..self }
    }
}
