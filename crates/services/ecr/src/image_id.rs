//! `imageIds`: a digest, a tag, or both.

use outport_aws_ecr::{ImageFailure, ImageFailureCode, ImageIdentifier};
use outport_image_registry::{ImageSelector, RegistryError};

/// Why one image of a batch could not be served.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ImageFailureCode,
    reason: String,
}

impl Failure {
    fn new(code: ImageFailureCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The registry's reason, if it is about this one image.
    pub(crate) fn of(error: RegistryError) -> Result<Self, RegistryError> {
        match error {
            RegistryError::ImageNotFound(_) => Ok(Self::not_found()),
            RegistryError::TagDoesNotMatchDigest => Ok(Self::new(
                ImageFailureCode::ImageTagDoesNotMatchDigest,
                "Requested image tag does not match image digest",
            )),
            RegistryError::ReferencedByManifestList(list) => Ok(Self::new(
                ImageFailureCode::ImageReferencedByManifestList,
                format!("Requested image referenced by manifest list: [{list}]"),
            )),
            other => Err(other),
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(ImageFailureCode::ImageNotFound, "Requested image not found")
    }

    pub(crate) fn not_accepted(media_type: &str) -> Self {
        let reason =
            format!("Requested image has the media type '{media_type}', which is not accepted");
        Self::new(ImageFailureCode::ImageNotFound, reason)
    }

    pub(crate) fn about(self, id: &ImageIdentifier) -> ImageFailure {
        ImageFailure {
            image_id: Some(id.clone()),
            failure_code: Some(self.code),
            failure_reason: Some(self.reason),
        }
    }
}

/// Reads an `imageId`.
pub(crate) fn selector(id: &ImageIdentifier) -> Result<ImageSelector, Failure> {
    let digest = id.image_digest.as_deref().map(|text| {
        text.parse().map_err(|_| {
            Failure::new(
                ImageFailureCode::InvalidImageDigest,
                "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
            )
        })
    });
    let tag = id.image_tag.as_deref().map(|text| {
        text.parse().map_err(|_| {
            Failure::new(
                ImageFailureCode::InvalidImageTag,
                "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9-_.]*'",
            )
        })
    });
    match (tag.transpose()?, digest.transpose()?) {
        (Some(tag), Some(digest)) => Ok(ImageSelector::TagAndDigest(tag, digest)),
        (Some(tag), None) => Ok(ImageSelector::Tag(tag)),
        (None, Some(digest)) => Ok(ImageSelector::Digest(digest)),
        (None, None) => Err(Failure::new(
            ImageFailureCode::MissingDigestAndTag,
            "Invalid request parameters: both tag and digest cannot be null",
        )),
    }
}

/// An image as ECR's texts name it: what was not given is `null`.
pub(crate) fn shown(id: &ImageIdentifier) -> String {
    let digest = id.image_digest.as_deref().unwrap_or("null");
    let tag = id.image_tag.as_deref().unwrap_or("null");
    format!("{{imageDigest:'{digest}', imageTag:'{tag}'}}")
}
