//! What a person asks a running Outport, and how it is shown: `outport status`, `ps`, `describe`, `logs`, `events`, `forward`, `open`.
//!
//! ```text
//! api      signed calls of the AWS API, with the caller's own credentials
//! find     tasks and services: by name, by the beginning of an id, all of them
//! reach    where the ports of a task are reached
//! ps, status, describe, logs, events, forward, open    one command each: what is asked, rows made of the answers (pure), lines of the rows
//! table    rows for a terminal of any width, or for a program
//! ```
//!
//! **Invariant:** nothing is asked but by the AWS API, so that a person sees what their credentials may see, from any
//! machine; only the output of containers that log nowhere is read from this host's disk (design note 0021), and which ports of
//! the machine lead to which task is asked of the Outport itself (design note 0025).

mod api;
mod describe;
mod events;
mod find;
mod forward;
mod local_logs;
mod logs;
mod moment;
mod open;
mod ps;
mod reach;
mod status;
mod table;
mod value;

pub use api::{Api, Endpoint};
pub use describe::describe;
pub use events::{EventsOptions, events};
pub use forward::{ForwardOptions, PortPair, forward};
pub use logs::{LogsOptions, logs};
pub use moment::parse_since;
pub use open::{Opened, open};
pub use ps::{PsOptions, ps};
pub use status::{StatusOptions, status};
pub use table::Shape;
