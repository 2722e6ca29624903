//! Randomness, asked for before a transaction, which may be tried more than once.

use crate::rejection::Rejection;

/// The end of a secret's ARN.
const SUFFIX_CHARS: usize = 6;
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Fresh random bytes.
///
/// # Errors
/// No randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Rejection::server(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// A number below `end`, each as likely as the others. `end`: 1 to 65,536.
///
/// # Errors
/// No randomness.
pub fn below(end: usize) -> Result<usize, Rejection> {
    const NUMBERS: usize = 1 << 16;
    // Above the last whole multiple of `end` some numbers would come more often than others.
    let fair = NUMBERS - NUMBERS % end;
    loop {
        let number = usize::from(u16::from_le_bytes(bytes()?));
        if number < fair {
            return Ok(number % end);
        }
    }
}

/// Six random letters and digits.
///
/// # Errors
/// No randomness.
pub fn suffix() -> Result<String, Rejection> {
    let letter = || Ok(char::from(LETTERS_AND_DIGITS[below(LETTERS_AND_DIGITS.len())?]));
    (0..SUFFIX_CHARS).map(|_| letter()).collect()
}
