//! `DeleteAttributes`: takes attributes off container instances, by their names.

use outport_aws_ecs::{DeleteAttributesRequest, DeleteAttributesResponse};
use outport_identity::Call;
use outport_store::Tables;

use crate::{EcsService, Rejection, access, attribute, lookup, names};

pub async fn delete_attributes(
    service: &EcsService,
    call: &Call,
    input: DeleteAttributesRequest,
) -> Result<DeleteAttributesResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let asked = attribute::parse(&scope, &cluster, input.attributes)?;
    let ask =
        |tables: &Tables| attribute::ask(tables, "ecs:DeleteAttributes", &scope, &cluster, &asked);
    service
        .store
        .write_always(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let mut shown = Vec::new();
            for one in &asked {
                let mut row = attribute::target(tx, &scope, &cluster, &one.instance)?;
                let Some(index) = row.attributes.iter().position(|(name, _)| *name == one.name)
                else {
                    continue;
                };
                let (name, value) = row.attributes.remove(index);
                row.version += 1;
                shown.push(attribute::view(&row, &name, &value));
                tx.put(row);
            }
            Ok(DeleteAttributesResponse { attributes: Some(shown) })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn what_is_not_there_is_not_answered() {
        let world = World::with_node(1024, 1024);
        let listed = world.call("ListContainerInstances", json!({})).await;
        let input =
            json!({"attributes": [{"name": "a", "targetId": listed["containerInstanceArns"][0]}]});
        assert_eq!(world.call("DeleteAttributes", input).await, json!({"attributes": []}));
        let own = json!({"attributes": [{"name": "ecs.os-type", "targetId": listed["containerInstanceArns"][0]}]});
        let message = "Invalid attribute name 'ecs.os-type'.";
        world.refuses("DeleteAttributes", own, "InvalidParameterException", message).await;
    }
}
