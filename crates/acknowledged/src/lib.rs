//! What was acknowledged, known beside the files that may lose it.
//!
//! Files notice a torn write by themselves. What they do not notice is that they end too early: a write-ahead log that
//! was cut reads like one of which the rest was never written. So each store counts what it acknowledges in a small file
//! of its own, [`Acknowledged`]. And SQLite does not notice a changed bit in a row: [`WatchedDatabase`] does.
//!
//! **Invariant:** a count is written after what it counts is on disk, so it may be behind, never ahead. Whoever finds less
//! than it says has lost something; whoever finds more was killed between the two.

mod count;
mod database;

pub use count::Acknowledged;
pub use database::{DatabaseError, WatchedDatabase};
