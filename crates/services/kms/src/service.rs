//! The service: its rows, behind the answers to questions of permission, and the master keys that key material is sealed with.

use std::sync::Arc;

use outport_guarded_store::{Growth, GuardedStore};
use outport_identity::{Call, Subject};
use outport_keyring::Keyring;
use outport_model::Now;
use outport_store::{Snapshot, Store, Tables, Transaction};

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct KmsService {
    store: GuardedStore,
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

    /// The rows, and what `look` found in them, for a caller who may see that.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn read<T>(
        &self,
        call: &Call,
        look: impl FnOnce(&Tables) -> Subject<T>,
    ) -> Result<(Snapshot, T), Rejection> {
        Ok(self.store.read(call, look)?)
    }

    /// One transaction, of a caller who may do what `look` asks: [`GuardedStore::write`].
    pub(crate) async fn write<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::None, call, look, change).await
    }

    /// The same for what removes something, or only dates it: a store that is full takes it, too.
    pub(crate) async fn write_always<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::Any, call, look, change).await
    }
}
