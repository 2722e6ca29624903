//! What content is referred to by.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";
const HEX_DIGITS: usize = 64;

/// `sha256:` and 64 hexadecimal digits in lower case; no other algorithm is in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self::from(Sha256::new_with_prefix(bytes))
    }

    /// The 64 digits: no character of a path.
    pub fn hex(&self) -> &str {
        &self.0[ALGORITHM.len()..]
    }

    /// Enough for a person.
    pub fn short(&self) -> &str {
        &self.0[..ALGORITHM.len() + 12]
    }
}

impl From<Sha256> for Digest {
    fn from(hash: Sha256) -> Self {
        use fmt::Write as _;
        let mut text = ALGORITHM.to_owned();
        for byte in hash.finalize() {
            // Into a string: it cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }
}

impl FromStr for Digest {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix(ALGORITHM) {
            Some(hex) if hex.len() == HEX_DIGITS && hex.bytes().all(is_hex) => {
                Ok(Self(text.to_owned()))
            }
            _ => bail!("{:?} is no sha256 digest", text.chars().take(100).collect::<String>()),
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_or_refused() {
        let hex = "a".repeat(64);
        let check = |text: &str, expected: bool| {
            assert_eq!(text.parse::<Digest>().is_ok(), expected, "{text}");
        };
        check(&format!("sha256:{hex}"), true);
        check(&format!("sha256:{}", hex.to_uppercase()), false);
        check(&format!("sha512:{hex}"), false);
        check(&format!("sha256:../{}", &hex[3..]), false);
        check("sha256:", false);
        check("", false);
    }

    #[test]
    fn content_has_its_digest() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.short(), "sha256:e3b0c44298fc");
    }
}
