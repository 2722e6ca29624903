//! Tags of keys.

use outport_aws_kms::{
    ListResourceTagsRequest, ListResourceTagsResponse, TagResourceRequest, UntagResourceRequest,
};
use outport_identity::Call;
use outport_store::Tables;

use crate::look::Named;
use crate::operations::keys::change_own;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{KmsService, tags};

/// Source: API reference, ListResourceTags, Limit.
const TAGS_PER_PAGE: usize = 50;

pub async fn tag_resource(
    service: &KmsService,
    call: &Call,
    input: TagResourceRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let given = tags::parse(input.tags)?;
    let look =
        |tables: &Tables| named.look_at_own(tables, "kms:TagResource").with_request_tags(&given);
    change_own(service, call, &named, look, |_, key| tags::add(&mut key.tags, given.clone())).await
}

pub async fn untag_resource(
    service: &KmsService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let tag_keys = input.tag_keys.unwrap_or_default();
    let look = |tables: &Tables| {
        named.look_at_own(tables, "kms:UntagResource").with("aws:TagKeys", tag_keys.clone())
    };
    change_own(service, call, &named, look, |_, key| {
        key.tags.retain(|tag, _| !tag_keys.contains(tag));
        Ok(())
    })
    .await
}

pub async fn list_resource_tags(
    service: &KmsService,
    call: &Call,
    input: ListResourceTagsRequest,
) -> Result<ListResourceTagsResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let page = PageRequest::parse(input.limit, TAGS_PER_PAGE, input.marker.as_deref())?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:ListResourceTags");
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    let page = page.take(key.tags.iter().map(|tag| (tag.0.clone(), tags::view(tag))));
    Ok(ListResourceTagsResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        tags: Some(page.items),
    })
}
