//! What the registry keeps, as AWS shows it.

use outport_aws_ecr::{
    EncryptionConfiguration, EncryptionType, ImageDetail, ImageScanningConfiguration, ImageStatus,
    ImageTagMutability, ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType,
    Repository,
};
use outport_aws_wire::Timestamp;
use outport_image_registry as registry;
use outport_image_registry::{TagMutability, repository_arn};
use outport_model::Scope;

use crate::service::Target;

pub(crate) fn repository(
    scope: &Scope,
    registry_host: &str,
    repository: &registry::Repository,
) -> Repository {
    let scan_on_push = Some(repository.scan_on_push);
    let (encryption_type, kms_key) = (Some(EncryptionType::Aes256), None);
    Repository {
        repository_arn: Some(repository_arn(scope, &repository.name)),
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(repository.name.to_string()),
        repository_uri: Some(format!("{registry_host}/{}", repository.name)),
        created_at: Some(Timestamp::from_millis(repository.created_at_ms)),
        image_tag_mutability: tag_mutability(&repository.tag_mutability),
        image_tag_mutability_exclusion_filters: exclusion_filters(&repository.tag_mutability),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push }),
        encryption_configuration: Some(EncryptionConfiguration { encryption_type, kms_key }),
    }
}

pub(crate) fn tag_mutability(setting: &TagMutability) -> Option<ImageTagMutability> {
    ImageTagMutability::from_name(setting.as_str())
}

/// The filters, if there are some: AWS leaves the member out otherwise.
pub(crate) fn exclusion_filters(
    setting: &TagMutability,
) -> Option<Vec<ImageTagMutabilityExclusionFilter>> {
    let filters: Vec<_> = setting
        .exclusion_filters()
        .iter()
        .map(|filter| ImageTagMutabilityExclusionFilter {
            filter_type: Some(ImageTagMutabilityExclusionFilterType::Wildcard),
            filter: Some(filter.clone()),
        })
        .collect();
    (!filters.is_empty()).then_some(filters)
}

pub(crate) fn image_detail(target: &Target, image: &registry::ImageDetail) -> ImageDetail {
    let tags: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
    ImageDetail {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        image_digest: Some(image.digest.to_string()),
        image_tags: (!tags.is_empty()).then_some(tags),
        image_size_in_bytes: i64::try_from(image.image_bytes).ok(),
        image_pushed_at: Some(Timestamp::from_millis(image.pushed_at_ms)),
        image_manifest_media_type: Some(image.media_type.as_str().to_owned()),
        artifact_media_type: image.artifact_type.clone(),
        last_recorded_pull_time: image.pulled_at_ms.map(Timestamp::from_millis),
        subject_manifest_digest: image.subject.as_ref().map(ToString::to_string),
        image_status: Some(ImageStatus::Active),
        ..ImageDetail::default()
    }
}
