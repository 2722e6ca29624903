//! The service: its rows, behind the answers to questions of permission, and the master keys that values are sealed with.

use std::sync::Arc;

use outport_guarded_store::GuardedStore;
use outport_identity::{Call, Subject};
use outport_keyring::Keyring;
use outport_model::Now;
use outport_store::{Snapshot, Store, Tables, Transaction};

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct SecretsManagerService {
    store: GuardedStore<Rejection>,
    clock: Store,
    pub(crate) keyring: Arc<Keyring>,
}

impl SecretsManagerService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { clock: store.clone(), store: GuardedStore::new(store), keyring }
    }

    /// The time of a request, for what it decides.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The rows, and what `look` found in them, for a caller who may see that. `secret_id`: what the request names.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn read<T>(
        &self,
        call: &Call,
        secret_id: &str,
        look: impl FnOnce(&Tables) -> Subject<T>,
    ) -> Result<(Snapshot, T), Rejection> {
        self.store.read(call, look).map_err(|refused| refused.about(secret_id))
    }

    /// One transaction, of a caller who may do what `look` asks: [`GuardedStore::write`].
    pub(crate) async fn write<A, T>(
        &self,
        call: &Call,
        secret_id: &str,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let answer = self.store.write(call, look, change).await;
        answer.map_err(|refused| refused.about(secret_id))
    }

    /// The same for what removes something, or only dates it: a store that is full takes it, too.
    pub(crate) async fn write_always<A, T>(
        &self,
        call: &Call,
        secret_id: &str,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let answer = self.store.write_always(call, look, change).await;
        answer.map_err(|refused| refused.about(secret_id))
    }
}
