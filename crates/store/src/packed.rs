//! A table whose rows are mostly idle, such as revisions that nobody runs any more: it holds their text as the journal
//! does, compressed, and a row is made of it when somebody asks.
//!
//! Rows of such a table are much alike, so each is compressed by what it has in common with a sample.
//!
//! **Invariant:** a row that was put or read at the start can be read again: its text was written, or read, before it came
//! in here.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use imbl::OrdMap;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::journal::{Encode, StoredRow};
use crate::row::Row;
use crate::table::{Index, Keeps, Loaded};

/// Rows that were asked for lately; a power of two. What runs is among them, the others are idle.
const RECENT_MAX: usize = 1_024;

/// The rows of one kind, as text. Read-only outside a [`crate::Transaction`].
#[derive(Clone)]
pub struct PackedTable<R: Row> {
    rows: OrdMap<R::Key, Packed>,
    recent: Arc<Recent<R>>,
    pub(crate) index: R::Index,
}

impl<R: Row> Default for PackedTable<R> {
    fn default() -> Self {
        Self { rows: OrdMap::new(), recent: Arc::default(), index: R::Index::default() }
    }
}

/// The rows and what is made of them, as of any table: not how they are held, and which were asked for.
impl<R: Row> std::fmt::Debug for PackedTable<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = self.rows.iter().map(|(key, packed)| (key, packed.row::<R>()));
        let rows: std::collections::BTreeMap<&R::Key, Option<R>> = rows.collect();
        f.debug_struct("PackedTable").field("rows", &rows).field("index", &self.index).finish()
    }
}

impl<R: Row> PackedTable<R>
where
    R::Key: Hash,
{
    pub fn get(&self, key: &R::Key) -> Option<Arc<R>> {
        self.recent.row(key, self.rows.get(key)?)
    }
    pub fn contains(&self, key: &R::Key) -> bool {
        self.rows.contains_key(key)
    }
    /// Every row, in the order of the keys. Dear: each is made of its text.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Arc<R>> {
        self.rows.values().filter_map(|packed| packed.row().map(Arc::new))
    }
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<R: Row> Keeps<R> for PackedTable<R>
where
    R::Key: Hash,
{
    type Prepared = Packed;

    fn row(&self, key: &R::Key) -> Option<Arc<R>> {
        self.get(key)
    }

    fn insert(&mut self, row: R) -> (Arc<R>, Arc<dyn Encode>) {
        match serde_json::to_string(&row) {
            Ok(text) => {
                let row = self.hold(Arc::new(row), Packed::of(&text));
                (row, Arc::new(Text::<R>::new(text)))
            }
            Err(_) => {
                // Its commit fails for the same reason, and is taken back.
                let row = Arc::new(row);
                (Arc::clone(&row), row)
            }
        }
    }

    fn prepare(row: &mut R, stored: StoredRow) -> Packed {
        // What an earlier version wrote is kept as this one would write it.
        let packed = Packed::of(&match stored.version == R::VERSION {
            true => stored.bytes,
            false => serde_json::to_string(row).unwrap_or(stored.bytes),
        });
        // All rows wait for the last one.
        row.strip();
        packed
    }

    fn build(rows: Vec<Loaded<R, Packed>>) -> Self {
        let indexed: Vec<_> = rows.iter().map(|loaded| Arc::clone(&loaded.row)).collect();
        let index = R::Index::of(&indexed);
        let rows = rows.into_iter().map(|loaded| (loaded.key, loaded.prepared)).collect();
        Self { rows, index, ..Self::default() }
    }

    fn remove(&mut self, key: &R::Key) -> Option<Arc<R>> {
        let row = self.get(key)?;
        self.rows.remove(key);
        self.index.remove(&row);
        Some(row)
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Arc<R>> + '_> {
        Box::new(self.iter())
    }
}

impl<R: Row> PackedTable<R>
where
    R::Key: Hash,
{
    fn hold(&mut self, mut row: Arc<R>, packed: Packed) -> Arc<R> {
        if let Some((beside, _)) = self.rows.get_prev(&row.key())
            && let Some(row) = Arc::get_mut(&mut row)
        {
            row.share(beside);
        }
        let key = row.key();
        match self.get(&key) {
            Some(old) => self.index.replace(&old, &row),
            None => self.index.add(&row),
        }
        self.rows.insert(key, packed);
        row
    }
}

/// The text of a row, compressed; only ever in memory.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Arc<[u8]>,
    /// 0: they are the text itself.
    text_bytes: usize,
}

/// What rows have in common with it costs them nothing. It may be changed at any time.
const SAMPLE: &[u8] = include_bytes!("sample_row.json");
/// Below 0 zstd makes no codes for bytes that match nothing: rows are short, and get as small in less time.
const LEVEL: i32 = -1;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(SAMPLE, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(SAMPLE));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::with_prepared_dictionary(&ENCODER).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).ok());
}

impl Packed {
    fn of(text: &str) -> Self {
        let packed = COMPRESSOR.with_borrow_mut(|compressor| {
            compressor.as_mut().and_then(|compressor| compressor.compress(text.as_bytes()).ok())
        });
        match packed {
            Some(bytes) => Self { bytes: bytes.into(), text_bytes: text.len() },
            None => Self { bytes: text.as_bytes().into(), text_bytes: 0 },
        }
    }

    fn row<R: Row>(&self) -> Option<R> {
        if self.text_bytes == 0 {
            return read(&self.bytes);
        }
        let text = DECOMPRESSOR.with_borrow_mut(|decompressor| {
            decompressor.as_mut()?.decompress(&self.bytes, self.text_bytes).ok()
        });
        read(&text?)
    }
}

fn read<R: Row>(text: &[u8]) -> Option<R> {
    R::read(R::VERSION, text)
        .inspect_err(
            |error| tracing::error!(event = "row_not_read_again", %error, table = R::TABLE, "a row cannot be read again"),
        )
        .ok()
}

/// A row's text, to be written.
struct Text<R> {
    text: String,
    of: std::marker::PhantomData<fn() -> R>,
}

impl<R> Text<R> {
    fn new(text: String) -> Self {
        Self { text, of: std::marker::PhantomData }
    }
}

impl<R: Row> Encode for Text<R> {
    fn version(&self) -> u32 {
        R::VERSION
    }
    fn encode(&self) -> Result<String, serde_json::Error> {
        Ok(self.text.clone())
    }
}

/// A row in the place that its key's hash says; a row that comes later takes the place.
struct Recent<R> {
    places: Box<[Place<R>]>,
    hasher: RandomState,
}

/// The bytes that the row was made of: the same key may have had others before.
type Place<R> = Mutex<Option<(Arc<[u8]>, Arc<R>)>>;

impl<R> Default for Recent<R> {
    fn default() -> Self {
        let places = (0..RECENT_MAX).map(|_| Mutex::new(None)).collect();
        Self { places, hasher: RandomState::new() }
    }
}

impl<R: Row> Recent<R>
where
    R::Key: Hash,
{
    fn row(&self, key: &R::Key, packed: &Packed) -> Option<Arc<R>> {
        let place = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % RECENT_MAX;
        let place = &self.places[place];
        let known = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((of, row)) = known
            && Arc::ptr_eq(&of, &packed.bytes)
        {
            return Some(row);
        }
        let row = Arc::new(packed.row()?);
        let made = (Arc::clone(&packed.bytes), Arc::clone(&row));
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use outport_model::task_definition::TaskDefinition;

    use super::*;

    fn check(text: &str, bytes_max: usize) {
        let packed = Packed::of(text);
        assert!(packed.bytes.len() <= bytes_max, "{} of {}", packed.bytes.len(), text.len());
        let row: TaskDefinition = packed.row().unwrap();
        assert_eq!(row, serde_json::from_str(text).unwrap());
    }

    #[test]
    fn what_is_like_the_sample_becomes_small_and_everything_reads_back() {
        let sample = std::str::from_utf8(SAMPLE).unwrap();
        check(sample, 100);
        check(include_str!("../tests/golden/task_definition.v1.json"), 1_500);
        let mut row: TaskDefinition = serde_json::from_str(sample).unwrap();
        // What nothing has in common with.
        row.document = (0..60_000_u32)
            .map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 26) as u8))
            .collect();
        check(&serde_json::to_string(&row).unwrap(), 70_000);
    }
}
