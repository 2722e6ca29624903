//! Which of an index's images.

use std::fmt;

use anyhow::{Result, bail};
use serde::Deserialize;

/// Words as Go has them: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: String,
}

impl Platform {
    /// This machine's.
    pub fn native() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
    }

    /// # Errors
    /// Says how it is written.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match words[..] {
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => bail!("{text:?} is no platform: write it as linux/amd64 or linux/arm/v7"),
        };
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.into() })
    }

    /// Whether an image for `found` is meant. A variant that is not asked for may be any.
    pub fn takes(&self, found: &Self) -> bool {
        self.os == found.os
            && self.architecture == found.architecture
            && (self.variant.is_empty() || self.variant == found.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(to, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_taken_into_account_when_it_is_asked_for() {
        let check = |wanted: &str, found: &str, expected: bool| {
            let [wanted, found] = [wanted, found].map(|text| Platform::parse(text).unwrap());
            assert_eq!(wanted.takes(&found), expected, "{wanted} {found}");
        };
        check("linux/amd64", "linux/amd64", true);
        check("linux/arm", "linux/arm/v7", true);
        check("linux/arm/v6", "linux/arm/v7", false);
        check("linux/amd64", "unknown/unknown", false);
        for wrong in ["", "amd64", "a/b/c/d"] {
            assert!(Platform::parse(wrong).is_err(), "{wrong}");
        }
    }
}
