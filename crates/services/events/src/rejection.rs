//! Why an operation refuses a request: the errors of EventBridge that this crate answers with.
//!
//! Source of the texts: answers of AWS as callers report them and as public test suites expect them; those that no function here names a
//! source for are ours.

use std::fmt;

use outport_aws_events::EventsError;
use outport_aws_wire::{CommonError, WireError};
use outport_event_rules::PatternFault;
use outport_guarded_store::Refusal;
use outport_identity::Denied;
use outport_store::Fault;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    message: String,
}

/// Named after the errors of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    AccessDenied,
    InvalidEventPattern,
    LimitExceeded,
    ResourceAlreadyExists,
    ResourceNotFound,
    /// `ValidationException`.
    Validation,
    /// Known, and not built.
    NotBuilt,
    /// Ours to mend; the detail is for the log.
    Server {
        detail: String,
    },
}

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Reason::Validation, message)
    }

    /// A part of an operation that this version does not have. It is refused, never ignored.
    pub fn not_built(what: &str) -> Self {
        let text = "is not supported by this version of Outport. See docs/compatibility.md.";
        Self::new(Reason::NotBuilt, format!("{what} {text}"))
    }

    pub fn no_such_bus(name: &str) -> Self {
        Self::new(Reason::ResourceNotFound, format!("Event bus {name} does not exist."))
    }

    pub fn no_such_rule(name: &str, bus: &str) -> Self {
        let text = format!("Rule {name} does not exist on EventBus {bus}.");
        Self::new(Reason::ResourceNotFound, text)
    }

    pub fn too_many() -> Self {
        let text = "The requested resource exceeds the maximum number allowed.";
        Self::new(Reason::LimitExceeded, text)
    }

    /// The text that the caller sees.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejection {}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::new(Reason::AccessDenied, denied.message)
    }
}

impl From<PatternFault> for Rejection {
    fn from(fault: PatternFault) -> Self {
        Self::new(Reason::InvalidEventPattern, fault.to_string())
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        Self::new(Reason::Server { detail: fault.detail }, message)
    }
}

impl Refusal for Rejection {
    fn store_is_full(text: &'static str) -> Self {
        Self::new(Reason::LimitExceeded, text)
    }
    fn changes_all_the_time(text: &'static str) -> Self {
        Self::new(Reason::Server { detail: text.to_owned() }, text)
    }
}

impl From<Rejection> for EventsError {
    fn from(Rejection { reason, message }: Rejection) -> Self {
        match reason {
            Reason::AccessDenied => Self::from(WireError::access_denied(message)),
            Reason::InvalidEventPattern => Self::invalid_event_pattern_exception(message),
            Reason::LimitExceeded => Self::limit_exceeded_exception(message),
            Reason::ResourceAlreadyExists => Self::resource_already_exists_exception(message),
            Reason::ResourceNotFound => Self::resource_not_found_exception(message),
            Reason::Validation => Self::from(WireError::common(CommonError::InvalidInput, message)),
            Reason::NotBuilt => Self::from(WireError::common(CommonError::NotImplemented, message)),
            Reason::Server { detail } => {
                let error = WireError::from(Self::internal_exception(message));
                Self::from(error.with_log_message(detail))
            }
        }
    }
}
