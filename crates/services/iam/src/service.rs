//! The service: its rows, behind the answers to questions of permission, and the master keys that secrets are sealed with.

use std::sync::Arc;

use outport_guarded_store::GuardedStore;
use outport_keyring::Keyring;
use outport_store::Store;

use crate::password::Hashing;
use crate::rejection::Rejection;

/// The service.
#[derive(Clone)]
pub struct IamService {
    pub(crate) store: GuardedStore<Rejection>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) hashing: Hashing,
}

impl IamService {
    pub fn new(store: Store, keyring: Arc<Keyring>) -> Self {
        Self { store: GuardedStore::new(store), keyring, hashing: Hashing::default() }
    }
}
