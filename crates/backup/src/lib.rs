//! A data directory in one file, and a directory made of it again.
//!
//! ```text
//! zstd( tar( backup.json              what it is: version, instance, when
//!            control/journal.sqlite   files, each below the name of its part
//!            …
//!            end.json ) )             of each part: how many files, how many bytes, one digest of them all
//! ```
//!
//! | module | |
//! |---|---|
//! | `frozen` | files as they were at one moment, while their owner goes on |
//! | `archive` | what is in the file, and its writer |
//! | `unpacking` | its reader |
//!
//! **Invariant:** an archive without its end is no archive, and what is unpacked counts for nothing until the end was compared
//! with it. Nothing here knows what is in the files.

mod archive;
mod error;
mod frozen;
mod unpacking;

pub use archive::{ArchiveWriter, FORMAT, Head, PartSum};
pub use error::ArchiveError;
pub use frozen::Frozen;
pub use unpacking::{head_of, unpack};
