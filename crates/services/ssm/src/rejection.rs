//! Why an operation refuses a request: the errors of Parameter Store that this crate answers with.
//!
//! Source of the texts: the API reference, answers of AWS as callers report them and as public test suites expect them; those that no
//! function here names a source for are ours.

use std::fmt;

use outport_aws_ssm::SsmError;
use outport_aws_wire::{CommonError, WireError};
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
    HierarchyLevelLimitExceeded,
    HierarchyTypeMismatch,
    InvalidAllowedPattern,
    InvalidFilterKey,
    InvalidFilterOption,
    InvalidFilterValue,
    InvalidKeyId,
    InvalidNextToken,
    InvalidResourceId,
    InvalidResourceType,
    ParameterAlreadyExists,
    ParameterLimitExceeded,
    ParameterMaxVersionLimitExceeded,
    ParameterNotFound,
    ParameterPatternMismatch,
    ParameterVersionLabelLimitExceeded,
    ParameterVersionNotFound,
    TooManyTags,
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

    pub fn server(detail: String) -> Self {
        Self::new(Reason::Server { detail }, "An error occurred on the server side.")
    }

    /// AWS says the name of the error only.
    pub fn no_such_parameter() -> Self {
        Self::new(Reason::ParameterNotFound, "")
    }

    pub fn no_such_version(name: &str, version: &str) -> Self {
        let text = format!(
            "Systems Manager could not find version {version} of {name}. Verify the version and try again."
        );
        Self::new(Reason::ParameterVersionNotFound, text)
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
        let Denied { message, .. } = denied;
        // Of a key, and passed on.
        let message = match message.contains(" is not authorized to perform: kms:") {
            true => format!(
                "{message} (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException)"
            ),
            false => message,
        };
        Self::new(Reason::AccessDenied, message)
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
        Self::new(Reason::ParameterLimitExceeded, text)
    }
    fn changes_all_the_time(text: &'static str) -> Self {
        Self::new(Reason::Server { detail: text.to_owned() }, text)
    }
}

impl From<Rejection> for SsmError {
    fn from(Rejection { reason, message }: Rejection) -> Self {
        match reason {
            Reason::AccessDenied => Self::from(WireError::access_denied(message)),
            Reason::HierarchyLevelLimitExceeded => {
                Self::hierarchy_level_limit_exceeded_exception(message)
            }
            Reason::HierarchyTypeMismatch => Self::hierarchy_type_mismatch_exception(message),
            Reason::InvalidAllowedPattern => Self::invalid_allowed_pattern_exception(message),
            Reason::InvalidFilterKey => Self::invalid_filter_key(message),
            Reason::InvalidFilterOption => Self::invalid_filter_option(message),
            Reason::InvalidFilterValue => Self::invalid_filter_value(message),
            Reason::InvalidKeyId => Self::invalid_key_id(message),
            Reason::InvalidNextToken => Self::invalid_next_token(message),
            Reason::InvalidResourceId => Self::invalid_resource_id(message),
            Reason::InvalidResourceType => Self::invalid_resource_type(message),
            Reason::ParameterAlreadyExists => Self::parameter_already_exists(message),
            Reason::ParameterLimitExceeded => Self::parameter_limit_exceeded(message),
            Reason::ParameterMaxVersionLimitExceeded => {
                Self::parameter_max_version_limit_exceeded(message)
            }
            Reason::ParameterNotFound => Self::parameter_not_found(message),
            Reason::ParameterPatternMismatch => Self::parameter_pattern_mismatch_exception(message),
            Reason::ParameterVersionLabelLimitExceeded => {
                Self::parameter_version_label_limit_exceeded(message)
            }
            Reason::ParameterVersionNotFound => Self::parameter_version_not_found(message),
            Reason::TooManyTags => Self::too_many_tags_error(message),
            Reason::Validation => Self::from(WireError::common(CommonError::InvalidInput, message)),
            Reason::NotBuilt => Self::from(WireError::common(CommonError::NotImplemented, message)),
            Reason::Server { detail } => {
                let error = WireError::from(Self::internal_server_error(message));
                Self::from(error.with_log_message(detail))
            }
        }
    }
}
