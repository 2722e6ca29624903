//! The data plane of CloudWatch Logs: keeps log groups, streams and events in one directory, and
//! answers them by time, by stream and by filter pattern.
//!
//! ```text
//! put_events / append_from_node -> group commit -> journal --seal--> segment (compressed, filtered)
//! get_events / filter_events    -> catalog + journals + segments
//! ```
//!
//! **Invariant:** what was acknowledged is on disk, and what is read was acknowledged or is about to
//! be. Nothing here knows of requests, permissions or containers; time is handed in.

mod bytes;
mod catalog;
mod clock;
mod commit;
mod disk;
mod error;
mod event;
mod group;
mod journal;
pub mod limits;
mod names;
mod pattern;
mod room;
mod seen_group;
mod segment;
mod store;
mod stream;

pub use clock::{Clock, SystemClock};
pub use error::{BatchRefusal, LogStoreError, ShipmentRefusal};
pub use event::{EventId, FilteredLogEvent, InputLogEvent, LogEvent, NodeLogEvent};
pub use group::{GroupPage, GroupQuery, LogGroup, LogGroupClass, NewLogGroup};
pub use names::{LogGroupName, LogStreamName, SourceId};
pub use pattern::{FilterPattern, InvalidPattern};
pub use seen_group::{GroupNamed, SeenGroup};
pub use store::{
    EventPage, FilterEvents, FilteredPage, GetEvents, LogStore, LogStoreOptions, Maintenance,
    Missing, PutOutcome, RejectedEvents, Shipment, StreamSelection,
};
pub use stream::{LogStream, StreamOrder, StreamPage, StreamPlace, StreamQuery};
