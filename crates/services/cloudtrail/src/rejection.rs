//! Why CloudTrail refuses a request. The texts are ours where no source is named: AWS's are not published.

use outport_aws_cloudtrail::CloudTrailError;
use outport_aws_wire::{CommonError, WireError};
use outport_identity::Denied;

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
    InvalidLookupAttributes,
    InvalidNextToken,
    InvalidTimeRange,
    /// Known, and not built.
    NotBuilt,
    /// Ours to mend; the text is for the log.
    Server,
}

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// A part of an operation that this version does not have. It is refused, never ignored.
    pub(crate) fn not_built(what: &str) -> Self {
        let text = "is not supported by this version of Outport. See docs/compatibility.md.";
        Self::new(Reason::NotBuilt, format!("{what} {text}"))
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::new(Reason::AccessDenied, denied.message)
    }
}

impl From<Rejection> for CloudTrailError {
    fn from(Rejection { reason, message }: Rejection) -> Self {
        match reason {
            Reason::AccessDenied => Self::from(WireError::access_denied(message)),
            Reason::InvalidLookupAttributes => Self::invalid_lookup_attributes_exception(message),
            Reason::InvalidNextToken => Self::invalid_next_token_exception(message),
            Reason::InvalidTimeRange => Self::invalid_time_range_exception(message),
            Reason::NotBuilt => Self::from(WireError::common(CommonError::NotImplemented, message)),
            Reason::Server => Self::from(WireError::internal(message)),
        }
    }
}
