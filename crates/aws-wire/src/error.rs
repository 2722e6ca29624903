//! An error on its way to the caller.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::common_error::CommonError;
use crate::service::Protocol;
use crate::shape::Shape;

/// Whose fault an error is: query and ec2 say `Sender` and `Receiver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Sender,
    Receiver,
}

impl Fault {
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::Sender => "Sender",
            Fault::Receiver => "Receiver",
        }
    }
}

/// How an error is named on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The same in every protocol, with its HTTP status.
    Named { code: Cow<'static, str>, status: u16 },
    /// Named by each protocol in its own way.
    Common(CommonError),
}

/// Everything that an error answer needs. Services build their own typed errors, which convert into this one.
#[derive(Clone)]
pub struct WireError {
    pub code: ErrorCode,
    /// For the caller.
    pub message: String,
    pub fault: Fault,
    /// The exception of the model with its members, when it is one.
    pub exception: Option<Arc<dyn Shape>>,
    /// The code that query clients of the same service know, when it differs.
    pub query_code: Option<&'static str>,
    /// For the log of the operator only: what really went wrong.
    pub log_message: Option<String>,
}

impl WireError {
    fn new(code: ErrorCode, fault: Fault, message: String) -> Self {
        Self { code, message, fault, exception: None, query_code: None, log_message: None }
    }

    /// An error with a code of its own. `status` is the HTTP status; 500 and above are the receiver's fault.
    pub fn named(
        code: impl Into<Cow<'static, str>>,
        status: u16,
        message: impl Into<String>,
    ) -> Self {
        let fault = if status >= 500 { Fault::Receiver } else { Fault::Sender };
        Self::new(ErrorCode::Named { code: code.into(), status }, fault, message.into())
    }

    /// An error that every service has.
    pub fn common(error: CommonError, message: impl Into<String>) -> Self {
        let fault = if error.is_ours() { Fault::Receiver } else { Fault::Sender };
        Self::new(ErrorCode::Common(error), fault, message.into())
    }

    /// An exception of a service's model.
    pub fn exception(
        code: &'static str,
        status: u16,
        message: String,
        exception: impl Shape + 'static,
    ) -> Self {
        Self { exception: Some(Arc::new(exception)), ..Self::named(code, status, message) }
    }

    /// The principal may not do this.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::common(CommonError::AccessDenied, message)
    }

    /// The request cannot be read.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::common(CommonError::Malformed, message)
    }

    pub fn throttled(message: impl Into<String>) -> Self {
        Self::common(CommonError::Throttled, message)
    }

    /// A fault of ours. The caller learns no more than that; the log gets `log_message`.
    pub fn internal(log_message: impl Into<String>) -> Self {
        let message =
            "The request processing has failed because of an unknown error, exception or failure.";
        Self {
            log_message: Some(log_message.into()),
            ..Self::common(CommonError::Internal, message)
        }
    }

    /// An operation of the model that is not built. `service` is the short name, such as `ecs`.
    pub fn not_implemented(service: &str, operation: &str) -> Self {
        let message = format!(
            "Outport does not implement {service}:{operation} yet. \
             /_outport/compatibility at this endpoint lists the operations that it implements."
        );
        Self::common(CommonError::NotImplemented, message)
    }

    /// An operation that the service's model does not have.
    pub fn unknown_operation(operation: &str, api_version: &str) -> Self {
        let operation = crate::refused_value::echoed(operation);
        let message = format!("Could not find operation {operation} for version {api_version}");
        Self::common(CommonError::UnknownOperation, message)
    }

    /// Adds what only the operator may know.
    pub fn with_log_message(mut self, log_message: impl Into<String>) -> Self {
        self.log_message = Some(log_message.into());
        self
    }

    /// Code on the wire of `protocol`.
    pub fn code_in(&self, protocol: Protocol) -> &str {
        match &self.code {
            ErrorCode::Named { code, .. } => code,
            ErrorCode::Common(error) => error.code_and_status(protocol).0,
        }
    }

    /// HTTP status in `protocol`.
    pub fn status_in(&self, protocol: Protocol) -> u16 {
        match &self.code {
            ErrorCode::Named { status, .. } => *status,
            ErrorCode::Common(error) => error.code_and_status(protocol).1,
        }
    }
}

/// Equal for the caller: same code and message.
impl PartialEq for WireError {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code && self.message == other.message
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireError")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("log_message", &self.log_message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code_in(Protocol::Json11), self.message)
    }
}

impl std::error::Error for WireError {}
