//! `ListAttributes`: the attributes of a cluster's container instances, also those that nodes bring themselves.

use std::ops::Bound;

use outport_aws_ecs::{ListAttributesRequest, ListAttributesResponse};
use outport_identity::Call;
use outport_model::ContainerInstanceId;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_store::Tables;
use outport_store::keys::ClusterKey;

use crate::page::{self, PageRequest};
use crate::resource::Resource;
use crate::{EcsService, Rejection, access, attribute, lookup, names};

const PAGE_MAX: usize = 100;

pub async fn list_attributes(
    service: &EcsService,
    call: &Call,
    input: ListAttributesRequest,
) -> Result<ListAttributesResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let resource = Resource::cluster(&scope, &cluster);
    let ask = |tables: &Tables| resource.question(tables, "ecs:ListAttributes").into();
    let (tables, ()) = service.store.read(call, ask)?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, value) = (given(input.attribute_name), given(input.attribute_value));
    let key = ClusterKey::new(&scope, cluster);
    // The instance of the last item may have more of them.
    let instance = |key: &str| Some(ContainerInstanceId::new(key.split_once('\u{0}')?.0));
    let start = match request.start(ContainerInstanceId::new(""), instance) {
        Some(Bound::Excluded(id)) => Bound::Included(id),
        other => other.ok_or_else(page::invalid_token)?,
    };
    let rows = tables.container_instances.in_cluster(&key).range((start, Bound::Unbounded));
    let rows = rows.map(|(_, row)| row);
    let listed =
        rows.filter(|row| row.status != ContainerInstanceStatus::Inactive).flat_map(|row| {
            row.attributes
                .iter()
                .filter(|(known, _)| name.as_ref().is_none_or(|name| name == known))
                .filter(|(_, known)| value.as_ref().is_none_or(|value| value == known))
                .map(|(name, value)| {
                    (format!("{}\u{0}{name}", row.id), attribute::view(row, name, value))
                })
        });
    let page = request.take(listed);
    Ok(ListAttributesResponse { attributes: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        world
            .refuses("ListAttributes", json!({}), "ClientException", "TargetType can not be blank.")
            .await;
        let input = json!({"targetType": "task"});
        let message = "target type should be one of [container-instance]";
        world.refuses("ListAttributes", input, "InvalidParameterException", message).await;
        let input = json!({"targetType": "container-instance", "cluster": "none"});
        world
            .refuses("ListAttributes", input, "ClusterNotFoundException", "Cluster not found.")
            .await;
    }
}
