//! Randomness, asked for before a transaction, which may be tried more than once.

use outport_kms_keys::{FreshMaterial, MATERIAL_RANDOM_BYTES};
use outport_model::kms::KmsKeySpec;

use crate::rejection::Rejection;

/// Random numbers that are tried as a private key; the first does, but for once in four thousand millions.
const PRIVATE_KEYS_MAX: usize = 4;

/// Fresh random bytes.
///
/// # Errors
/// No randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer with fresh random bytes.
///
/// # Errors
/// No randomness.
pub fn fill(bytes: &mut [u8]) -> Result<(), Rejection> {
    getrandom::fill(bytes).map_err(|error| Rejection::server(format!("no randomness: {error}")))
}

/// Material that no key has.
///
/// # Errors
/// No randomness.
pub fn material() -> Result<FreshMaterial, Rejection> {
    Ok(FreshMaterial::new(&bytes::<MATERIAL_RANDOM_BYTES>()?))
}

/// The same, for a key of this spec.
///
/// # Errors
/// No randomness.
pub fn material_for(spec: KmsKeySpec) -> Result<FreshMaterial, Rejection> {
    for _ in 0..PRIVATE_KEYS_MAX {
        if let Some(material) = FreshMaterial::for_spec(spec, &bytes::<MATERIAL_RANDOM_BYTES>()?) {
            return Ok(material);
        }
    }
    Err(Rejection::server("no private key came of the randomness".to_owned()))
}

/// 64 hexadecimal digits, as ids of grants have them.
///
/// # Errors
/// No randomness.
pub fn grant_id() -> Result<String, Rejection> {
    Ok(hex::encode(bytes::<32>()?))
}
