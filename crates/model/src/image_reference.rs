//! The `image` of a container definition: where an image is pulled from.
//!
//! ```text
//! [host[:port]/]path[:tag][@digest]        without a host: docker.io; without tag and digest: latest
//! ```

use std::fmt;

use crate::{AccountId, Region, Scope};

/// The registry of images that name none, as Docker has it.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of images that name neither tag nor digest, as Docker has it.
pub const DEFAULT_TAG: &str = "latest";
/// The longest reference, in bytes.
const REFERENCE_BYTES_MAX: usize = 1_024;
const PATH_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// A reference whose parts are well formed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// Host and, if there is one, port.
    pub registry: String,
    /// The path inside the registry. Docker's own images have `library/` in front.
    pub repository: String,
    pub tag: Option<String>,
    /// `algorithm:hex`. If there is a tag too, the digest decides.
    pub digest: Option<String>,
}

/// The text is not an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedImageReference;

impl fmt::Display for MalformedImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid reference format")
    }
}

impl std::error::Error for MalformedImageReference {}

/// A repository that Outport's own registry serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRepository {
    pub scope: Scope,
    pub name: String,
}

impl ImageReference {
    /// Reads a reference as Docker does: the part before the first slash is a host if it has a dot or a
    /// colon or is `localhost`.
    pub fn parse(text: &str) -> Result<Self, MalformedImageReference> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(MalformedImageReference);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, Some(digest.to_owned())),
            Some(_) => return Err(MalformedImageReference),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), rest)
            }
            _ => (DEFAULT_REGISTRY.to_owned(), name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => return Err(MalformedImageReference),
            None => (rest, None),
        };
        if !is_host(&registry) || !is_path(path) {
            return Err(MalformedImageReference);
        }
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { registry, repository, tag, digest })
    }

    /// What to ask the registry for: the digest, or the tag, or `latest`.
    pub fn manifest_reference(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or(DEFAULT_TAG)
    }

    /// The repository of our own registry that is meant, if it is ours: AWS's form
    /// `<account>.dkr.ecr.<region>.amazonaws.com/<name>` for this account and any region, or an address
    /// under which our registry listens, which means the region that asks.
    pub fn local_repository(
        &self,
        account: &AccountId,
        region: &Region,
        registry_hosts: &[&str],
    ) -> Option<LocalRepository> {
        let name = self.repository.clone();
        if registry_hosts.contains(&self.registry.as_str()) {
            let scope = Scope::new(account.clone(), region.clone());
            return Some(LocalRepository { scope, name });
        }
        let (owner, region) = aws_registry(&self.registry)?;
        let scope = Scope::new(account.clone(), Region::new(region));
        (owner == account.as_str()).then_some(LocalRepository { scope, name })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Account and region of a private ECR registry's host. Source: Amazon ECR user guide, "Private
/// registries": `dkr.ecr` and `dkr.ecr-fips` under `amazonaws.com` (China: `.cn`), dual-stack
/// `dkr-ecr` under `on.aws`.
fn aws_registry(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once('.')?;
    let region =
        if let Some(rest) = rest.strip_prefix("dkr.ecr.").or(rest.strip_prefix("dkr.ecr-fips.")) {
            rest.strip_suffix(".amazonaws.com").or(rest.strip_suffix(".amazonaws.com.cn"))?
        } else {
            rest.strip_prefix("dkr-ecr.")?.strip_suffix(".on.aws")?
        };
    let region_like = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !region.is_empty()
        && region.bytes().all(region_like);
    good.then_some((account, region))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port),
        Some(_) => return false,
        None => host.split_once(':').map_or((host, ""), |(name, _)| (name, &host[name.len()..])),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let port_good = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    name.split('.').all(label) && port_good
}

/// Components of lower-case letters and digits with `.`, `_`, `__` or hyphens inside.
fn is_path(path: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separator = |text: &[u8]| {
        matches!(text, b"" | b"." | b"_" | b"__") || text.iter().all(|byte| *byte == b'-')
    };
    let component = |text: &str| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.split(|byte| alphanumeric(byte)).all(separator)
    };
    path.len() <= PATH_BYTES_MAX && path.split('/').all(component)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_digest(digest: &str) -> bool {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let hex = |length: usize, hex: &str| hex.len() == length && hex.bytes().all(lower_hex);
    match digest.split_once(':') {
        Some(("sha256", digits)) => hex(64, digits),
        Some(("sha512", digits)) => hex(128, digits),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let digest = format!("sha256:{}", "a".repeat(64));
        let (text, expected) = (text.replace('#', &digest), expected.replace('#', &digest));
        let found = match ImageReference::parse(&text) {
            Ok(reference) => reference.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn references_are_read_as_docker_reads_them() {
        check("nginx", "docker.io/library/nginx");
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("team/app@#", "docker.io/team/app@#");
        check("localhost/app", "localhost/app");
        check("127.0.0.1:4566/app:1.0", "127.0.0.1:4566/app:1.0");
        check("[::1]:4566/app:1.0", "[::1]:4566/app:1.0");
        check("quay.io/a/b/c:t@#", "quay.io/a/b/c:t@#");
        for bad in [
            "",
            ":tag",
            "App",
            "a//b",
            "a:b:c",
            "a/../b",
            "a@sha256:1",
            "a b",
            "a@",
            "-x.y/app",
            "x.y:99999/app",
            "x.y:/app/",
            "[zz]:1/app",
            "a/b:",
        ] {
            check(bad, "invalid reference format");
        }
    }

    fn check_local(image: &str, expected: Option<(&str, &str)>) {
        let (account, region) = (AccountId::new("000000000000"), Region::new("us-east-1"));
        let reference = ImageReference::parse(image).expect("a good reference");
        let found = reference.local_repository(&account, &region, &["127.0.0.1:4566"]);
        let found = found.map(|local| (local.scope.region.to_string(), local.name));
        let expected = expected.map(|(region, name)| (region.to_owned(), name.to_owned()));
        assert_eq!(found, expected, "{image}");
    }

    #[test]
    fn images_of_this_account_are_ours() {
        check_local("127.0.0.1:4566/team/app:1", Some(("us-east-1", "team/app")));
        check_local(
            "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1",
            Some(("us-east-1", "app")),
        );
        check_local("000000000000.dkr.ecr.eu-west-1.amazonaws.com/app", Some(("eu-west-1", "app")));
        check_local(
            "000000000000.dkr.ecr-fips.us-east-1.amazonaws.com/app",
            Some(("us-east-1", "app")),
        );
        check_local("000000000000.dkr-ecr.us-east-1.on.aws/app", Some(("us-east-1", "app")));
        check_local("111111111111.dkr.ecr.us-east-1.amazonaws.com/app", None);
        check_local("000000000000.dkr.ecr.us-east-1.example.com/app", None);
        check_local("000000000000.dkr.ecr.us.east.amazonaws.com/app", None);
        check_local("127.0.0.1:4567/app", None);
        check_local("nginx", None);
    }
}
