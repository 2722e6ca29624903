//! Why an operation refuses a request: the errors of Secrets Manager that this crate answers with, and their texts.
//!
//! Source of the texts: answers of Secrets Manager as callers report them and as public test suites expect them; those that no
//! function here names a source for are ours.

use std::fmt;

use outport_aws_secretsmanager::SecretsManagerError;
use outport_aws_wire::{CommonError, Protocol, WireError};
use outport_guarded_store::Refusal;
use outport_identity::Denied;
use outport_store::Fault;

/// One refusal, named after the error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    AccessDenied(String),
    NotFound(String),
    Exists(String),
    InvalidParameter(String),
    InvalidRequest(String),
    InvalidNextToken,
    LimitExceeded(String),
    MalformedPolicyDocument(String),
    PublicPolicy(String),
    /// `ValidationException`, as of an input that breaks the model's constraints.
    Validation(String),
    /// Known, and not built.
    NotBuilt(String),
    /// The key of a secret takes no value: gone, or not enabled.
    EncryptionFailure,
    /// The same, of a value that is there.
    KeyUnusable,
    /// A value that does not open any more; `detail` is for the log.
    Unreadable {
        detail: String,
    },
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

    pub fn server(detail: String) -> Self {
        Self::Server { message: "An error occurred on the server side.".to_owned(), detail }
    }

    pub fn no_such_secret() -> Self {
        Self::NotFound("Secrets Manager can't find the specified secret.".to_owned())
    }

    pub fn no_such_version(version_id: &str) -> Self {
        let text = "Secrets Manager can't find the specified secret value for VersionId: ";
        Self::NotFound(format!("{text}{version_id}"))
    }

    pub fn no_such_stage(stage: &str) -> Self {
        let text = "Secrets Manager can't find the specified secret value for staging label: ";
        Self::NotFound(format!("{text}{stage}"))
    }

    pub fn marked_for_deletion() -> Self {
        let text =
            "You can't perform this operation on the secret because it was marked for deletion.";
        Self::InvalidRequest(text.to_owned())
    }

    pub fn invalid(text: &str) -> Self {
        Self::InvalidParameter(text.to_owned())
    }

    /// The same, about what the caller has named: AWS repeats that and not the ARN which it stands for, so that a denial does not
    /// tell whether there is such a secret.
    pub fn about(self, secret_id: &str) -> Self {
        match self {
            Self::AccessDenied(text) if text.contains(BY_KMS) => {
                Self::AccessDenied("Access to KMS is not allowed".to_owned())
            }
            Self::AccessDenied(text) => Self::AccessDenied(naming(&text, secret_id)),
            other => other,
        }
    }

    /// The text that the caller sees.
    pub fn message(&self) -> &str {
        match self {
            Self::AccessDenied(text)
            | Self::NotFound(text)
            | Self::Exists(text)
            | Self::InvalidParameter(text)
            | Self::InvalidRequest(text)
            | Self::LimitExceeded(text)
            | Self::MalformedPolicyDocument(text)
            | Self::PublicPolicy(text)
            | Self::Validation(text)
            | Self::NotBuilt(text)
            | Self::Server { message: text, .. } => text,
            Self::InvalidNextToken => "Invalid Token",
            Self::EncryptionFailure => {
                "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, \
                 enabled, and not in an invalid state."
            }
            Self::Unreadable { .. } | Self::KeyUnusable => {
                "Secrets Manager can't decrypt the protected secret text using the provided KMS key."
            }
        }
    }

    /// The code on the wire.
    pub fn code(&self) -> String {
        let error = WireError::from(SecretsManagerError::from(self.clone()));
        error.code_in(Protocol::Json11).to_owned()
    }
}

/// What a denial has that is about a key, and not about the secret.
const BY_KMS: &str = " is not authorized to perform: kms:";

/// The text of a denial, with `secret_id` in the place of the resource.
fn naming(text: &str, secret_id: &str) -> String {
    const BEFORE: &str = " on resource: ";
    let Some((head, rest)) = text.split_once(BEFORE) else { return text.to_owned() };
    let tail = rest.split_once(' ').map_or(String::new(), |(_, tail)| format!(" {tail}"));
    format!("{head}{BEFORE}{secret_id}{tail}")
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

impl From<Rejection> for SecretsManagerError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.message().to_owned();
        match rejection {
            Rejection::AccessDenied(_) => Self::from(WireError::access_denied(message)),
            Rejection::NotFound(_) => Self::resource_not_found_exception(message),
            Rejection::Exists(_) => Self::resource_exists_exception(message),
            Rejection::InvalidParameter(_) => Self::invalid_parameter_exception(message),
            Rejection::InvalidRequest(_) => Self::invalid_request_exception(message),
            Rejection::InvalidNextToken => Self::invalid_next_token_exception(message),
            Rejection::LimitExceeded(_) => Self::limit_exceeded_exception(message),
            Rejection::MalformedPolicyDocument(_) => {
                Self::malformed_policy_document_exception(message)
            }
            Rejection::PublicPolicy(_) => Self::public_policy_exception(message),
            Rejection::Validation(_) => {
                Self::from(WireError::common(CommonError::InvalidInput, message))
            }
            Rejection::NotBuilt(_) => {
                Self::from(WireError::common(CommonError::NotImplemented, message))
            }
            Rejection::EncryptionFailure => Self::encryption_failure(message),
            Rejection::KeyUnusable => Self::decryption_failure(message),
            Rejection::Unreadable { detail } => {
                let error = WireError::from(Self::decryption_failure(message));
                Self::from(error.with_log_message(detail))
            }
            Rejection::Server { detail, .. } => {
                let error = WireError::from(Self::internal_service_error(message));
                Self::from(error.with_log_message(detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_repeats_what_was_asked_for() {
        let text = |resource: &str, why: &str| {
            format!(
                "User: u is not authorized to perform: secretsmanager:GetSecretValue on resource: {resource}{why}"
            )
        };
        for why in [" because no identity-based policy allows it", " with an explicit deny", ""] {
            let denied = Rejection::AccessDenied(text("arn:aws:x-??????", why));
            assert_eq!(denied.about("db"), Rejection::AccessDenied(text("db", why)));
        }
    }
}
