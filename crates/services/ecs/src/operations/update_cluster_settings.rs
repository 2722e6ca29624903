//! `UpdateClusterSettings`: the settings of a cluster.

use outport_aws_ecs::{UpdateClusterSettingsRequest, UpdateClusterSettingsResponse};
use outport_identity::Call;
use outport_store::Tables;

use super::create_cluster;
use crate::resource::Resource;
use crate::views::cluster::{Include, view};
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn update_cluster_settings(
    service: &EcsService,
    call: &Call,
    input: UpdateClusterSettingsRequest,
) -> Result<UpdateClusterSettingsResponse, Rejection> {
    let scope = access::scope(call);
    let name = names::cluster(&scope, input.cluster.as_deref())?;
    let settings = create_cluster::settings(input.settings.unwrap_or_default())?;
    if settings.is_empty() {
        return Err(Rejection::invalid_parameter("Settings can not be empty."));
    }
    let resource = Resource::cluster(&scope, &name);
    let ask = |tables: &Tables| resource.question(tables, "ecs:UpdateClusterSettings").into();
    service
        .store
        .write(call, ask, |tx, ()| {
            let mut cluster = (**lookup::active_cluster(tx, &scope, &name)?).clone();
            cluster.settings = settings;
            tx.put(cluster.clone());
            Ok(UpdateClusterSettingsResponse { cluster: Some(view(tx, &cluster, Include::ALL)) })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn sets_container_insights() {
        let world = World::new();
        let settings = json!([{"name": "containerInsights", "value": "enhanced"}]);
        let input = json!({"cluster": "default", "settings": settings});
        world
            .check("UpdateClusterSettings", input, json!({"cluster": {"settings": settings}}))
            .await;
        let input = json!({"cluster": "x", "settings": settings});
        world
            .refuses(
                "UpdateClusterSettings",
                input,
                "ClusterNotFoundException",
                "Cluster not found.",
            )
            .await;
    }
}
