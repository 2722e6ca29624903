//! The service: its rows, behind the answers to questions of permission, and the master keys that values are sealed with.

use std::sync::Arc;

use outport_guarded_store::GuardedStore;
use outport_keyring::{Keyring, NONCE_BYTES};
use outport_store::Store;

use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct SsmService {
    pub(crate) store: GuardedStore<Rejection>,
    pub(crate) keyring: Arc<Keyring>,
}

impl SsmService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { store: GuardedStore::new(store), keyring }
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
