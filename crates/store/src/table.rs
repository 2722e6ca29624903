//! One kind of row, in the order of its keys, with the indexes that the store keeps for it.

use std::ops::RangeBounds;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::journal::{Encode, StoredRow};
use crate::row::Row;

/// Rows by key. A clone is free and never changes.
pub type Rows<K, R> = OrdMap<K, Arc<R>>;

/// A row with its key, and with what of it could be done before it is its turn.
pub struct Loaded<R: Row, P> {
    pub(crate) key: R::Key,
    /// Not here itself: a list of rows is moved when it grows, and when it is sorted.
    pub(crate) row: Arc<R>,
    pub(crate) prepared: P,
}

/// How a table holds its rows.
pub trait Keeps<R: Row>: Clone + Default + std::fmt::Debug + Send + Sync {
    /// What of a row that was read of the journal can be done before it is its turn.
    type Prepared: Send + 'static;
    fn row(&self, key: &R::Key) -> Option<Arc<R>>;
    /// Inserts a row or replaces the one under its key; the row, and what is to be written of it.
    fn insert(&mut self, row: R) -> (Arc<R>, Arc<dyn Encode>);
    /// A table of rows that were read of the journal, in the order of their keys.
    fn build(rows: Vec<Loaded<R, Self::Prepared>>) -> Self;
    /// What it keeps itself it may take out of the row.
    fn prepare(row: &mut R, stored: StoredRow) -> Self::Prepared;
    fn remove(&mut self, key: &R::Key) -> Option<Arc<R>>;
    /// Every row, in the order of the keys.
    fn rows(&self) -> Box<dyn Iterator<Item = Arc<R>> + '_>;
}

/// The rows of one kind. Read-only outside a [`crate::Transaction`].
#[derive(Clone, Debug)]
pub struct Table<R: Row> {
    rows: Rows<R::Key, R>,
    pub(crate) index: R::Index,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self { rows: OrdMap::new(), index: R::Index::default() }
    }
}

impl<R: Row> Table<R> {
    pub fn get(&self, key: &R::Key) -> Option<&Arc<R>> {
        self.rows.get(key)
    }
    pub fn contains(&self, key: &R::Key) -> bool {
        self.rows.contains_key(key)
    }
    /// Every row, in the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        self.rows.values()
    }
    /// The rows whose keys lie in `range`, in order.
    pub fn range(
        &self,
        range: impl RangeBounds<R::Key>,
    ) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        self.rows.range(range).map(|(_, row)| row)
    }
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn hold(&mut self, row: &Arc<R>) {
        let key = row.key();
        match self.rows.insert(key, Arc::clone(row)) {
            Some(old) => self.index.replace(&old, row),
            None => self.index.add(row),
        }
    }
}

impl<R: Row> Keeps<R> for Table<R> {
    type Prepared = ();

    fn row(&self, key: &R::Key) -> Option<Arc<R>> {
        self.get(key).cloned()
    }

    fn insert(&mut self, row: R) -> (Arc<R>, Arc<dyn Encode>) {
        let row = Arc::new(row);
        self.hold(&row);
        (Arc::clone(&row), row)
    }

    fn prepare(_row: &mut R, _stored: StoredRow) {}

    fn build(rows: Vec<Loaded<R, ()>>) -> Self {
        let indexed: Vec<_> = rows.iter().map(|loaded| Arc::clone(&loaded.row)).collect();
        let index = R::Index::of(&indexed);
        Self { rows: rows.into_iter().map(|loaded| (loaded.key, loaded.row)).collect(), index }
    }

    fn remove(&mut self, key: &R::Key) -> Option<Arc<R>> {
        let old = self.rows.remove(key)?;
        self.index.remove(&old);
        Some(old)
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Arc<R>> + '_> {
        Box::new(self.iter().cloned())
    }
}

/// Secondary indexes of a table; always exactly what its rows say.
pub trait Index<R>: Clone + Default + Send + Sync + std::fmt::Debug {
    fn add(&mut self, row: &Arc<R>);
    fn remove(&mut self, row: &R);
    /// The row took the place of another one under the same key.
    fn replace(&mut self, old: &R, new: &Arc<R>) {
        self.remove(old);
        self.add(new);
    }
    /// Those of all the rows of a table, which are in the order of their keys.
    fn of(rows: &[Arc<R>]) -> Self {
        let mut index = Self::default();
        rows.iter().for_each(|row| index.add(row));
        index
    }
}

/// A table without indexes.
impl<R> Index<R> for () {
    fn add(&mut self, _row: &Arc<R>) {}
    fn remove(&mut self, _row: &R) {}
}

/// Rows under a group key, such as the tasks of a service.
#[derive(Clone, Debug)]
pub struct Grouping<G: Ord, K: Ord, R> {
    groups: OrdMap<G, Rows<K, R>>,
    empty: Rows<K, R>,
}

impl<G: Ord, K: Ord, R> Default for Grouping<G, K, R> {
    fn default() -> Self {
        Self { groups: OrdMap::new(), empty: OrdMap::new() }
    }
}

impl<G: Ord + Clone, K: Ord + Clone, R> Grouping<G, K, R> {
    /// The rows of a group; empty for a group that nobody is in.
    pub fn get(&self, group: &G) -> &Rows<K, R> {
        self.groups.get(group).unwrap_or(&self.empty)
    }

    pub(crate) fn add(&mut self, group: G, key: K, row: &Arc<R>) {
        match self.groups.get_mut(&group) {
            Some(rows) => {
                rows.insert(key, Arc::clone(row));
            }
            None => {
                self.groups.insert(group, OrdMap::unit(key, Arc::clone(row)));
            }
        }
    }

    pub(crate) fn remove(&mut self, group: &G, key: &K) {
        let Some(rows) = self.groups.get_mut(group) else { return };
        rows.remove(key);
        if rows.is_empty() {
            self.groups.remove(group);
        }
    }
}

/// Keys under a group key.
#[derive(Clone, Debug)]
pub struct Members<G: Ord, K: Ord> {
    groups: OrdMap<G, OrdSet<K>>,
    empty: OrdSet<K>,
}

impl<G: Ord, K: Ord> Default for Members<G, K> {
    fn default() -> Self {
        Self { groups: OrdMap::new(), empty: OrdSet::new() }
    }
}

impl<G: Ord + Clone, K: Ord + Clone> Members<G, K> {
    /// The keys of a group; empty for a group that nobody is in.
    pub fn get(&self, group: &G) -> &OrdSet<K> {
        self.groups.get(group).unwrap_or(&self.empty)
    }

    /// Every group with its keys.
    pub fn iter(&self) -> impl Iterator<Item = (&G, &OrdSet<K>)> {
        self.groups.iter()
    }

    pub(crate) fn add(&mut self, group: G, key: K) {
        self.groups.entry(group).or_default().insert(key);
    }

    /// All keys of a group.
    pub(crate) fn put(&mut self, group: G, keys: Vec<K>) {
        self.groups.insert(group, keys.into_iter().collect());
    }

    pub(crate) fn remove(&mut self, group: &G, key: &K) {
        let Some(keys) = self.groups.get_mut(group) else { return };
        keys.remove(key);
        if keys.is_empty() {
            self.groups.remove(group);
        }
    }
}
