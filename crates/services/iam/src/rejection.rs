//! Why an operation refuses a request: the errors of IAM that this crate answers with, and their texts.
//!
//! Source of the texts: answers of IAM as callers report them, and the API reference's errors.

use std::fmt;

use outport_aws_iam::IamError;
use outport_aws_wire::{CommonError, WireError};
use outport_guarded_store::Refusal;
use outport_identity::Denied;
use outport_store::Fault;

/// One refusal, named after the error of the IAM API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    AccessDenied(String),
    NoSuchEntity(String),
    EntityAlreadyExists(String),
    DeleteConflict(String),
    LimitExceeded(String),
    MalformedPolicyDocument(String),
    InvalidInput(String),
    PolicyNotAttachable(String),
    UnmodifiableEntity(String),
    CredentialReportExpired(String),
    CredentialReportNotPresent(String),
    EntityTemporarilyUnmodifiable(String),
    InvalidUserType(String),
    KeyPairMismatch(String),
    MalformedCertificate(String),
    PasswordPolicyViolation(String),
    /// `ValidationError`, as of an input that breaks the model's constraints.
    Validation(String),
    /// Known, and not built.
    NotBuilt(String),
    /// Ours to mend: `message` is for the caller and says nothing about the inside, `detail` is for the log.
    Server {
        message: String,
        detail: String,
    },
}

impl Rejection {
    /// A part of an operation that this version does not have. It is refused, never ignored.
    pub fn not_built(what: &str) -> Self {
        Self::NotBuilt(format!(
            "{what} is not supported by this version of Outport. See docs/compatibility.md."
        ))
    }

    pub(crate) fn quota(name: &str, max: usize) -> Self {
        Self::LimitExceeded(format!("Cannot exceed quota for {name}: {max}"))
    }

    /// The text that the caller sees.
    pub fn message(&self) -> &str {
        match self {
            Self::AccessDenied(text)
            | Self::NoSuchEntity(text)
            | Self::EntityAlreadyExists(text)
            | Self::DeleteConflict(text)
            | Self::LimitExceeded(text)
            | Self::MalformedPolicyDocument(text)
            | Self::InvalidInput(text)
            | Self::PolicyNotAttachable(text)
            | Self::UnmodifiableEntity(text)
            | Self::CredentialReportExpired(text)
            | Self::CredentialReportNotPresent(text)
            | Self::EntityTemporarilyUnmodifiable(text)
            | Self::InvalidUserType(text)
            | Self::KeyPairMismatch(text)
            | Self::MalformedCertificate(text)
            | Self::PasswordPolicyViolation(text)
            | Self::Validation(text)
            | Self::NotBuilt(text)
            | Self::Server { message: text, .. } => text,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Rejection {}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::AccessDenied(denied.message)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Server { message: fault.to_string(), detail: fault.detail }
    }
}

impl Refusal for Rejection {
    fn store_is_full(text: &'static str) -> Self {
        Self::LimitExceeded(text.to_owned())
    }
    fn changes_all_the_time(text: &'static str) -> Self {
        Self::Server { message: text.to_owned(), detail: text.to_owned() }
    }
}

impl From<Rejection> for IamError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.message().to_owned();
        match rejection {
            Rejection::AccessDenied(_) => Self::from(WireError::access_denied(message)),
            Rejection::NoSuchEntity(_) => Self::no_such_entity_exception(message),
            Rejection::EntityAlreadyExists(_) => Self::entity_already_exists_exception(message),
            Rejection::DeleteConflict(_) => Self::delete_conflict_exception(message),
            Rejection::LimitExceeded(_) => Self::limit_exceeded_exception(message),
            Rejection::MalformedPolicyDocument(_) => {
                Self::malformed_policy_document_exception(message)
            }
            Rejection::InvalidInput(_) => Self::invalid_input_exception(message),
            Rejection::PolicyNotAttachable(_) => Self::policy_not_attachable_exception(message),
            Rejection::UnmodifiableEntity(_) => Self::unmodifiable_entity_exception(message),
            Rejection::CredentialReportExpired(_) => {
                Self::credential_report_expired_exception(message)
            }
            Rejection::CredentialReportNotPresent(_) => {
                Self::credential_report_not_present_exception(message)
            }
            Rejection::EntityTemporarilyUnmodifiable(_) => {
                Self::entity_temporarily_unmodifiable_exception(message)
            }
            Rejection::InvalidUserType(_) => Self::invalid_user_type_exception(message),
            Rejection::KeyPairMismatch(_) => Self::key_pair_mismatch_exception(message),
            Rejection::MalformedCertificate(_) => Self::malformed_certificate_exception(message),
            Rejection::PasswordPolicyViolation(_) => {
                Self::password_policy_violation_exception(message)
            }
            Rejection::Validation(_) => {
                Self::from(WireError::common(CommonError::InvalidInput, message))
            }
            Rejection::NotBuilt(_) => {
                Self::from(WireError::common(CommonError::NotImplemented, message))
            }
            Rejection::Server { detail, .. } => {
                let error = WireError::common(CommonError::Internal, message);
                Self::from(error.with_log_message(detail))
            }
        }
    }
}
