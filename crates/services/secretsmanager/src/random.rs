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

/// A fresh version id, for a request without a token: a UUID of version 4.
///
/// # Errors
/// No randomness.
pub fn version_id() -> Result<String, Rejection> {
    let mut bytes: [u8; 16] = bytes()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
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
