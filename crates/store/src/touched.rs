//! Which rows commits touched, and who waits for them.
//!
//! ```text
//! put, remove --> Touched, by table --> commit is durable --> watches of those keys
//!                                                         \-> collections of those tables
//! ```
//!
//! A row is touched when it changes, and when a row that belongs to it does: see [`crate::Related`]. What nobody
//! waits for costs a look into a map.
//!
//! **Invariant:** keys say where to look, never what happened: a key may come twice, late, or stand for many changes, and
//! a collection that had no room says that any row may have been touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::snapshot::Closed;

/// Keys that a collection keeps between two looks; with more it is told to look at all rows.
pub const KEYS_COLLECTED_MAX: usize = 10_000;

/// The rows of one table that were touched since somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys<K: Ord> {
    /// These and no others.
    These(BTreeSet<K>),
    /// Any.
    All,
}

impl<K: Ord> Default for Keys<K> {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl<K: Ord + Clone> Keys<K> {
    fn add(&mut self, touched: &BTreeSet<K>) {
        let Self::These(keys) = self else { return };
        keys.extend(touched.iter().cloned());
        if keys.len() > KEYS_COLLECTED_MAX {
            *self = Self::All;
        }
    }
}

/// Who waits for rows of one table.
pub struct Watchers<K: Ord>(Mutex<Waiting<K>>);

struct Waiting<K: Ord> {
    by_key: BTreeMap<K, watch::Sender<()>>,
    collections: Vec<Weak<Collected<K>>>,
}

struct Collected<K: Ord> {
    keys: Mutex<Keys<K>>,
    news: watch::Sender<()>,
}

impl<K: Ord> Default for Watchers<K> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { by_key: BTreeMap::new(), collections: Vec::new() }))
    }
}

impl<K: Ord + Clone> Watchers<K> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, touched: &BTreeSet<K>) {
        if touched.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        if !waiting.by_key.is_empty() {
            for key in touched {
                if let Some(news) = waiting.by_key.get(key) {
                    news.send_replace(());
                }
            }
        }
        waiting.collections.retain(|collected| {
            let Some(collected) = collected.upgrade() else { return false };
            collected.keys.lock().unwrap_or_else(PoisonError::into_inner).add(touched);
            collected.news.send_replace(());
            true
        });
    }

    fn subscribe(&self, key: &K) -> watch::Receiver<()> {
        let mut waiting = self.waiting();
        if let Some(news) = waiting.by_key.get(key) {
            return news.subscribe();
        }
        let (news, receiver) = watch::channel(());
        waiting.by_key.insert(key.clone(), news);
        receiver
    }

    fn unsubscribe(&self, key: &K, news: Option<watch::Receiver<()>>) {
        let mut waiting = self.waiting();
        drop(news);
        if waiting.by_key.get(key).is_some_and(|news| news.receiver_count() == 0) {
            waiting.by_key.remove(key);
        }
    }

    fn collect(&self) -> Arc<Collected<K>> {
        let news = watch::Sender::new(());
        let collected = Arc::new(Collected { keys: Mutex::new(Keys::All), news });
        self.waiting().collections.push(Arc::downgrade(&collected));
        collected
    }

    /// Nobody is told of anything any more, and who waits learns that.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.by_key.clear();
        waiting.collections.clear();
    }
}

/// Wakes up after commits that touched one row, which need not be there.
pub struct RowWatch<K: Ord + Clone> {
    watchers: Arc<Watchers<K>>,
    key: K,
    /// `None` only while it is dropped.
    news: Option<watch::Receiver<()>>,
}

impl<K: Ord + Clone + Debug> Debug for RowWatch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowWatch").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K: Ord + Clone> RowWatch<K> {
    pub(crate) fn new(watchers: Arc<Watchers<K>>, key: K) -> Self {
        let news = Some(watchers.subscribe(&key));
        Self { watchers, key, news }
    }

    /// Commits until now count as seen: call it before looking.
    pub fn mark_seen(&mut self) {
        if let Some(news) = &mut self.news {
            news.mark_unchanged();
        }
    }

    /// Whether the row was touched since it was last marked as seen, or the store is closed.
    pub fn has_changed(&self) -> bool {
        self.news.as_ref().is_none_or(|news| news.has_changed().unwrap_or(true))
    }

    /// Returns at once when the row was touched since it was last marked as seen, else when it is.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        match &mut self.news {
            Some(news) => news.changed().await.map_err(|_| Closed),
            None => Err(Closed),
        }
    }
}

impl<K: Ord + Clone> Drop for RowWatch<K> {
    fn drop(&mut self) {
        let news = self.news.take();
        self.watchers.unsubscribe(&self.key, news);
    }
}

/// The rows of one table that commits touch, collected until somebody looks. It begins with [`Keys::All`].
pub struct TouchedRows<K: Ord> {
    collected: Arc<Collected<K>>,
    news: watch::Receiver<()>,
}

impl<K: Ord> Debug for TouchedRows<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouchedRows").finish_non_exhaustive()
    }
}

impl<K: Ord + Clone> TouchedRows<K> {
    pub(crate) fn new(watchers: &Watchers<K>) -> Self {
        let collected = watchers.collect();
        let news = collected.news.subscribe();
        Self { collected, news }
    }

    /// What was touched since the last call.
    pub fn take(&mut self) -> Keys<K> {
        self.news.mark_unchanged();
        std::mem::take(&mut *self.collected.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when something was touched that was not taken yet.
    pub async fn changed(&mut self) {
        // Its sender lives as long as it does.
        if self.news.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
