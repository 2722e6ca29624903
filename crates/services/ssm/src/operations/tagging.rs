//! Tags of parameters. Other resources of Systems Manager are not there.

use outport_aws_ssm::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest,
    ListTagsForResourceResult, RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult,
    ResourceTypeForTagging,
};
use std::sync::Arc;

use outport_identity::Call;
use outport_model::Scope;
use outport_model::parameter::Parameter;
use outport_store::Tables;

use crate::look::look;
use crate::names::{Reference, scope};
use crate::rejection::{Reason, Rejection};
use crate::{SsmService, tags};

fn reference(
    scope: &Scope,
    kind: Option<ResourceTypeForTagging>,
    id: Option<String>,
) -> Result<Reference, Rejection> {
    match kind {
        Some(ResourceTypeForTagging::Parameter) => Reference::parse(scope, &id.unwrap_or_default()),
        _ => Err(Rejection::not_built("A ResourceType other than Parameter")),
    }
}

fn there(found: Option<Arc<Parameter>>) -> Result<Arc<Parameter>, Rejection> {
    found.ok_or_else(|| {
        let text =
            "The resource ID is not valid. Verify that you entered the correct ID and try again.";
        Rejection::new(Reason::InvalidResourceId, text)
    })
}

pub async fn add_tags_to_resource(
    service: &SsmService,
    call: &Call,
    input: AddTagsToResourceRequest,
) -> Result<AddTagsToResourceResult, Rejection> {
    let scope = scope(call);
    let reference = reference(&scope, input.resource_type, input.resource_id)?;
    let given = tags::parse(input.tags)?;
    let ask = |tables: &Tables| {
        look(tables, &scope, &reference, "ssm:AddTagsToResource").with_request_tags(&given)
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut parameter = Parameter::clone(&*there(found)?);
            tags::add(&mut parameter.tags, given.clone())?;
            tx.put(parameter);
            Ok(AddTagsToResourceResult::default())
        })
        .await
}

pub async fn remove_tags_from_resource(
    service: &SsmService,
    call: &Call,
    input: RemoveTagsFromResourceRequest,
) -> Result<RemoveTagsFromResourceResult, Rejection> {
    let scope = scope(call);
    let reference = reference(&scope, input.resource_type, input.resource_id)?;
    let keys = input.tag_keys.unwrap_or_default();
    let ask = |tables: &Tables| {
        look(tables, &scope, &reference, "ssm:RemoveTagsFromResource")
            .with("aws:TagKeys", keys.clone())
    };
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut parameter = Parameter::clone(&*there(found)?);
            parameter.tags.retain(|key, _| !keys.contains(key));
            tx.put(parameter);
            Ok(RemoveTagsFromResourceResult::default())
        })
        .await
}

pub async fn list_tags_for_resource(
    service: &SsmService,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResult, Rejection> {
    let scope = scope(call);
    let reference = reference(&scope, input.resource_type, input.resource_id)?;
    let (_, found) = service
        .store
        .read(call, |tables| look(tables, &scope, &reference, "ssm:ListTagsForResource"))?;
    Ok(ListTagsForResourceResult { tag_list: Some(tags::view(&there(found)?.tags)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn tags_come_and_go() {
        let world = World::full().await;
        let of = |more: serde_json::Value| {
            let mut input = json!({"ResourceType": "Parameter", "ResourceId": "/prod/db"});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
        world.call("AddTagsToResource", of(json!({"Tags": [tag("k", "v")]}))).await;
        let both = json!({"TagList": [tag("k", "v"), tag("team", "red")]});
        world.check("ListTagsForResource", of(json!({})), both).await;
        world.call("RemoveTagsFromResource", of(json!({"TagKeys": ["team", "none"]}))).await;
        world
            .check("ListTagsForResource", of(json!({})), json!({"TagList": [tag("k", "v")]}))
            .await;
        let text =
            "The resource ID is not valid. Verify that you entered the correct ID and try again.";
        let none = of(json!({"ResourceId": "none"}));
        world.refuses("ListTagsForResource", none, "InvalidResourceId", text).await;
        let (_, answer) =
            world.reply("ListTagsForResource", &of(json!({"ResourceType": "Document"}))).await;
        assert_eq!(answer["__type"], "NotImplemented");
    }
}
