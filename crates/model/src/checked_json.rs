//! A JSON object with a checksum in it, for the small documents on a node's disk: a flipped bit in a number is still
//! JSON, and would be believed.
//!
//! ```text
//! {"version":2,"exit_code":137}   ->   {"version":2,"exit_code":137,"crc32":"cd1a5a40"}
//! ```
//!
//! The checksum is the last field and covers every byte before it. Who does not know it passes over a field that he does
//! not know: an older version reads what a newer one wrote, and a newer one what an older one wrote, without a checksum.
//!
//! **Invariant:** a document that this version wrote, cut anywhere or with any one bit changed, is damaged or says the
//! same.

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// With eight hexadecimal digits and `"}` behind it.
const FIELD: &[u8] = br#""crc32":""#;
const DIGITS: usize = 8;

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Document<T> {
    Read(T),
    /// It is whole, and of a version that says it in another way.
    NotUnderstood(String),
    /// It is cut, or somebody else has written in it. No version understands it.
    Damaged(String),
}

impl<T> Document<T> {
    pub fn read(self) -> Option<T> {
        match self {
            Self::Read(document) => Some(document),
            Self::NotUnderstood(_) | Self::Damaged(_) => None,
        }
    }
}

/// Reads what [`write`] made, or an older version without a checksum.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Document<T> {
    if check(json) == Checked::Damaged {
        return Document::Damaged("its checksum is another".to_owned());
    }
    let error = match serde_json::from_slice(json) {
        Ok(document) => return Document::Read(document),
        Err(error) => error,
    };
    // The first thing that is not understood may stand before what is no JSON at all.
    match error.is_data() && serde_json::from_slice::<IgnoredAny>(json).is_ok() {
        true => Document::NotUnderstood(error.to_string()),
        false => Document::Damaged(error.to_string()),
    }
}

/// The bytes of a document, with a checksum if it is an object.
///
/// # Errors
/// When it is nothing that JSON can say.
pub fn write<T: Serialize>(document: &T) -> Result<Vec<u8>, serde_json::Error> {
    Ok(with_checksum(serde_json::to_vec(document)?))
}

/// What a checksum says of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    Whole,
    /// It has none, as documents of older versions.
    Unchecked,
    Damaged,
}

/// Adds the checksum to an object; what is none is given back as it is.
fn with_checksum(mut json: Vec<u8>) -> Vec<u8> {
    if json.first() != Some(&b'{') || json.pop_if(|last| *last == b'}').is_none() {
        return json;
    }
    let sum = crc32fast::hash(&json);
    if json.len() > 1 {
        json.push(b',');
    }
    json.extend_from_slice(FIELD);
    json.extend_from_slice(format!("{sum:08x}\"}}").as_bytes());
    json
}

/// Looks at the checksum of what [`with_checksum`] made, or of what an older version wrote without.
fn check(json: &[u8]) -> Checked {
    let Some((covered, digits)) = parts(json) else { return Checked::Unchecked };
    let sum = format!("{:08x}", crc32fast::hash(covered));
    if sum.as_bytes() == digits { Checked::Whole } else { Checked::Damaged }
}

/// What the checksum covers, and its digits.
fn parts(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = json.strip_suffix(b"\"}")?;
    let (before, digits) = inner.split_at_checked(inner.len().checked_sub(DIGITS)?)?;
    let before = before.strip_suffix(FIELD)?;
    Some((before.strip_suffix(b",").unwrap_or(before), digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let check = |json: &str, expected: &str| {
            let made = with_checksum(json.as_bytes().to_vec());
            assert_eq!(String::from_utf8(made.clone()).unwrap(), expected);
            assert_eq!(super::check(json.as_bytes()), Checked::Unchecked, "{json}");
            if made != json.as_bytes() {
                assert_eq!(super::check(&made), Checked::Whole, "{json}");
            }
        };
        check(r#"{"a":1}"#, r#"{"a":1,"crc32":"a702fc6e"}"#);
        check("{}", r#"{"crc32":"15d54739"}"#);
        check("[1]", "[1]");
        check("", "");
    }

    #[test]
    fn what_is_not_understood_is_told_from_what_is_damaged() {
        let said = |json: &str| read::<Vec<u8>>(json.as_bytes());
        assert_eq!(said("[1,2]"), Document::Read(vec![1, 2]));
        for json in [r#"{"a":[]}"#, r#"["one"]"#, "[300]", "7"] {
            assert!(matches!(said(json), Document::NotUnderstood(_)), "{json}");
        }
        for json in ["", "[1,2", r#"["one""#, r#"{"a":1,"crc32":"00000000"}"#, "[1]]", "\u{1}"] {
            assert!(matches!(said(json), Document::Damaged(_)), "{json}");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_seen_or_says_the_same() {
        let json = br#"{"version":2,"exit_code":137,"reason":"x","times":[1,2]}"#;
        let good = with_checksum(json.to_vec());
        for length in 0..good.len() {
            // What is cut is no JSON: its last brace is missing.
            assert!(!good[..length].ends_with(b"}") || length == 0, "cut at {length}");
        }
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match check(&flipped) {
                Checked::Damaged => {}
                Checked::Whole => panic!("bit {bit}"),
                // Only its own field does not look like one any more.
                Checked::Unchecked => assert!(bit / 8 >= json.len() - 1, "bit {bit}"),
            }
        }
    }
}
