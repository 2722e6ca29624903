//! What a person asks a running Outport, and how it is shown: `outport status`, `ps`, `describe`, `logs`, `events`, `forward`,
//! `open`, `top`, `image load`, `compose`, `export`, `import`.
//!
//! ```text
//! api      signed calls of the AWS API, with the caller's own credentials
//! find     tasks and services: by name, by the beginning of an id, all of them
//! reach    where the ports of a task are reached
//! ps, status, describe, logs, events, forward, open    one command each: what is asked, rows made of the answers (pure), lines of the rows
//! compose  a compose file as a task definition and a service
//! image_load    from an archive, a layout or an engine to the registry
//! advise   a policy of what the audit trail says that a principal did
//! moving   `export` and `import`: the same things elsewhere
//! table    rows for a terminal of any width, or for a program
//! tls      what to do where TLS fails
//! ```
//!
//! **Invariant:** nothing is asked but by the AWS API and the registry's, so that a person sees what their credentials may see, from
//! any machine; only the output of containers that log nowhere is read from this host's disk, and what tasks use from its kernel
//! (design note 0021), and which ports of the machine lead to which task is asked of the Outport itself (design note 0025).

mod advise;
mod api;
mod compose;
mod describe;
mod events;
mod find;
mod forward;
mod image_load;
mod local_logs;
mod logs;
mod moment;
mod moving;
mod node_logs;
mod open;
mod ps;
mod reach;
mod rollouts;
mod status;
mod table;
mod tls;
mod top;
mod value;

pub use advise::{Advice, Advised, advise};
pub use api::{Api, Endpoint};
pub use compose::{
    Builder, ComposeOptions, UpOptions, config as compose_config, down as compose_down,
    logs as compose_logs, ps as compose_ps, up as compose_up,
};
pub use describe::describe;
pub use events::{EventsOptions, events};
pub use forward::{ForwardOptions, PortPair, forward};
pub use image_load::{LoadOptions, Loaded, load};
pub use logs::{LogsOptions, logs};
pub use moment::{Since, parse_since};
pub use moving::{
    Account, ExportFormat, ExportOptions, ImportOptions, SourceOptions, Surroundings, export,
    import, source,
};
pub use node_logs::logs_of_node;
pub use open::{Opened, open};
pub use ps::{PsOptions, ps};
pub use status::{StatusOptions, status};
pub use table::{Shape, paragraph};
pub use top::Top;
