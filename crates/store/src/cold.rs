//! A table whose rows are few or seldom asked for: its map is the same code for every kind of row.
//!
//! A map that is made anew for each kind of row costs the program a third of a megabyte a table. Here keys and rows are
//! behind pointers instead, which costs some nanoseconds a look: of no account where a table is not asked once for each
//! task of a pass.
//!
//! **Invariant:** it holds and shows its rows as a [`crate::Table`] does.

use std::any::Any;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::RangedIter;
use imbl::shared_ptr::DefaultSharedPtr;

use crate::journal::{Encode, StoredRow};
use crate::row::Row;
use crate::table::{Index, Keeps, Loaded};

/// The rows of one kind. Read-only outside a [`crate::Transaction`].
#[derive(Clone)]
pub struct ColdTable<R: Row> {
    rows: Rows,
    pub(crate) index: R::Index,
    of: PhantomData<fn() -> R>,
}

impl<R: Row> Default for ColdTable<R> {
    fn default() -> Self {
        Self { rows: Rows::default(), index: R::Index::default(), of: PhantomData }
    }
}

impl<R: Row> Debug for ColdTable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.iter().collect();
        f.debug_struct("ColdTable").field("rows", &rows).field("index", &self.index).finish()
    }
}

impl<R: Row> ColdTable<R> {
    pub fn get(&self, key: &R::Key) -> Option<&Arc<R>> {
        self.rows.get(key).and_then(|held| row(held))
    }
    pub fn contains(&self, key: &R::Key) -> bool {
        self.rows.get(key).is_some()
    }
    /// Every row, in the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        self.rows.range((Bound::Unbounded, Bound::Unbounded)).filter_map(|held| row(held))
    }
    /// The rows whose keys lie in `range`, in order.
    pub fn range(
        &self,
        range: impl RangeBounds<R::Key>,
    ) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        let bounds = (erased(range.start_bound()), erased(range.end_bound()));
        self.rows.range(bounds).filter_map(|held| row(held))
    }
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hold(&mut self, key: R::Key, new: &Arc<R>) {
        let old = self.rows.insert(HeldKey(Arc::new(key)), Arc::new(Arc::clone(new)));
        match old.as_ref().and_then(|old| row::<R>(old)) {
            Some(old) => self.index.replace(old, new),
            None => self.index.add(new),
        }
    }
}

impl<R: Row> Keeps<R> for ColdTable<R> {
    type Prepared = ();

    fn row(&self, key: &R::Key) -> Option<Arc<R>> {
        self.get(key).cloned()
    }

    fn insert(&mut self, row: R) -> (Arc<R>, Arc<dyn Encode>) {
        let row = Arc::new(row);
        self.hold(row.key(), &row);
        (Arc::clone(&row), row)
    }

    fn prepare(_row: &mut R, _stored: StoredRow) {}

    fn build(rows: Vec<Loaded<R, ()>>) -> Self {
        let mut table = Self::default();
        for loaded in rows {
            table.hold(loaded.key, &loaded.row);
        }
        table
    }

    fn remove(&mut self, key: &R::Key) -> Option<Arc<R>> {
        let held = self.rows.remove(key)?;
        let old = row::<R>(&held).cloned()?;
        self.index.remove(&old);
        Some(old)
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Arc<R>> + '_> {
        Box::new(self.iter().cloned())
    }
}

/// An `Arc` of a row.
type Held = Arc<dyn Any + Send + Sync>;

/// A table puts in what it takes out: always there.
fn row<R: Row>(held: &Held) -> Option<&Arc<R>> {
    held.downcast_ref()
}

fn erased<K: Key>(bound: Bound<&K>) -> Bound<&AnyKey> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

type AnyKey = dyn Key;

/// A key of any kind of row. Those of one map are of one kind.
trait Key: Any + Send + Sync {
    fn compare(&self, other: &AnyKey) -> Ordering;
}

impl<K: Ord + Send + Sync + 'static> Key for K {
    fn compare(&self, other: &AnyKey) -> Ordering {
        let other: &dyn Any = other;
        match other.downcast_ref() {
            Some(other) => self.cmp(other),
            None => self.type_id().cmp(&other.type_id()),
        }
    }
}

impl Ord for AnyKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}
impl PartialOrd for AnyKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for AnyKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for AnyKey {}

#[derive(Clone)]
struct HeldKey(Arc<dyn Key>);

impl Borrow<AnyKey> for HeldKey {
    fn borrow(&self) -> &AnyKey {
        &*self.0
    }
}
impl Ord for HeldKey {
    fn cmp(&self, other: &Self) -> Ordering {
        // A pointer is a key, too, by its own order: it is what it points to that is compared.
        AnyKey::compare(&*self.0, &*other.0)
    }
}
impl PartialOrd for HeldKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for HeldKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for HeldKey {}

/// Rows of any kind by their keys. Nothing of it is generic and nothing is inlined, so that the program has it once.
#[derive(Clone, Default)]
struct Rows(OrdMap<HeldKey, Held>);

impl Rows {
    #[inline(never)]
    fn get(&self, key: &AnyKey) -> Option<&Held> {
        self.0.get(key)
    }
    #[inline(never)]
    fn insert(&mut self, key: HeldKey, row: Held) -> Option<Held> {
        self.0.insert(key, row)
    }
    #[inline(never)]
    fn remove(&mut self, key: &AnyKey) -> Option<Held> {
        self.0.remove(key)
    }
    #[inline(never)]
    fn range(&self, bounds: (Bound<&AnyKey>, Bound<&AnyKey>)) -> Range<'_> {
        Range(self.0.range::<_, AnyKey>(bounds))
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

struct Range<'a>(RangedIter<'a, HeldKey, Held, DefaultSharedPtr>);

impl<'a> Iterator for Range<'a> {
    type Item = &'a Held;
    #[inline(never)]
    fn next(&mut self) -> Option<&'a Held> {
        self.0.next().map(|(_, held)| held)
    }
}
impl DoubleEndedIterator for Range<'_> {
    #[inline(never)]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(_, held)| held)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use outport_model::secret::{SecretKind, SecretValue};
    use outport_model::{AccountId, Region, Scope};

    use super::*;
    use crate::rows::keys::SecretValueKey;

    fn value(secret: &str, serial: u64, sealed: &str) -> SecretValue {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let (secret, kind, sealed) = (secret.to_owned(), SecretKind::Text, sealed.to_owned());
        SecretValue { scope, secret, serial, kind, sealed, data_key: None }
    }

    #[test]
    fn it_is_a_map_in_the_order_of_its_keys() {
        let (mut table, mut expected) = (ColdTable::default(), BTreeMap::new());
        // In no order, some twice; of numbers, whose order is another one than that of their texts.
        for step in 0..1_000_u64 {
            let (name, serial) = (format!("s{}", step * 7 % 10), step * 389 % 97);
            let row = value(&name, serial, &step.to_string());
            if step % 5 == 4 {
                let key = row.key();
                assert_eq!(table.remove(&key), expected.remove(&key), "{key}");
            } else {
                table.insert(row.clone());
                expected.insert(row.key(), Arc::new(row));
            }
        }
        assert!(expected.len() > 100);
        let check = |found: Vec<&Arc<SecretValue>>, expected: Vec<&Arc<SecretValue>>| {
            assert_eq!(found, expected);
        };
        check(table.iter().collect(), expected.values().collect());
        check(table.iter().rev().collect(), expected.values().rev().collect());
        let [from, to] =
            [("s2", 50), ("s7", 3)].map(|(name, serial)| value(name, serial, "").key());
        check(
            table.range(from.clone()..to.clone()).collect(),
            expected.range(from.clone()..to.clone()).map(|(_, row)| row).collect(),
        );
        let closed = from..=to;
        check(
            table.range(closed.clone()).rev().collect(),
            expected.range(closed).map(|(_, row)| row).rev().collect(),
        );
        assert_eq!(table.len(), expected.len());
        for serial in 0..97 {
            let key: SecretValueKey = value("s3", serial, "").key();
            assert_eq!(table.get(&key), expected.get(&key), "{key}");
        }
    }
}
