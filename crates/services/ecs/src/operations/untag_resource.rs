//! `UntagResource`: removes tags by their keys; a key that is not there is no error.

use outport_aws_ecs::{UntagResourceRequest, UntagResourceResponse};
use outport_identity::Call;
use outport_store::Tables;

use crate::resource::Resource;
use crate::{EcsService, Rejection, access, tags};

pub async fn untag_resource(
    service: &EcsService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, Rejection> {
    let scope = access::scope(call);
    let arn = input.resource_arn.unwrap_or_default();
    let resource = Resource::parse(&scope, &arn)?;
    let keys = input.tag_keys.unwrap_or_default();
    if keys.iter().any(|key| tags::is_reserved(key)) {
        return Err(Rejection::invalid_parameter("Tags that AWS manages cannot be removed."));
    }
    let ask = |tables: &Tables| {
        resource.question(tables, "ecs:UntagResource").with("aws:TagKeys", keys.clone()).into()
    };
    service
        .store
        .write_always(call, ask, |tx, ()| {
            let mut all = resource.tags(tx)?;
            all.retain(|key, _| !keys.contains(key));
            resource.set_tags(tx, all)?;
            Ok(UntagResourceResponse::default())
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn managed_tags_stay() {
        let world = World::new();
        let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
        let input = json!({"resourceArn": arn, "tagKeys": ["aws:ecs:clusterName"]});
        let message = "Tags that AWS manages cannot be removed.";
        world.refuses("UntagResource", input, "InvalidParameterException", message).await;
    }
}
