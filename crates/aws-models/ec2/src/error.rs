//! EC2's errors, which its model does not have: a code, a message and the status that AWS answers with.
//!
//! Source: "Error codes for the Amazon EC2 API" in the EC2 developer guide. Client errors are 400 unless said otherwise.

use std::borrow::Cow;
use std::fmt;

use outport_aws_wire::{Protocol, WireError};

/// Codes that are not answered with status 400.
const STATUS: &[(&str, u16)] = &[
    ("AuthFailure", 401),
    ("Blocked", 403),
    ("InsufficientAddressCapacity", 500),
    ("InsufficientCapacity", 500),
    ("InsufficientInstanceCapacity", 500),
    ("InternalError", 500),
    ("InternalFailure", 500),
    ("OptInRequired", 401),
    ("PendingVerification", 403),
    ("RequestLimitExceeded", 503),
    ("ServiceUnavailable", 503),
    ("Unavailable", 503),
    ("UnauthorizedOperation", 403),
];

/// An error of EC2.
#[derive(Clone, Debug, PartialEq)]
pub enum Ec2Error {
    /// An error of EC2's own list, such as `InvalidVpcID.NotFound`.
    Coded { code: Cow<'static, str>, message: String },
    /// An error that every service has.
    Other(Box<WireError>),
}

impl Ec2Error {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Coded { code: code.into(), message: message.into() }
    }

    pub fn missing_parameter(message: impl Into<String>) -> Self {
        Self::new("MissingParameter", message)
    }

    pub fn invalid_parameter_value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub fn invalid_parameter_combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// The code on the wire.
    pub fn code(&self) -> &str {
        match self {
            Ec2Error::Coded { code, .. } => code,
            Ec2Error::Other(error) => error.code_in(Protocol::Ec2),
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Ec2Error::Coded { message, .. } => message,
            Ec2Error::Other(error) => &error.message,
        }
    }
}

impl From<Ec2Error> for WireError {
    fn from(error: Ec2Error) -> Self {
        match error {
            Ec2Error::Coded { code, message } => {
                let listed = STATUS.iter().find(|(listed, _)| *listed == code);
                WireError::named(code, listed.map_or(400, |(_, status)| *status), message)
            }
            Ec2Error::Other(error) => *error,
        }
    }
}

impl From<WireError> for Ec2Error {
    fn from(error: WireError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl fmt::Display for Ec2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for Ec2Error {}
