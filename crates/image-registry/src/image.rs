//! Images: a manifest in a repository, and the tags that point at it.
//!
//! **Invariant:** a tag points at a manifest that the repository has; a manifest's blobs and child
//! manifests are in the repository as long as it is, but for child manifests of an index that came from
//! another registry and were not asked for yet.

use std::collections::BTreeSet;

use outport_model::{Scope, TimestampMs};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::garbage::digest_of;
use crate::manifest::Manifest;
use crate::registry::{RepositoryId, find_repository};
use crate::repository::read_repository;
use crate::repository_blob::find_blob;
use crate::{Algorithm, Digest, ImageTag, MediaType, Registry, RegistryError, RepositoryName};

/// A pull is noted at most this often, so that pulling does not write. Source: ECR refreshes
/// `lastRecordedPullTime` "at least once every 24 hours".
const PULL_NOTED_EVERY_MS: TimestampMs = 24 * 3600 * 1000;

/// How a client names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSelector {
    Tag(ImageTag),
    Digest(Digest),
    /// Both, which must agree.
    TagAndDigest(ImageTag, Digest),
}

/// A manifest on its way in.
#[derive(Clone, Debug)]
pub struct PutImage<'a> {
    pub body: &'a [u8],
    /// The request's word for the kind; without it the manifest's own `mediaType` decides.
    pub media_type: Option<&'a str>,
    pub tag: Option<&'a ImageTag>,
    /// The digest that the client computed; `None`: SHA-256 of the body.
    pub digest: Option<&'a Digest>,
}

/// What became of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: MediaType,
    /// The image that this one is about (a signature, an SBOM).
    pub subject: Option<Digest>,
    /// The image with this tag was there already and nothing changed.
    pub repeated: bool,
}

/// A manifest as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub digest: Digest,
    pub media_type: MediaType,
    pub body: Vec<u8>,
}

/// One name of an image that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedImage {
    pub digest: Digest,
    pub tag: Option<ImageTag>,
}

/// Where the images of an index may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    AllHere,
    /// In the registry that it came from.
    Elsewhere,
}

impl Registry {
    /// Stores a manifest and moves the tag to it.
    /// Errors: `RepositoryNotFound`, `ManifestInvalid`, `ManifestDigestMismatch`, `LayersNotFound`,
    /// `ReferencedImagesNotFound`, `TagImmutable`, `LimitExceeded`.
    pub fn put_image(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        put: &PutImage<'_>,
        now_ms: TimestampMs,
    ) -> Result<StoredManifest, RegistryError> {
        self.store_image((scope, name), put, now_ms, Children::AllHere)
    }

    /// The same of an image that another registry has, of which an index comes without its images: those that are asked for
    /// come later. Errors: as of [`put_image`](Self::put_image), but for `ReferencedImagesNotFound`.
    pub fn import_image(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        put: &PutImage<'_>,
        now_ms: TimestampMs,
    ) -> Result<StoredManifest, RegistryError> {
        self.store_image((scope, name), put, now_ms, Children::Elsewhere)
    }

    fn store_image(
        &self,
        (scope, name): (&Scope, &RepositoryName),
        put: &PutImage<'_>,
        now_ms: TimestampMs,
        children: Children,
    ) -> Result<StoredManifest, RegistryError> {
        let manifest =
            Manifest::parse(put.media_type, put.body).map_err(RegistryError::ManifestInvalid)?;
        let algorithm = put.digest.map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = Digest::of(algorithm, put.body);
        if let Some(given) = put.digest.filter(|given| **given != digest) {
            return Err(RegistryError::ManifestDigestMismatch {
                given: given.clone(),
                actual: digest,
            });
        }
        let repeated = self.metadata.write(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let repeated = self.check_tag(transaction, repository, put, &digest)?;
            let image_bytes = check_references(transaction, repository, &manifest, children)?;
            if !repeated {
                let body = put.body;
                self.insert(
                    transaction,
                    repository,
                    &manifest,
                    &digest,
                    body,
                    image_bytes,
                    now_ms,
                )?;
                self.move_tag(transaction, repository, put.tag, &digest)?;
            }
            Ok(repeated)
        })?;
        let (media_type, subject) = (manifest.media_type, manifest.subject);
        Ok(StoredManifest { digest, media_type, subject, repeated })
    }

    /// Errors: `RepositoryNotFound`, `ImageNotFound`, `TagDoesNotMatchDigest`.
    pub fn image(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        selector: &ImageSelector,
    ) -> Result<Image, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let digest = resolve(transaction, repository, selector)?;
            let (media_type, body): (String, Vec<u8>) = transaction
                .prepare_cached(
                    "SELECT media_type, body FROM manifest WHERE repository = ?1 AND digest = ?2",
                )?
                .query_row(params![repository.0, digest.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let media_type = known_media_type(&media_type)?;
            Ok(Image { digest, media_type, body })
        })
    }

    /// Notes that an image was pulled, at most once a day. Errors: `RepositoryNotFound`.
    pub fn note_pull(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        digest: &Digest,
        now_ms: TimestampMs,
    ) -> Result<(), RegistryError> {
        let before_ms = now_ms - PULL_NOTED_EVERY_MS;
        let repository = self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let stale: Option<i64> = transaction
                .prepare_cached(
                    "SELECT 1 FROM manifest WHERE repository = ?1 AND digest = ?2
                     AND coalesce(pulled_at_ms, 0) <= ?3",
                )?
                .query_row(params![repository.0, digest.to_string(), before_ms], |row| row.get(0))
                .optional()?;
            Ok(stale.map(|_| repository))
        })?;
        let Some(repository) = repository else { return Ok(()) };
        self.metadata.write(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE manifest SET pulled_at_ms = ?3 WHERE repository = ?1 AND digest = ?2",
                )?
                .execute(params![repository.0, digest.to_string(), now_ms])?;
            Ok(())
        })
    }

    /// Takes a tag off its image, which stays. Errors: `RepositoryNotFound`, `ImageNotFound`.
    pub fn delete_tag(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        tag: &ImageTag,
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            match remove_tag(transaction, repository, tag)? {
                0 => Err(RegistryError::ImageNotFound(tag.to_string())),
                _ => Ok(()),
            }
        })
    }

    /// Deletes as ECR's `BatchDeleteImage` does: by tag, the tag goes, and the image with its last one;
    /// by digest, the image goes with all its tags. Returns every name that went.
    /// Errors: `RepositoryNotFound`, `ImageNotFound`, `TagDoesNotMatchDigest`, `ReferencedByManifestList`.
    pub fn delete_image(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        selector: &ImageSelector,
    ) -> Result<Vec<DeletedImage>, RegistryError> {
        self.metadata.write(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let digest = resolve(transaction, repository, selector)?;
            let tags = tags_of(transaction, repository, &digest)?;
            if let (ImageSelector::Tag(tag) | ImageSelector::TagAndDigest(tag, _), true) =
                (selector, tags.len() > 1)
            {
                remove_tag(transaction, repository, tag)?;
                return Ok(vec![DeletedImage { digest, tag: Some(tag.clone()) }]);
            }
            refuse_if_listed(transaction, repository, &digest)?;
            transaction.execute(
                "DELETE FROM manifest WHERE repository = ?1 AND digest = ?2",
                params![repository.0, digest.to_string()],
            )?;
            let named = |tag| DeletedImage { digest: digest.clone(), tag };
            match tags.is_empty() {
                true => Ok(vec![named(None)]),
                false => Ok(tags.into_iter().map(|tag| named(Some(tag))).collect()),
            }
        })
    }

    /// May the tag be put on this image? True if it is on it already.
    fn check_tag(
        &self,
        transaction: &Transaction<'_>,
        repository: RepositoryId,
        put: &PutImage<'_>,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let Some(tag) = put.tag else {
            return manifest_exists(transaction, repository, digest);
        };
        let current = find_tag(transaction, repository, tag)?;
        if current.as_ref() == Some(digest) {
            return Ok(true);
        }
        let settings = read_repository(transaction, repository)?;
        if current.is_some() && !settings.tag_mutability.allows_overwriting(tag.as_str()) {
            let (tag, name) = (tag.clone(), settings.name);
            return Err(RegistryError::TagImmutable { tag, name });
        }
        Ok(false)
    }

    #[expect(clippy::too_many_arguments, reason = "one row of one table")]
    fn insert(
        &self,
        transaction: &Transaction<'_>,
        repository: RepositoryId,
        manifest: &Manifest,
        digest: &Digest,
        body: &[u8],
        image_bytes: u64,
        now_ms: TimestampMs,
    ) -> Result<(), RegistryError> {
        if manifest_exists(transaction, repository, digest)? {
            return Ok(());
        }
        let images: u64 = transaction
            .prepare_cached("SELECT count(*) FROM manifest WHERE repository = ?1")?
            .query_row([repository.0], |row| row.get(0))?;
        if images >= self.limits.images_per_repository_max {
            let max = self.limits.images_per_repository_max;
            return Err(RegistryError::LimitExceeded { what: "images in a repository", max });
        }
        transaction
            .prepare_cached(
                "INSERT INTO manifest (repository, digest, media_type, artifact_type, config_type, subject,
                 annotations, image_bytes, pushed_at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                repository.0,
                digest.to_string(),
                manifest.media_type.as_str(),
                manifest.referrer_type(),
                manifest.config_type,
                manifest.subject.as_ref().map(Digest::to_string),
                manifest.annotations.as_ref().map(serde_json::Value::to_string),
                image_bytes,
                now_ms,
                body,
            ])?;
        let mut reference = transaction.prepare_cached(
            "INSERT OR IGNORE INTO manifest_reference (repository, manifest, kind, digest)
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        let blobs = manifest.blobs.iter().map(|blob| ("blob", blob));
        for (kind, target) in
            blobs.chain(manifest.manifests.iter().map(|child| ("manifest", child)))
        {
            reference.execute(params![
                repository.0,
                digest.to_string(),
                kind,
                target.to_string()
            ])?;
        }
        Ok(())
    }

    fn move_tag(
        &self,
        transaction: &Transaction<'_>,
        repository: RepositoryId,
        tag: Option<&ImageTag>,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let Some(tag) = tag else { return Ok(()) };
        if tags_of(transaction, repository, digest)?.len() as u64 >= self.limits.tags_per_image_max
        {
            let max = self.limits.tags_per_image_max;
            return Err(RegistryError::LimitExceeded { what: "tags of an image", max });
        }
        transaction
            .prepare_cached(
                "INSERT INTO tag (repository, name, digest) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET digest = excluded.digest",
            )?
            .execute(params![repository.0, tag.as_str(), digest.to_string()])?;
        Ok(())
    }
}

/// Everything that the manifest refers to must be in the repository. Returns the size that ECR states:
/// the blobs of an image, and for an index the largest of its images.
fn check_references(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Manifest,
    children: Children,
) -> Result<u64, RegistryError> {
    let mut missing = Vec::new();
    let mut size_bytes: u64 = 0;
    for digest in manifest.blobs.iter().collect::<BTreeSet<_>>() {
        match find_blob(transaction, repository, digest) {
            Ok((blob, _)) => size_bytes = size_bytes.saturating_add(blob.size_bytes),
            Err(RegistryError::BlobNotFound(digest)) => missing.push(digest),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        return Err(RegistryError::LayersNotFound(missing));
    }
    let mut statement = transaction
        .prepare_cached("SELECT image_bytes FROM manifest WHERE repository = ?1 AND digest = ?2")?;
    for digest in &manifest.manifests {
        let found: Option<u64> = statement
            .query_row(params![repository.0, digest.to_string()], |row| row.get(0))
            .optional()?;
        match found {
            Some(image_bytes) => size_bytes = size_bytes.max(image_bytes),
            None if children == Children::Elsewhere => {}
            None => missing.push(digest.clone()),
        }
    }
    if missing.is_empty() {
        Ok(size_bytes)
    } else {
        Err(RegistryError::ReferencedImagesNotFound(missing))
    }
}

/// Finds the digest behind a selector.
pub(crate) fn resolve(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    selector: &ImageSelector,
) -> Result<Digest, RegistryError> {
    match selector {
        ImageSelector::Tag(tag) => find_tag(transaction, repository, tag)?
            .ok_or_else(|| RegistryError::ImageNotFound(tag.to_string())),
        ImageSelector::Digest(digest) => {
            if manifest_exists(transaction, repository, digest)? {
                Ok(digest.clone())
            } else {
                Err(RegistryError::ImageNotFound(digest.to_string()))
            }
        }
        ImageSelector::TagAndDigest(tag, digest) => match find_tag(transaction, repository, tag)? {
            Some(found) if found == *digest => Ok(found),
            Some(_) => Err(RegistryError::TagDoesNotMatchDigest),
            None => Err(RegistryError::ImageNotFound(tag.to_string())),
        },
    }
}

fn find_tag(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    tag: &ImageTag,
) -> Result<Option<Digest>, RegistryError> {
    Ok(transaction
        .prepare_cached("SELECT digest FROM tag WHERE repository = ?1 AND name = ?2")?
        .query_row(params![repository.0, tag.as_str()], |row| digest_of(row, 0))
        .optional()?)
}

fn remove_tag(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    tag: &ImageTag,
) -> Result<usize, RegistryError> {
    Ok(transaction
        .prepare_cached("DELETE FROM tag WHERE repository = ?1 AND name = ?2")?
        .execute(params![repository.0, tag.as_str()])?)
}

/// The tags of an image in the order of their names.
pub(crate) fn tags_of(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Vec<ImageTag>, RegistryError> {
    let mut statement = transaction.prepare_cached(
        "SELECT name FROM tag WHERE repository = ?1 AND digest = ?2 ORDER BY name",
    )?;
    let tags =
        statement.query_map(params![repository.0, digest.to_string()], |row| tag_of(row, 0))?;
    Ok(tags.collect::<Result<_, _>>()?)
}

pub(crate) fn tag_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<ImageTag> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| crate::repository::unreadable(column, error))
}

fn manifest_exists(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, RegistryError> {
    let found: Option<i64> = transaction
        .prepare_cached("SELECT 1 FROM manifest WHERE repository = ?1 AND digest = ?2")?
        .query_row(params![repository.0, digest.to_string()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

fn refuse_if_listed(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<(), RegistryError> {
    let list: Option<Digest> = transaction
        .prepare_cached(
            "SELECT manifest FROM manifest_reference
             WHERE repository = ?1 AND kind = 'manifest' AND digest = ?2 LIMIT 1",
        )?
        .query_row(params![repository.0, digest.to_string()], |row| digest_of(row, 0))
        .optional()?;
    list.map_or(Ok(()), |list| Err(RegistryError::ReferencedByManifestList(list)))
}

pub(crate) fn known_media_type(text: &str) -> Result<MediaType, RegistryError> {
    MediaType::parse(text)
        .ok_or_else(|| RegistryError::ManifestInvalid(format!("media type {text:?}")))
}
