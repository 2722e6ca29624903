//! Lists of images, tags and referrers, each in a fixed order and a page at a time.

use outport_model::{Scope, TimestampMs};
use rusqlite::{Row, Transaction, params};
use serde_json::Value;

use crate::garbage::digest_of;
use crate::image::{known_media_type, resolve, tag_of, tags_of};
use crate::registry::{RepositoryId, find_repository};
use crate::{Digest, ImageSelector, ImageTag, MediaType, Registry, RegistryError, RepositoryName};

/// Which images a list has. Source: ECR's `tagStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagStatus {
    #[default]
    Any,
    Tagged,
    Untagged,
}

/// Where a page of images ended: the next one starts behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePosition {
    pub digest: Digest,
    pub tag: Option<ImageTag>,
}

/// One name of an image: an image with three tags is listed three times, one without tags once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    pub digest: Digest,
    pub tag: Option<ImageTag>,
}

/// An image as ECR describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageDetail {
    pub digest: Digest,
    pub tags: Vec<ImageTag>,
    pub media_type: MediaType,
    /// `artifactType`, or the media type of the config.
    pub artifact_type: Option<String>,
    pub config_type: Option<String>,
    pub subject: Option<Digest>,
    pub annotations: Option<Value>,
    /// The blobs of the image; for an index those of its largest image.
    pub image_bytes: u64,
    pub manifest_bytes: u64,
    pub pushed_at_ms: TimestampMs,
    pub pulled_at_ms: Option<TimestampMs>,
}

impl Registry {
    /// Names of images in the order of digest and tag. Errors: `RepositoryNotFound`.
    pub fn list_images(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        status: TagStatus,
        after: Option<&ImagePosition>,
        count_max: usize,
    ) -> Result<Vec<ListedImage>, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT manifest.digest, tag.name FROM manifest
                 LEFT JOIN tag ON tag.repository = manifest.repository AND tag.digest = manifest.digest
                 WHERE manifest.repository = ?1 AND {}
                   AND (manifest.digest, coalesce(tag.name, '')) > (?2, ?3)
                 ORDER BY manifest.digest, tag.name LIMIT ?4",
                condition(status)
            ))?;
            let (digest, tag) = position(after);
            let rows = statement.query_map(params![repository.0, digest, tag, count_max], |row| {
                let tag = row.get::<_, Option<String>>(1)?.map(|_| tag_of(row, 1)).transpose()?;
                Ok(ListedImage { digest: digest_of(row, 0)?, tag })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Images in the order of their digests. Errors: `RepositoryNotFound`.
    pub fn describe_images(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        status: TagStatus,
        after: Option<&Digest>,
        count_max: usize,
    ) -> Result<Vec<ImageDetail>, RegistryError> {
        let tagged = "EXISTS (SELECT 1 FROM tag WHERE tag.repository = manifest.repository
                      AND tag.digest = manifest.digest)";
        let condition = match status {
            TagStatus::Any => "true".to_owned(),
            TagStatus::Tagged => tagged.to_owned(),
            TagStatus::Untagged => format!("NOT {tagged}"),
        };
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let after = after.map(Digest::to_string).unwrap_or_default();
            let query = format!(
                "SELECT {COLUMNS} FROM manifest WHERE repository = ?1 AND digest > ?2 AND {condition}
                 ORDER BY digest LIMIT ?3"
            );
            let parameters = params![repository.0, after, count_max];
            details(transaction, repository, &query, parameters)
        })
    }

    /// One image. Errors: `RepositoryNotFound`, `ImageNotFound`, `TagDoesNotMatchDigest`.
    pub fn describe_image(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        selector: &ImageSelector,
    ) -> Result<ImageDetail, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let digest = resolve(transaction, repository, selector)?;
            let query =
                format!("SELECT {COLUMNS} FROM manifest WHERE repository = ?1 AND digest = ?2");
            let parameters = params![repository.0, digest.to_string()];
            let found = details(transaction, repository, &query, parameters)?.pop();
            found.ok_or_else(|| RegistryError::ImageNotFound(digest.to_string()))
        })
    }

    /// Images whose subject is the given one, which need not exist, in the order of their digests.
    /// Errors: `RepositoryNotFound`.
    pub fn referrers(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        count_max: usize,
    ) -> Result<Vec<ImageDetail>, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let after = after.map(Digest::to_string).unwrap_or_default();
            let query = format!(
                "SELECT {COLUMNS} FROM manifest WHERE repository = ?1 AND digest > ?2 AND subject = ?4
                   AND (?5 IS NULL OR artifact_type = ?5) ORDER BY digest LIMIT ?3"
            );
            let parameters =
                params![repository.0, after, count_max, subject.to_string(), artifact_type];
            details(transaction, repository, &query, parameters)
        })
    }

    /// Tags in the order of their names, after a name. Errors: `RepositoryNotFound`.
    pub fn list_tags(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<ImageTag>, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let mut statement = transaction.prepare_cached(
                "SELECT name FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
            )?;
            let tags = statement
                .query_map(params![repository.0, after, count_max], |row| tag_of(row, 0))?;
            Ok(tags.collect::<Result<_, _>>()?)
        })
    }
}

const COLUMNS: &str = "digest, media_type, artifact_type, config_type, subject, annotations,
    image_bytes, length(body), pushed_at_ms, pulled_at_ms";

fn details(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    query: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<ImageDetail>, RegistryError> {
    let mut statement = transaction.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut detail = detail(row)?;
        detail.tags = tags_of(transaction, repository, &detail.digest)?;
        found.push(detail);
    }
    Ok(found)
}

fn detail(row: &Row<'_>) -> Result<ImageDetail, RegistryError> {
    let subject = row.get::<_, Option<String>>(4)?.map(|_| digest_of(row, 4)).transpose()?;
    let annotations: Option<String> = row.get(5)?;
    let annotations = annotations
        .map(|text| {
            serde_json::from_str(&text).map_err(|error| crate::repository::unreadable(5, error))
        })
        .transpose()?;
    Ok(ImageDetail {
        digest: digest_of(row, 0)?,
        tags: Vec::new(),
        media_type: known_media_type(&row.get::<_, String>(1)?)?,
        artifact_type: row.get(2)?,
        config_type: row.get(3)?,
        subject,
        annotations,
        image_bytes: row.get(6)?,
        manifest_bytes: row.get(7)?,
        pushed_at_ms: row.get(8)?,
        pulled_at_ms: row.get(9)?,
    })
}

fn condition(status: TagStatus) -> &'static str {
    match status {
        TagStatus::Any => "true",
        TagStatus::Tagged => "tag.name IS NOT NULL",
        TagStatus::Untagged => "tag.name IS NULL",
    }
}

fn position(after: Option<&ImagePosition>) -> (String, String) {
    let digest = after.map(|position| position.digest.to_string());
    let tag = after.and_then(|position| position.tag.as_ref()).map(ImageTag::to_string);
    (digest.unwrap_or_default(), tag.unwrap_or_default())
}
