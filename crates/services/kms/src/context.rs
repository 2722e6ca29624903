//! Encryption contexts on their way in.

use outport_kms_keys::EncryptionContext;

use crate::quotas::CONTEXT_BYTES;
use crate::rejection::Rejection;

/// None is an empty one.
///
/// # Errors
/// `ValidationException` for one that is too long. The text is ours.
pub fn parse(context: Option<EncryptionContext>) -> Result<EncryptionContext, Rejection> {
    let context = context.unwrap_or_default();
    let bytes: usize = context.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > CONTEXT_BYTES {
        return Err(Rejection::validation(format!(
            "The encryption context has {CONTEXT_BYTES} bytes at most."
        )));
    }
    Ok(context)
}
