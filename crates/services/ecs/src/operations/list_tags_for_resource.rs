//! `ListTagsForResource`: the tags of a cluster, service, task, task definition or container instance.

use outport_aws_ecs::{ListTagsForResourceRequest, ListTagsForResourceResponse};
use outport_identity::Call;
use outport_store::Tables;

use crate::resource::Resource;
use crate::{EcsService, Rejection, access, tags};

pub async fn list_tags_for_resource(
    service: &EcsService,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Rejection> {
    let scope = access::scope(call);
    let arn = input.resource_arn.unwrap_or_default();
    let resource = Resource::parse(&scope, &arn)?;
    let ask = |tables: &Tables| resource.question(tables, "ecs:ListTagsForResource").into();
    let (tables, ()) = service.store.read(call, ask)?;
    let tags = resource.tags(&tables)?;
    Ok(ListTagsForResourceResponse { tags: Some(tags::view(&tags)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_task_has_its_tags() {
        let world = World::with_node(2048, 4096);
        let arn = world.run("app").await;
        world.check("ListTagsForResource", json!({"resourceArn": arn}), json!({"tags": []})).await;
    }
}
