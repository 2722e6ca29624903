//! The service: its rows, behind the answers to questions of permission, and the master keys that key material is sealed with.

use std::sync::Arc;

use outport_guarded_store::GuardedStore;
use outport_keyring::Keyring;
use outport_model::Now;
use outport_store::Store;

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct KmsService {
    pub(crate) store: GuardedStore<Rejection>,
    /// For what no caller asks for: the time, and rotations that are due.
    pub(crate) own: Store,
    pub(crate) keyring: Arc<Keyring>,
}

impl KmsService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { own: store.clone(), store: GuardedStore::new(store), keyring }
    }

    /// The time of a request, for what it decides.
    pub(crate) fn now(&self) -> Now {
        self.own.now()
    }
}
