//! Names of secrets, and what names one in a request.

use outport_identity::Call;
use outport_model::{Arn, Scope};

use crate::rejection::Rejection;

/// Source: API reference, CreateSecret, Name: "The secret name can contain ASCII letters, numbers, and the following
/// characters: /_+=.@-"; the answer to another one names the exclamation mark too.
const PUNCTUATION: &str = "-/_+=.@!";
/// What stands in an ARN for the end that only Secrets Manager knows.
pub const ANY_SUFFIX: &str = "??????";

/// Checks the name of a new secret. Its length is the model's to check.
///
/// # Errors
/// `ValidationException`, with AWS's text as public test suites have it.
pub fn parse(name: Option<String>) -> Result<String, Rejection> {
    let name = name.unwrap_or_default();
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || PUNCTUATION.contains(character);
    if name.chars().all(is_allowed) {
        return Ok(name);
    }
    Err(Rejection::Validation(format!(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: {PUNCTUATION}"
    )))
}

/// The account and region that are called.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// The ARN by which what is not there is asked about: the given one, or that of the name with any end.
pub fn arn_of_absent(scope: &Scope, secret_id: &str) -> String {
    match Arn::parse(secret_id) {
        Some(arn) => arn.into_string(),
        None => Arn::secret(scope, secret_id, ANY_SUFFIX).into_string(),
    }
}
