//! What readers see, and how they learn that there is something new to see.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use crate::tables::Tables;

/// A consistent state, all of it on disk. A clone is one reference count.
#[derive(Clone, Debug)]
pub struct Snapshot {
    version: u64,
    tables: Arc<Tables>,
}

impl Snapshot {
    pub(crate) fn new(version: u64, tables: Tables) -> Self {
        Self { version, tables: Arc::new(tables) }
    }

    /// Grows by one with every commit since the store was opened.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }
}

impl Deref for Snapshot {
    type Target = Tables;
    fn deref(&self) -> &Tables {
        &self.tables
    }
}

/// Wakes up after commits. A wake-up carries no facts: it may come late and stand for many commits;
/// look at `Store::snapshot`.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<u64>);

/// The store is gone; nothing will ever change again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

impl Watch {
    pub(crate) fn new(receiver: watch::Receiver<u64>) -> Self {
        Self(receiver)
    }

    /// Returns at once when there was a commit since the last call, else with the next one.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        self.0.changed().await.map_err(|_| Closed)
    }

    /// The version of the newest commit; marks it as seen.
    pub fn version(&mut self) -> u64 {
        *self.0.borrow_and_update()
    }
}
