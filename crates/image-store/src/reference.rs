//! An image reference as a task definition writes it: `[host/]repository[:tag][@digest]`.
//!
//! Docker's reading: the first part is a host only when it has a dot, a colon or is `localhost`; a bare name
//! is Docker Hub's `library/<name>`; no tag and no digest mean `latest`.

use crate::digest::Digest;
use std::fmt;
use std::str::FromStr;

const DOCKER_HUB: &str = "docker.io";
/// The distribution specification's limit on host and repository together.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// A parsed image reference. The digest wins when there is a tag as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format: {0:?}")]
pub struct InvalidReference(String);

impl ImageReference {
    /// The registry's host, with its port if it has one; `docker.io` when the text names none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository in the registry, for example `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag that was written, if any.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that was written, if any.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What stands after `/manifests/` in the distribution API.
    pub(crate) fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<ImageReference, InvalidReference> {
        parse(text).ok_or_else(|| InvalidReference(text.chars().take(300).collect()))
    }
}

fn parse(text: &str) -> Option<ImageReference> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse().ok()?)),
        None => (text, None),
    };
    let last_part = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last_part..].find(':') {
        Some(colon) => (&name[..last_part + colon], Some(name[last_part + colon + 1..].to_owned())),
        None => (name, None),
    };
    if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    let (host, repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (host.to_owned(), rest.to_owned())
        }
        Some(_) => (DOCKER_HUB.to_owned(), name.to_owned()),
        None => (DOCKER_HUB.to_owned(), format!("library/{name}")),
    };
    let valid = host.len() + repository.len() < NAME_BYTES_MAX
        && is_host(&host)
        && repository.split('/').all(is_repository_part);
    valid.then_some(ImageReference { host, repository, tag, digest })
}

fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TAG_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !text.starts_with(['.', '-'])
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_repository_part(part: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(*first) && edge(*last))
        && bytes.iter().all(|byte| edge(*byte) || b"_.-".contains(byte))
        && !part.contains("..")
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None if self.tag.is_none() => formatter.write_str(":latest"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let parsed = text.parse::<ImageReference>().ok();
        assert_eq!(parsed.map(|reference| reference.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn references_read_as_docker_reads_them() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check("nginx", Some("docker.io/library/nginx:latest"));
        check("team/app:1.0", Some("docker.io/team/app:1.0"));
        check("localhost/app", Some("localhost/app:latest"));
        check("127.0.0.1:4566/app:1.0", Some("127.0.0.1:4566/app:1.0"));
        check("quay.io/a/b/c:v1", Some("quay.io/a/b/c:v1"));
        check(
            "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1",
            Some("000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1"),
        );
        check(&format!("h.x/a@{digest}"), Some(&format!("h.x/a@{digest}")));
        check(&format!("h.x/a:1@{digest}"), Some(&format!("h.x/a:1@{digest}")));
    }

    #[test]
    fn text_that_could_leave_the_registry_path_is_refused() {
        for text in [
            "",
            "/",
            "a//b",
            "../a",
            "a/../b",
            "a/..",
            "A",
            "a:",
            "a:b c",
            "a@sha256:12",
            "h.x:99999/a",
            "h.x/a?b",
            "h.x/a#b",
            "-h.x/a",
            "h..x/a",
            "a:.b",
            "user@h.x/a",
            "h.x/a%2f",
            "http://h.x/a",
        ] {
            check(text, None);
        }
        check(&"a".repeat(300), None);
        check(&format!("a:{}", "b".repeat(129)), None);
    }
}
