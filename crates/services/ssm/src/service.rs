//! The service: its rows, behind the answers to questions of permission, and the master keys that values are sealed with.

use std::sync::Arc;

use outport_guarded_store::{Growth, GuardedStore};
use outport_identity::{Call, Subject};
use outport_keyring::{Keyring, NONCE_BYTES};
use outport_store::{Snapshot, Store, Tables, Transaction};

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct SsmService {
    store: GuardedStore,
    pub(crate) keyring: Arc<Keyring>,
}

impl SsmService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { store: GuardedStore::new(store), keyring }
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

    /// The same for what removes something: a store that is full takes it, too.
    pub(crate) async fn write_always<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.store.write(Growth::Any, call, look, change).await
    }
}

/// Fresh random bytes, asked for before a transaction, which may be tried more than once.
///
/// # Errors
/// No randomness.
pub fn nonce() -> Result<[u8; NONCE_BYTES], Rejection> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Rejection::server(format!("no randomness: {error}")))?;
    Ok(bytes)
}
