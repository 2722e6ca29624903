//! Coming and going: `outport export` and `outport import`.
//!
//! ```text
//! profile    credentials of a profile of the AWS CLI
//! account    what is there, read by the API
//! inputs     of what is described, what makes the same (pure), and what is left behind
//! elsewhere  the same inputs for another account, region and registry (pure)
//! cli        files for the AWS CLI (pure)
//! terraform  files for Terraform (pure)
//! export     writes either
//! import     makes it in another Outport, a second time nothing; images by skopeo
//! ```
//!
//! **Invariant:** what is not carried is said, with its name and why. What is read there may be anything: a name that AWS
//! would not take is left behind before it gets into a file, a path or a line of a shell.

mod account;
mod cli;
mod elsewhere;
mod export;
mod images;
mod import;
mod inputs;
mod names;
mod profile;
mod terraform;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use export::{ExportFormat, ExportOptions, export};
pub use import::{ImportOptions, Surroundings, import};
pub use profile::{SourceOptions, source};

/// Something that is not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Such as `service web of default: loadBalancers`.
    pub what: String,
    pub why: String,
    /// It was asked for, and nothing of it is carried; otherwise a part, or what was never asked for.
    pub is_not_made: bool,
}

impl Left {
    /// Nothing that was read there gets to a terminal but as text.
    fn new(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let plain = |text: String| text.replace(char::is_control, "\u{fffd}");
        Self { what: plain(what.into()), why: plain(why.to_string()), is_not_made: false }
    }

    /// Of something that was asked for as a whole.
    fn not_made(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self { is_not_made: true, ..Self::new(what, why) }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
