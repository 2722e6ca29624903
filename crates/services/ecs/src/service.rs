//! The service: its store, behind the answers to questions of permission (`outport-guarded-store`), and what placement
//! depends on.

use outport_guarded_store::{Growth, GuardedStore, Refusal};
use outport_identity::{Call, Subject};
use outport_planner::Settings;
use outport_store::{Snapshot, Store, Tables, Transaction};

use crate::rejection::Rejection;
use crate::task_definition::Workloads;

/// The service: its store, and the numbers that placement depends on.
#[derive(Clone)]
pub struct EcsService {
    store: GuardedStore,
    pub(crate) settings: Settings,
    pub(crate) workloads: Workloads,
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
        Self { store: GuardedStore::new(store), settings, workloads }
    }

    /// The rows, and what `look` found in them, for a caller who may see that.
    ///
    /// # Errors
    /// `AccessDeniedException`.
    pub(crate) fn read<T>(
        &self,
        call: &Call,
        look: impl FnOnce(&Tables) -> Subject<T>,
    ) -> Result<(Snapshot, T), Rejection> {
        Ok(self.store.read(call, look)?)
    }

    /// One transaction, of a caller who may do what `look` asks: [`GuardedStore::write`]. Nothing that grows is taken by a
    /// store that is full.
    pub(crate) async fn write<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::None, call, look, change).await
    }

    /// The same for a change of what is there, which may be the way to less: only more rows are refused.
    pub(crate) async fn write_in_place<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::InPlace, call, look, change).await
    }

    /// The same for what stops or removes something: a store that is full takes it, too.
    pub(crate) async fn write_always<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::Any, call, look, change).await
    }
}
