//! Why STS refuses a request, with AWS's texts as callers report them.

use outport_aws_sts::StsError;
use outport_aws_wire::{CommonError, WireError};
use outport_identity::Denied;

/// One refusal, named after the error of the STS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    AccessDenied(String),
    /// `ExpiredTokenException`.
    ExpiredToken(String),
    IdpCommunicationError(String),
    IdpRejectedClaim(String),
    /// `InvalidAuthorizationMessageException`.
    InvalidAuthorizationMessage(String),
    InvalidIdentityToken(String),
    MalformedPolicyDocument(String),
    PackedPolicyTooLarge(String),
    /// `ValidationError`.
    Validation(String),
    /// Known, and not built.
    NotBuilt(String),
    /// For the log.
    Server(String),
}

impl Rejection {
    pub(crate) fn validation(text: impl Into<String>) -> Self {
        Self::Validation(text.into())
    }

    /// A part of an operation that this version does not have. It is refused, never ignored.
    pub(crate) fn not_built(what: &str) -> Self {
        Self::NotBuilt(format!(
            "{what} is not supported by this version of Outport. See docs/compatibility.md."
        ))
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::AccessDenied(denied.message)
    }
}

impl From<Rejection> for StsError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::AccessDenied(text) => Self::from(WireError::access_denied(text)),
            Rejection::ExpiredToken(text) => Self::expired_token_exception(text),
            Rejection::IdpCommunicationError(text) => Self::idp_communication_error_exception(text),
            Rejection::IdpRejectedClaim(text) => Self::idp_rejected_claim_exception(text),
            Rejection::InvalidAuthorizationMessage(text) => {
                Self::invalid_authorization_message_exception(text)
            }
            Rejection::InvalidIdentityToken(text) => Self::invalid_identity_token_exception(text),
            Rejection::MalformedPolicyDocument(text) => {
                Self::malformed_policy_document_exception(text)
            }
            Rejection::PackedPolicyTooLarge(text) => Self::packed_policy_too_large_exception(text),
            Rejection::Validation(text) => {
                Self::from(WireError::common(CommonError::InvalidInput, text))
            }
            Rejection::NotBuilt(text) => {
                Self::from(WireError::common(CommonError::NotImplemented, text))
            }
            Rejection::Server(detail) => Self::from(WireError::internal(detail)),
        }
    }
}
