//! The service: its rows, behind the answers to questions of permission, and the master keys that values are sealed with.

use std::sync::Arc;

use outport_guarded_store::GuardedStore;
use outport_keyring::Keyring;
use outport_model::Now;
use outport_store::Store;

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct SsmService {
    pub(crate) store: GuardedStore<Rejection>,
    clock: Store,
    pub(crate) keyring: Arc<Keyring>,
}

impl SsmService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { clock: store.clone(), store: GuardedStore::new(store), keyring }
    }

    /// The time of a request, for what it decides.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }
}

/// Fresh random bytes, asked for before a transaction, which may be tried more than once.
///
/// # Errors
/// No randomness.
pub fn random<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Rejection::server(format!("no randomness: {error}")))?;
    Ok(bytes)
}
