//! `DescribeImages`.

use outport_aws_ecr::{DescribeImagesRequest, DescribeImagesResponse, EcrError, ImageIdentifier};
use outport_identity::Call;
use outport_image_registry::RegistryError;

use crate::access::target;
use crate::image_id::{selector, shown};
use crate::operations::list_images::{is_shown, tag_status};
use crate::page::Page;
use crate::service::Target;
use crate::{EcrService, views};

pub(crate) async fn describe_images(
    service: &EcrService,
    call: &Call,
    input: DescribeImagesRequest,
) -> Result<DescribeImagesResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:DescribeImages", registry_id, name).await?;
    if let Some(ids) = input.image_ids {
        return by_id(&target, ids).await;
    }
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let after = page.position(|text| text.parse().ok())?;
    let filter = input.filter.unwrap_or_default();
    let status = tag_status(filter.tag_status);
    // A page of no images still says whether the repository exists.
    let count = if is_shown(filter.image_status) { page.items_max + 1 } else { 0 };
    let found = target
        .blocking(move |registry, target| {
            let found = registry.describe_images(
                &target.scope,
                &target.name,
                status,
                after.as_ref(),
                count,
            );
            found.map_err(|error| target.reject(error))
        })
        .await?;
    let (found, next_token) = page.cut(found, |last| last.digest.to_string());
    let details = found.iter().map(|image| views::image_detail(&target, image)).collect();
    Ok(DescribeImagesResponse { image_details: Some(details), next_token })
}

/// Each must exist: ECR answers for all or for none. An image that is named twice is described once.
pub(crate) async fn by_id(
    target: &Target,
    ids: Vec<ImageIdentifier>,
) -> Result<DescribeImagesResponse, EcrError> {
    let details = target
        .blocking(move |registry, target| {
            let mut found: Vec<outport_image_registry::ImageDetail> = Vec::new();
            for id in &ids {
                let selector = selector(id).map_err(|_| not_found(target, id))?;
                let image = registry.describe_image(&target.scope, &target.name, &selector);
                let image = image.map_err(|error| match error {
                    RegistryError::ImageNotFound(_) | RegistryError::TagDoesNotMatchDigest => {
                        not_found(target, id)
                    }
                    other => target.reject(other),
                })?;
                if !found.iter().any(|known| known.digest == image.digest) {
                    found.push(image);
                }
            }
            Ok(found.iter().map(|image| views::image_detail(target, image)).collect())
        })
        .await?;
    Ok(DescribeImagesResponse { image_details: Some(details), next_token: None })
}

/// Source of the text: ECR.
fn not_found(target: &Target, id: &ImageIdentifier) -> EcrError {
    EcrError::image_not_found_exception(format!(
        "The image with imageId {} does not exist within the {}",
        shown(id),
        target.place()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, NOW_MS, tagged};

    fn request(ids: Option<Vec<ImageIdentifier>>) -> DescribeImagesRequest {
        DescribeImagesRequest {
            repository_name: Some("app".into()),
            image_ids: ids,
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn images_are_described_with_their_tags_and_sizes() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let digest = fixture.push("app", "1", b"layer").await;
        fixture.push("app", "2", b"layer").await;
        for ids in [None, Some(vec![tagged("1"), tagged("2")])] {
            let answer = describe_images(&fixture.service, &fixture.call, request(ids)).await;
            let details = answer.expect("images").image_details.expect("a list");
            assert_eq!(details.len(), 1);
            assert_eq!(details[0].image_digest.as_deref(), Some(digest.as_str()));
            assert_eq!(details[0].image_tags, Some(vec!["1".to_owned(), "2".to_owned()]));
            assert_eq!(details[0].image_size_in_bytes, Some(7), "config and layer");
            assert_eq!(details[0].image_pushed_at.map(|time| time.as_millis()), Some(NOW_MS));
        }
        let missing = request(Some(vec![tagged("1"), tagged("3")]));
        let refused = describe_images(&fixture.service, &fixture.call, missing).await;
        let expected = "The image with imageId {imageDigest:'null', imageTag:'3'} does not exist within the repository with name 'app' in the registry with id '000000000000'";
        assert_eq!(refused, Err(EcrError::image_not_found_exception(expected)));
    }
}
