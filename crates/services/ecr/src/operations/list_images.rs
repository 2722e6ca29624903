//! `ListImages`.

use outport_aws_ecr::{
    EcrError, ImageIdentifier, ImageStatusFilter, ListImagesRequest, ListImagesResponse, TagStatus,
};
use outport_identity::Call;
use outport_image_registry as registry;
use outport_image_registry::ImagePosition;

use crate::EcrService;
use crate::access::target;
use crate::page::Page;

pub(crate) async fn list_images(
    service: &EcrService,
    call: &Call,
    input: ListImagesRequest,
) -> Result<ListImagesResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:ListImages", registry_id, name).await?;
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let after = page.position(read_position)?;
    let filter = input.filter.unwrap_or_default();
    let status = tag_status(filter.tag_status);
    // A page of no images still says whether the repository exists.
    let count = if is_shown(filter.image_status) { page.items_max + 1 } else { 0 };
    let found = target
        .blocking(move |registry, target| {
            let found =
                registry.list_images(&target.scope, &target.name, status, after.as_ref(), count);
            found.map_err(|error| target.reject(error))
        })
        .await?;
    let (found, next_token) = page.cut(found, write_position);
    let ids = found.into_iter().map(|image| ImageIdentifier {
        image_digest: Some(image.digest.to_string()),
        image_tag: image.tag.map(|tag| tag.to_string()),
    });
    Ok(ListImagesResponse { image_ids: Some(ids.collect()), next_token })
}

pub(crate) fn tag_status(status: Option<TagStatus>) -> registry::TagStatus {
    match status {
        None | Some(TagStatus::Any) => registry::TagStatus::Any,
        Some(TagStatus::Tagged) => registry::TagStatus::Tagged,
        Some(TagStatus::Untagged) => registry::TagStatus::Untagged,
    }
}

/// Every image is active: nothing is archived here.
pub(crate) fn is_shown(status: Option<ImageStatusFilter>) -> bool {
    matches!(status, None | Some(ImageStatusFilter::Any | ImageStatusFilter::Active))
}

fn write_position(last: &registry::ListedImage) -> String {
    let tag = last.tag.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} {tag}", last.digest)
}

fn read_position(text: &str) -> Option<ImagePosition> {
    let (digest, tag) = text.split_once(' ')?;
    let tag = if tag.is_empty() { None } else { Some(tag.parse().ok()?) };
    Some(ImagePosition { digest: digest.parse().ok()?, tag })
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::ListImagesFilter;

    use super::*;
    use crate::testing::Fixture;

    async fn check(fixture: &Fixture, status: TagStatus, expected: &[&str]) {
        let filter = ListImagesFilter { tag_status: Some(status), image_status: None };
        let mut input = ListImagesRequest {
            repository_name: Some("app".into()),
            filter: Some(filter),
            max_results: Some(2),
            ..Default::default()
        };
        let mut tags = Vec::new();
        loop {
            let answer = list_images(&fixture.service, &fixture.call, input.clone()).await;
            let answer = answer.expect("a page");
            let page = answer.image_ids.expect("a list");
            assert!(page.len() <= 2);
            tags.extend(page.into_iter().map(|id| id.image_tag.unwrap_or_else(|| "-".into())));
            input.next_token = answer.next_token;
            if input.next_token.is_none() {
                break;
            }
        }
        tags.sort();
        assert_eq!(tags, expected, "{status}");
    }

    #[tokio::test]
    async fn an_image_is_listed_once_for_each_tag() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        fixture.push("app", "moved", b"first").await;
        fixture.push("app", "moved", b"second").await;
        fixture.push("app", "a", b"second").await;
        fixture.push("app", "b", b"third").await;
        check(&fixture, TagStatus::Any, &["-", "a", "b", "moved"]).await;
        check(&fixture, TagStatus::Tagged, &["a", "b", "moved"]).await;
        check(&fixture, TagStatus::Untagged, &["-"]).await;
    }
}
