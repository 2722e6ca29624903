//! Leases: while one is held, a sweep leaves the layers and image it names alone.

use crate::digest::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who holds what, counted.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<Digest, usize>>);

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    digests: Vec<Digest>,
}

/// Layers of containers whose image is not known here: while it lives, no sweep takes them.
#[derive(Debug)]
pub struct LayerHold {
    _lease: Lease,
}

impl LayerHold {
    pub(crate) fn new(lease: Lease) -> LayerHold {
        LayerHold { _lease: lease }
    }
}

impl Leases {
    fn counts(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_held(&self, digest: &Digest) -> bool {
        self.counts().contains_key(digest)
    }

    pub fn take(self: &Arc<Self>, digests: Vec<Digest>) -> Lease {
        let mut counts = self.counts();
        for digest in &digests {
            *counts.entry(*digest).or_default() += 1;
        }
        Lease { leases: Arc::clone(self), digests }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.counts();
        for digest in &self.digests {
            if let Some(count) = counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(digest);
                }
            }
        }
    }
}
