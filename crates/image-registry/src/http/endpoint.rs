//! Which thing of the protocol a path names.
//!
//! **Invariant:** a name, tag, digest or upload id that leaves this module is well formed; nothing of a
//! path is ever used as a file name before that.

use percent_encoding::percent_decode_str;

use super::reply::Refusal;
use crate::{Digest, ImageSelector, RepositoryName, UploadId};

/// The longest path that is looked at, in bytes. The longest good one has a repository name of 256, a
/// digest of 135 and the words between.
const PATH_BYTES_MAX: usize = 2_048;

#[derive(Debug, PartialEq)]
pub(crate) enum Endpoint {
    /// `/v2/`: is this a registry, and is the password right?
    Base,
    /// `/v2/_catalog`
    Catalog,
    Manifest(RepositoryName, ImageSelector),
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Tags(RepositoryName),
    Referrers(RepositoryName, Digest),
}

impl Endpoint {
    /// Reads the tail of the path, since the name in front of it may contain slashes and any word.
    pub(crate) fn parse(path: &str) -> Result<Self, Refusal> {
        if path.len() > PATH_BYTES_MAX {
            return Err(Refusal::name_invalid("the path is too long"));
        }
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::name_invalid("the path is not UTF-8"))?;
        // One slash: what stands behind a second one has an empty name in front of it.
        let inside = path.strip_prefix("/v2").unwrap_or_default();
        let inside = inside.strip_prefix('/').unwrap_or(inside);
        let segments: Vec<&str> = inside.split('/').collect();
        match segments.as_slice() {
            [""] => Ok(Self::Base),
            ["_catalog"] => Ok(Self::Catalog),
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [name @ .., "manifests", reference] => {
                Ok(Self::Manifest(repository(name)?, selector(reference)?))
            }
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(repository(name)?))
            }
            [name @ .., "blobs", "uploads", id] => {
                let name = repository(name)?;
                let id = id.parse().map_err(|_| Refusal::upload_unknown(id))?;
                Ok(Self::Upload(name, id))
            }
            [name @ .., "blobs", text] => Ok(Self::Blob(repository(name)?, digest(text)?)),
            [name @ .., "referrers", text] => Ok(Self::Referrers(repository(name)?, digest(text)?)),
            _ => Err(Refusal::not_found("there is nothing at this path of a registry")),
        }
    }
}

fn repository(segments: &[&str]) -> Result<RepositoryName, Refusal> {
    let name = segments.join("/");
    name.parse().map_err(|_| Refusal::name_invalid(format!("invalid repository name {name:?}")))
}

fn selector(reference: &str) -> Result<ImageSelector, Refusal> {
    if reference.contains(':') {
        return digest(reference).map(ImageSelector::Digest);
    }
    match reference.parse() {
        Ok(tag) => Ok(ImageSelector::Tag(tag)),
        Err(_) => Err(Refusal::tag_invalid(format!("invalid tag {reference:?}"))),
    }
}

pub(crate) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse()
        .map_err(|error| Refusal::digest_invalid(format!("invalid digest {text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let digest = format!("sha256:{}", "a".repeat(64));
        let path = path.replace('@', &digest);
        let found = match Endpoint::parse(&path) {
            Ok(endpoint) => format!("{endpoint:?}").replace("\"", ""),
            Err(refusal) => refusal.code().to_owned(),
        };
        assert!(found.starts_with(expected), "{path}: {found}, expected {expected}");
    }

    #[test]
    fn the_tail_of_a_path_says_what_it_names() {
        check("/v2", "Base");
        check("/v2/", "Base");
        check("/v2/_catalog", "Catalog");
        check("/v2/app/tags/list", "Tags(RepositoryName(app)");
        check("/v2/team/app/manifests/1.0", "Manifest(RepositoryName(team/app), Tag(");
        check("/v2/app/manifests/@", "Manifest(RepositoryName(app), Digest(");
        check("/v2/app/manifests/sha256%3A", "DIGEST_INVALID");
        check("/v2/app/blobs/@", "Blob(");
        check("/v2/blobs/uploads/blobs/uploads/", "Uploads(RepositoryName(blobs/uploads)");
        check("/v2/app/blobs/uploads/c9a646d3-9c61-4cb7-bfcd-ee2522c8f633", "Upload(");
        check("/v2/app/blobs/uploads/../../etc", "NOT_FOUND");
        check("/v2/app/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN");
        check("/v2/app/blobs/uploads/%2e%2e%2fregistry.sqlite", "NOT_FOUND");
        check("/v2/../manifests/1", "NAME_INVALID");
        check("/v2/%2e%2e/manifests/1", "NAME_INVALID");
        check("/v2/App/manifests/1", "NAME_INVALID");
        check("/v2//manifests/1", "NAME_INVALID");
        check("/v2//app/manifests/1", "NAME_INVALID");
        check("/v2//aa/", "NOT_FOUND");
        check("/v2//", "NOT_FOUND");
        check("/v2//_catalog", "NOT_FOUND");
        check("/v2/%2Fapp/manifests/1", "NAME_INVALID");
        check("/v2/app//tags/list", "NAME_INVALID");
        check("/v2/app/manifests/", "TAG_INVALID");
        check("/v2/app/manifests/.git", "TAG_INVALID");
        check("/v2/app/blobs/sha256:zz", "DIGEST_INVALID");
        check("/v2/app/%ff/list", "NAME_INVALID");
        check("/v2/app", "NOT_FOUND");
    }

    /// Paths put together from good and bad pieces: whatever comes out is well formed.
    #[test]
    fn no_path_gets_a_bad_name_through() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pieces = [
            "app",
            "..",
            ".",
            "",
            "%2e%2e",
            "%2F",
            "%00",
            "blobs",
            "uploads",
            "manifests",
            "tags",
            "list",
            "referrers",
            "A",
            "a_b",
            "\u{fc}",
            "%ff",
            "c9a646d3-9c61-4cb7-bfcd-ee2522c8f633",
            &digest,
        ];
        let mut state: u64 = 1;
        let mut named = 0;
        for _ in 0..50_000 {
            let mut path = "/v2".to_owned();
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for turn in 0..(state >> 60) % 7 {
                path.push('/');
                path.push_str(pieces[(state >> (turn * 5 + 10)) as usize % pieces.len()]);
            }
            if let Ok(
                Endpoint::Manifest(name, _) | Endpoint::Blob(name, _) | Endpoint::Tags(name),
            ) = Endpoint::parse(&path)
            {
                named += 1;
                assert!(
                    name.as_str().split('/').all(|part| !part.is_empty() && !part.contains("..")),
                    "{path}"
                );
            }
        }
        assert!(named > 100, "only {named} paths named something");
    }
}
