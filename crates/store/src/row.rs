//! What makes a noun of `outport-model` a row: its key, its table, and its form on disk.

use std::fmt::{Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::table::Index;

/// A row of the store.
///
/// The form on disk is the row's JSON and is a promise: fields are only added, with a default. When
/// more has to change, `VERSION` grows and `read` learns the old form; `tests/golden.rs` keeps bytes of
/// every version.
pub trait Row:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// `Display` gives the text under which the journal keeps the row; no two keys share one.
    type Key: Ord + Clone + Debug + Display + Send + Sync + 'static;
    type Index: Index<Self>;
    /// The table's name on disk.
    const TABLE: &'static str;
    /// The version of the form that is written.
    const VERSION: u32 = 1;

    fn key(&self) -> Self::Key;

    /// Takes over those texts of a key beside its own that are the same, so that they are in memory once.
    fn share(&mut self, _beside: &Self::Key) {}

    /// Lets go of what no index asks for, of a row that a table holds as text.
    fn strip(&mut self) {}

    /// Reads the form of `version`, which is at most `VERSION`.
    fn read(_version: u32, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
