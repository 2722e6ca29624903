//! Why an operation refuses a request: the errors of KMS that this crate answers with.
//!
//! Source of the texts: the API reference and the developer guide, answers of KMS as callers report them and as public test suites have
//! recorded them; those that no function here names a source for are ours.

use std::fmt;

use outport_aws_kms::KmsError;
use outport_aws_wire::{CommonError, Protocol, WireError};
use outport_guarded_store::Refusal;
use outport_identity::Denied;
use outport_kms_keys::{DecryptError, MaterialFault, Reference, Unreadable, Unusable};
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
    AlreadyExists,
    Disabled,
    DryRun,
    IncorrectKey,
    InvalidArn,
    InvalidCiphertext,
    InvalidGrantId,
    InvalidGrantToken,
    InvalidKeyUsage,
    InvalidMac,
    InvalidMarker,
    InvalidSignature,
    InvalidState,
    LimitExceeded,
    MalformedPolicy,
    NotFound,
    Tag,
    Unsupported,
    /// `ValidationException`.
    Validation,
    /// `NotAuthorizedException`-like refusals of names that are AWS's.
    NotAuthorized,
    /// Ours to mend; the detail is for the log.
    Server {
        detail: String,
    },
}

const ON_RESOURCE: &str = " on resource: ";
/// What KMS says of a key whose policy does not let the caller use it, in the same words as of one that is not there. Source: answers of
/// KMS, as callers report them.
const NO_SUCH_KEY_FOR_YOU: &str = "because the resource does not exist in this Region, no resource-based policies allow access, or a \
     resource-based policy explicitly denies access";

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Reason::Validation, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Reason::Unsupported, message)
    }

    /// A part of an operation that this version does not have. It is refused, never ignored.
    pub fn not_built(what: &str) -> Self {
        Self::unsupported(format!(
            "{what} is not supported by this version of Outport. See docs/compatibility.md."
        ))
    }

    pub fn server(detail: String) -> Self {
        Self::new(Reason::Server { detail }, "An error occurred on the server side.")
    }

    pub fn not_found(reference: &Reference) -> Self {
        Self::new(Reason::NotFound, reference.not_found())
    }

    pub fn invalid_ciphertext() -> Self {
        Self::new(Reason::InvalidCiphertext, "")
    }

    /// Of a ciphertext whose key is not here. Source: answers of Decrypt, as callers report them.
    pub fn ciphertext_of_nobody() -> Self {
        let text = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not \
                    allowed to access.";
        Self::new(Reason::AccessDenied, text)
    }

    /// The same, about what the caller has named: who asks by another name does not learn whose it is.
    #[must_use]
    pub fn about(self, reference: &Reference) -> Self {
        self.on(&format!("{ON_RESOURCE}{}", reference.arn()), " on this resource ")
    }

    /// The same, about the key of a ciphertext, which the caller has not named.
    #[must_use]
    pub fn about_ciphertext(self) -> Self {
        let place = " on the resource associated with this ciphertext";
        self.on(place, &format!("{place} "))
    }

    fn on(mut self, place: &str, place_of_unknown: &str) -> Self {
        if self.reason != Reason::AccessDenied {
            return self;
        }
        let Some((head, rest)) = self.message.split_once(ON_RESOURCE) else { return self };
        let tail = rest.split_once(' ').map_or("", |(_, tail)| tail);
        self.message = if is_by_key_policy(tail) {
            format!("{head}{place_of_unknown}{NO_SUCH_KEY_FOR_YOU}")
        } else {
            format!("{head}{place} {tail}")
        };
        self
    }

    /// Whether a denial comes from a key's policy, and not from the caller's own.
    pub fn is_by_key_policy(&self) -> bool {
        self.reason == Reason::AccessDenied && is_by_key_policy(&self.message)
    }

    /// The text that the caller sees.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The code on the wire.
    pub fn code(&self) -> String {
        let error = WireError::from(KmsError::from(self.clone()));
        error.code_in(Protocol::Json11).to_owned()
    }
}

fn is_by_key_policy(why: &str) -> bool {
    why.contains("no resource-based policy") || why.contains("in a resource-based policy")
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

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        Self::new(Reason::Server { detail: fault.detail }, message)
    }
}

impl From<MaterialFault> for Rejection {
    fn from(fault: MaterialFault) -> Self {
        Self::server(fault.to_string())
    }
}

impl From<DecryptError> for Rejection {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::Invalid => Self::invalid_ciphertext(),
            DecryptError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Unreadable> for Rejection {
    fn from(unreadable: Unreadable) -> Self {
        let reason = match unreadable {
            Unreadable::Arn(_) => Reason::InvalidArn,
            Unreadable::KeyId(_) | Unreadable::Region(_) => Reason::NotFound,
        };
        Self::new(reason, unreadable.to_string())
    }
}

impl From<Unusable> for Rejection {
    fn from(unusable: Unusable) -> Self {
        let reason = match &unusable {
            Unusable::Disabled { .. } => Reason::Disabled,
            Unusable::PendingDeletion { .. } => Reason::InvalidState,
        };
        Self::new(reason, unusable.message())
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

impl From<Rejection> for KmsError {
    fn from(Rejection { reason, message }: Rejection) -> Self {
        match reason {
            Reason::AccessDenied => Self::from(WireError::access_denied(message)),
            Reason::AlreadyExists => Self::already_exists_exception(message),
            Reason::Disabled => Self::disabled_exception(message),
            Reason::DryRun => Self::dry_run_operation_exception(message),
            Reason::IncorrectKey => Self::incorrect_key_exception(message),
            Reason::InvalidArn => Self::invalid_arn_exception(message),
            Reason::InvalidCiphertext => Self::invalid_ciphertext_exception(message),
            Reason::InvalidGrantId => Self::invalid_grant_id_exception(message),
            Reason::InvalidGrantToken => Self::invalid_grant_token_exception(message),
            Reason::InvalidKeyUsage => Self::invalid_key_usage_exception(message),
            Reason::InvalidMac => Self::kms_invalid_mac_exception(message),
            Reason::InvalidMarker => Self::invalid_marker_exception(message),
            Reason::InvalidSignature => Self::kms_invalid_signature_exception(message),
            Reason::InvalidState => Self::kms_invalid_state_exception(message),
            Reason::LimitExceeded => Self::limit_exceeded_exception(message),
            Reason::MalformedPolicy => Self::malformed_policy_document_exception(message),
            Reason::NotFound => Self::not_found_exception(message),
            Reason::Tag => Self::tag_exception(message),
            Reason::Unsupported => Self::unsupported_operation_exception(message),
            Reason::Validation => Self::from(WireError::common(CommonError::InvalidInput, message)),
            Reason::NotAuthorized => {
                Self::from(WireError::named("NotAuthorizedException", 400, message))
            }
            Reason::Server { detail } => {
                let error = WireError::from(Self::kms_internal_exception(message));
                Self::from(error.with_log_message(detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(why: &str) -> Rejection {
        let head = "User: u is not authorized to perform: kms:Decrypt";
        Rejection::new(Reason::AccessDenied, format!("{head} on resource: arn:aws:kms:key {why}"))
    }

    #[test]
    fn a_denial_by_the_key_does_not_say_that_there_is_one() {
        let scope = outport_model::Scope::new(
            outport_model::AccountId::new("000000000000"),
            outport_model::Region::new("us-east-1"),
        );
        let alias = Reference::Alias { scope, name: "alias/a".into() };
        let head = "User: u is not authorized to perform: kms:Decrypt";
        for why in [
            "because no resource-based policy allows the kms:Decrypt action",
            "with an explicit deny in a resource-based policy",
        ] {
            let text = format!("{head} on this resource {NO_SUCH_KEY_FOR_YOU}");
            assert_eq!(denied(why).about(&alias).message(), text);
            let text = format!(
                "{head} on the resource associated with this ciphertext {NO_SUCH_KEY_FOR_YOU}"
            );
            assert_eq!(denied(why).about_ciphertext().message(), text);
        }
        let why = "because no identity-based policy allows the kms:Decrypt action";
        let text = format!("{head} on resource: arn:aws:kms:us-east-1:000000000000:alias/a {why}");
        assert_eq!(denied(why).about(&alias).message(), text);
    }
}
