//! `REPOSITORY[:TAG]`: where an image is loaded to.

use anyhow::{Result, bail};

use crate::api::Api;

const TAG_DEFAULT: &str = "latest";
const TAG_LENGTH_MAX: usize = 128;
const TAG_RULE: &str =
    "a tag has up to 128 letters, digits, _, . and -, and begins with none of the last two";
const REPOSITORY_LENGTH_MAX: usize = 256;
const REPOSITORY_RULE: &str = "it has 2 to 256 small letters and digits, in parts with / between them; inside a part . or _ or - may stand \
     between two of them";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub repository: String,
    pub tag: String,
}

impl Target {
    /// A host before the name is taken where it is the registry's own: that of the endpoint, or in AWS's form.
    ///
    /// # Errors
    /// When it names another registry, or a digest, or breaks a rule, which is said in words.
    pub fn parse(text: &str, api: &Api) -> Result<Self> {
        Self::of_registry(text, api.host())
    }

    fn of_registry(text: &str, own_host: &str) -> Result<Self> {
        if text.contains('@') {
            bail!("{text:?} names a digest: an image is loaded to REPOSITORY:TAG");
        }
        let name = match text.split_once('/') {
            Some((host, name)) if is_host(host) => {
                if host != own_host && !is_of_aws(host) {
                    bail!("{text:?} names the registry {host}, and Outport's own is {own_host}");
                }
                name
            }
            _ => text,
        };
        let (repository, tag) = name.split_once(':').unwrap_or((name, TAG_DEFAULT));
        if repository.is_empty() {
            bail!("{text:?} is no REPOSITORY:TAG, such as app:1.0: it names no repository");
        }
        if !is_repository(repository) {
            bail!(
                "{text:?} is no REPOSITORY:TAG, such as team/app:1.0: {repository:?} cannot name a repository: {REPOSITORY_RULE}"
            );
        }
        if !is_tag(tag) {
            bail!("{text:?} is no REPOSITORY:TAG, such as app:1.0: {tag:?} is no tag: {TAG_RULE}");
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

/// Source: `repositoryName` of `CreateRepository` in the Amazon ECR API Reference.
fn is_repository(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        // Between two words stands one of `.`, `_`, `__`, or any number of `-`.
        let mut separators = part.split(|c: char| c.is_ascii() && is_word(c as u8));
        let ends_well = part.bytes().next().is_some_and(is_word)
            && part.bytes().next_back().is_some_and(is_word);
        ends_well
            && separators.all(|between| {
                matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
            })
    };
    (2..=REPOSITORY_LENGTH_MAX).contains(&name.len()) && name.split('/').all(is_part)
}

/// It becomes a part of a URL. Source: OCI distribution specification 1.1, "Pulling manifests".
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=TAG_LENGTH_MAX).contains(&text.len())
        && is_word(text.as_bytes()[0])
        && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// As Docker tells a host from the first part of a name.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

/// That is this registry, whoever asks (design note 0002).
fn is_of_aws(host: &str) -> bool {
    host.contains(".dkr.ecr.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        let found = Target::of_registry(text, "127.0.0.1:4566");
        match (found, expected) {
            (Ok(target), Ok((repository, tag))) => {
                assert_eq!((&*target.repository, &*target.tag), (repository, tag), "{text}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_target_is_a_repository_of_this_registry_and_a_tag() {
        check("app", Ok(("app", "latest")));
        check("team/app:1.0", Ok(("team/app", "1.0")));
        check("127.0.0.1:4566/team/app:1.0", Ok(("team/app", "1.0")));
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1.0", Ok(("app", "1.0")));
        check("docker.io/app:1.0", Err("names the registry docker.io"));
        check("app@sha256:00", Err("names a digest"));
        for wrong in ["", ":1.0", "127.0.0.1:4566/"] {
            check(wrong, Err("it names no repository"));
        }
        for wrong in ["app:", "app:1:0", "app:1?x=y", "a/app:b/x", "app:é", "app:.1"] {
            check(wrong, Err("is no tag: a tag has up to 128 letters"));
        }
        for wrong in ["App:1", "a:1", "team//app", "-app", "app-", "a..b", "a._b", "ap p", "äpp"] {
            check(wrong, Err("cannot name a repository: it has 2 to 256 small letters"));
        }
        for right in ["a.b_c__d-e--f", "0a/1b"] {
            check(right, Ok((right, "latest")));
        }
    }
}
