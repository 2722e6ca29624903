//! The audit trail: one line for each call of the API, in the form of CloudTrail's records, in files of limited size.
//!
//! ```text
//! record ──► a bounded queue ──► one thread ──► audit/00000000000000000007.jsonl ──► lookup, newest first
//!              full: counted              disk full: counted    the oldest file goes first
//! ```
//!
//! | module | |
//! |---|---|
//! | `event` | an event as a line |
//! | `user_identity` | who called |
//! | `resources` | what kinds of resources ARNs name |
//! | `segments` | the files |
//! | `trail` | the queue and the thread that writes |
//! | `lookup` | reading backwards |
//!
//! **Invariant:** [`AuditTrail::record`] neither waits nor fails, whatever the disk does; and every event that is lost for it is counted,
//! in a metric and by a line of the trail itself. What is in the trail is for root: the directory has mode 0700 and files 0600. What it is
//! given is what it keeps: secrets are taken out before ([`Event::parameters`]).
//!
//! Not here: signatures over the files. Who is root on this machine can change them, and the keys that would have signed them.

mod event;
mod lookup;
mod resources;
mod segments;
mod trail;
mod user_identity;

pub use event::{Event, FIELD_BYTES_MAX};
pub use lookup::{Attribute, Entry, Lookup, LookupPage, Position, SCAN_BYTES_MAX};
pub use trail::{AuditTrail, OpenError, Options};
