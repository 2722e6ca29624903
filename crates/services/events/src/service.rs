//! The service: its rows, behind the answers to questions of permission.

use outport_guarded_store::GuardedStore;
use outport_store::Store;

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct EventsService {
    pub(crate) store: GuardedStore<Rejection>,
}

impl EventsService {
    pub fn new(store: Store) -> Self {
        Self { store: GuardedStore::new(store) }
    }
}
