//! What a person asks a running Outport, and how it is shown: `outport status`, `ps`, `logs`, `events`, `image load`, `compose`.
//!
//! ```text
//! api      signed calls of the AWS API, with the caller's own credentials
//! find     tasks and services: by name, by the beginning of an id, all of them
//! ps, status, logs, events    one command each: what is asked, rows made of the answers (pure), lines of the rows
//! compose  a compose file as a task definition and a service
//! image_load    from an archive, a layout or an engine to the registry
//! table    rows for a terminal of any width, or for a program
//! ```
//!
//! **Invariant:** nothing is asked but by the AWS API and the registry's, so that a person sees what their credentials may see, from any
//! machine; only the output of containers that log nowhere is read from this host's disk (design note 0021).

mod api;
mod compose;
mod events;
mod find;
mod image_load;
mod local_logs;
mod logs;
mod moment;
mod ps;
mod status;
mod table;
mod value;

pub use api::{Api, Endpoint};
pub use compose::{
    Builder, ComposeOptions, UpOptions, config as compose_config, down as compose_down,
    ps as compose_ps, up as compose_up,
};
pub use events::{EventsOptions, events};
pub use image_load::{LoadOptions, Loaded, load};
pub use logs::{LogsOptions, logs};
pub use moment::parse_since;
pub use ps::{PsOptions, ps};
pub use status::{StatusOptions, status};
pub use table::Shape;
