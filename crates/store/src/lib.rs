//! The only place where components meet: consistent snapshots, all-or-nothing writes, durable before
//! they are acknowledged, and a wake-up after every commit.
//!
//! ```text
//! let snapshot = store.snapshot();                      // free, never changes, all of it on disk
//! store.write(|transaction| { transaction.put(row); Ok(answer) }).await?   // on disk when it returns
//! store.watch().changed().await                         // something was committed: look again
//! store.watch_row::<Node>(&id).changed().await          // this node, or what belongs to it, was touched
//! store.touched_rows::<Service>().take()                // the keys of services to look at again
//! ```
//!
//! On a full disk the journal writes into space that it took before: writes that add rows are refused
//! below a floor, those that change or remove rows go on, and when there is room again all is as it was.
//!
//! All rows are in memory, so all rows together have a bound in bytes, see [`BYTES_MAX_DEFAULT`].
//!
//! **Invariant:** acknowledged means on disk, visible means on disk. The store keeps rules of shape
//! (keys, indexes, formats), never of policy: it depends on nothing that decides.

mod capacity;
mod cold;
pub mod commit;
pub mod error;
pub mod host;
pub mod identifiers;
pub mod journal;
mod load;
mod packed;
mod principals;
mod room;
pub mod row;
mod rows;
mod snapshot;
mod store;
mod table;
mod tables;
mod touched;
mod transaction;

pub use capacity::NodeRooms;
pub use cold::ColdTable;
pub use error::{Fault, FaultKind, OpenError, WriteError};
pub use host::{Clock, Ids, ManualClock, RandomIds, SeededIds, SystemClock};
pub use packed::PackedTable;
pub use principals::NamedPrincipal;
pub use room::BYTES_MAX_DEFAULT;
pub use row::Row;
pub use rows::{
    Attachments, DeploymentCounts, FamilyStatus, PENDING_EVENTS_MAX, PlacedInCluster,
    ServiceCounts, TaskCounts, TaskFacet, keys,
};
pub use snapshot::{Closed, Snapshot, Watch};
pub use store::Store;
pub use table::{Grouping, Keeps, Members, Rows, Table};
pub use tables::{InTables, Related, Tables, Touched};
pub use touched::{KEYS_COLLECTED_MAX, Keys, RowWatch, TouchedRows};
pub use transaction::Transaction;
