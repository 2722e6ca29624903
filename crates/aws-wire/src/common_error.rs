//! Errors that every AWS service gives before or beside its own, and how each protocol words them.
//!
//! Sources: the "Common Errors" pages of the query services, the EC2 error code list, and the JSON services' answers.

use crate::service::Protocol;

/// An error that is not an exception of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommonError {
    /// The principal may not do this.
    AccessDenied,
    /// No signature on an operation that needs one.
    MissingAuthentication,
    /// The signature is there but lacks a part.
    IncompleteSignature,
    /// The access key id is unknown.
    UnknownAccessKey,
    /// The signature does not fit the request, or its time is off.
    SignatureMismatch,
    /// The session token is past its time.
    ExpiredToken,
    /// A presigned request is past its time.
    RequestExpired,
    /// The bytes are not the protocol, or a value has the wrong type.
    Malformed,
    /// The input breaks the model's constraints; services with a code of their own do not use this one.
    InvalidInput,
    /// The service has no such operation.
    UnknownOperation,
    /// The operation exists on AWS and not in Outport yet.
    NotImplemented,
    /// The body is larger than allowed.
    TooLarge,
    Throttled,
    /// Cannot answer at the moment; try again.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl CommonError {
    /// Code and HTTP status in `protocol`.
    ///
    /// `NotImplemented` is 501 everywhere: the SDKs retry 500, 502, 503 and 504, and show any other code at once.
    pub const fn code_and_status(self, protocol: Protocol) -> (&'static str, u16) {
        match protocol {
            Protocol::Json10 | Protocol::Json11 | Protocol::Cbor => self.in_json(),
            Protocol::Query => self.in_query(),
            Protocol::Ec2 => self.in_ec2(),
        }
    }

    pub const fn is_ours(self) -> bool {
        matches!(self, CommonError::Internal | CommonError::Unavailable)
    }

    const fn in_json(self) -> (&'static str, u16) {
        match self {
            CommonError::AccessDenied => ("AccessDeniedException", 400),
            CommonError::MissingAuthentication => ("MissingAuthenticationTokenException", 400),
            CommonError::IncompleteSignature => ("IncompleteSignatureException", 400),
            CommonError::UnknownAccessKey => ("UnrecognizedClientException", 400),
            CommonError::SignatureMismatch => ("InvalidSignatureException", 400),
            CommonError::ExpiredToken => ("ExpiredTokenException", 400),
            CommonError::RequestExpired => ("RequestExpired", 400),
            CommonError::Malformed => ("SerializationException", 400),
            CommonError::InvalidInput => ("ValidationException", 400),
            CommonError::UnknownOperation => ("UnknownOperationException", 400),
            CommonError::NotImplemented => ("NotImplemented", 501),
            CommonError::TooLarge => ("RequestEntityTooLargeException", 413),
            CommonError::Throttled => ("ThrottlingException", 400),
            CommonError::Unavailable => ("ServiceUnavailableException", 503),
            CommonError::Internal => ("InternalFailure", 500),
        }
    }

    const fn in_query(self) -> (&'static str, u16) {
        match self {
            CommonError::AccessDenied => ("AccessDenied", 403),
            CommonError::MissingAuthentication => ("MissingAuthenticationToken", 403),
            CommonError::IncompleteSignature => ("IncompleteSignature", 400),
            CommonError::UnknownAccessKey => ("InvalidClientTokenId", 403),
            CommonError::SignatureMismatch => ("SignatureDoesNotMatch", 403),
            CommonError::ExpiredToken => ("ExpiredToken", 403),
            CommonError::RequestExpired => ("RequestExpired", 400),
            CommonError::Malformed => ("MalformedInput", 400),
            CommonError::InvalidInput => ("ValidationError", 400),
            CommonError::UnknownOperation => ("InvalidAction", 400),
            CommonError::NotImplemented => ("NotImplemented", 501),
            CommonError::TooLarge => ("RequestEntityTooLarge", 413),
            CommonError::Throttled => ("Throttling", 400),
            CommonError::Unavailable => ("ServiceUnavailable", 503),
            CommonError::Internal => ("InternalFailure", 500),
        }
    }

    const fn in_ec2(self) -> (&'static str, u16) {
        match self {
            CommonError::AccessDenied => ("UnauthorizedOperation", 403),
            CommonError::UnknownAccessKey | CommonError::SignatureMismatch => ("AuthFailure", 401),
            CommonError::Malformed | CommonError::InvalidInput => ("InvalidParameterValue", 400),
            CommonError::Throttled => ("RequestLimitExceeded", 503),
            CommonError::Unavailable => ("Unavailable", 503),
            CommonError::Internal => ("InternalError", 500),
            other => other.in_query(),
        }
    }
}
