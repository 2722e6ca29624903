//! Names that a client chooses: repositories and tags.

use std::fmt;
use std::str::FromStr;

use outport_model::Scope;

/// The shortest and longest repository name, in bytes. Source: ECR's `RepositoryName`.
const REPOSITORY_NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=256;
/// The longest tag, in bytes. Source: OCI distribution 1.1 (`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`); ECR's
/// model says 300 for the API member, but no client of a registry can send more than 128.
const TAG_BYTES_MAX: usize = 128;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $error:ident, $text:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        #[doc = concat!("The text is not ", $text, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($text)]
        pub struct $error;

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                if $valid(text) { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a repository: path components of lower-case letters and digits, separated inside by
    /// one `.`, one or two `_`, or any number of `-`. Source: ECR's `RepositoryName`.
    RepositoryName, MalformedRepositoryName, "a valid repository name", is_repository_name
}
name! {
    /// A tag of an image. Source: OCI distribution 1.1.
    ImageTag, MalformedImageTag, "a valid image tag", is_tag
}

/// The ARN of a repository. Source: Service Authorization Reference, Amazon ECR.
pub fn repository_arn(scope: &Scope, name: &RepositoryName) -> String {
    format!("arn:aws:ecr:{}:{}:repository/{name}", scope.region, scope.account)
}

fn is_repository_name(text: &str) -> bool {
    REPOSITORY_NAME_BYTES.contains(&text.len()) && text.split('/').all(is_path_component)
}

fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| alphanumeric(*byte));
    if !ends_well(bytes.first()) || !ends_well(bytes.last()) {
        return false;
    }
    bytes.split(|byte| alphanumeric(*byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=TAG_BYTES_MAX).contains(&text.len())
        && word(text.as_bytes()[0])
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(text: &str, accepted: bool) {
        assert_eq!(text.parse::<T>().is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn repository_names_follow_ecrs_pattern() {
        for good in
            ["app", "a1", "team/app", "a.b", "a__b", "a---b", "a_b/c-d/e.f", &"a".repeat(256)]
        {
            check::<RepositoryName>(good, true);
        }
        for bad in [
            "",
            "a",
            "App",
            "-app",
            "app-",
            "a..b",
            "a___b",
            "a/",
            "/a",
            "a//b",
            "a/../b",
            "a b",
            "a._b",
            "a/.b",
            &"a".repeat(257),
        ] {
            check::<RepositoryName>(bad, false);
        }
    }

    #[test]
    fn tags_follow_the_distribution_specification() {
        for good in ["1.0", "latest", "_x", "A-b.c_d", &"t".repeat(128)] {
            check::<ImageTag>(good, true);
        }
        for bad in ["", ".1", "-1", "a/b", "a:b", "a b", "ä", &"t".repeat(129)] {
            check::<ImageTag>(bad, false);
        }
    }
}
