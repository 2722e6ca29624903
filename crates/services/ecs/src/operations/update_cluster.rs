//! `UpdateCluster`: settings and configuration; what is not named stays.

use outport_aws_ecs::{UpdateClusterRequest, UpdateClusterResponse};
use outport_identity::Call;
use outport_store::Tables;

use super::create_cluster;
use crate::resource::Resource;
use crate::views::cluster::{Include, view};
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn update_cluster(
    service: &EcsService,
    call: &Call,
    input: UpdateClusterRequest,
) -> Result<UpdateClusterResponse, Rejection> {
    let scope = access::scope(call);
    let name = names::cluster(&scope, input.cluster.as_deref())?;
    if input.service_connect_defaults.is_some() {
        return Err(Rejection::not_built("serviceConnectDefaults"));
    }
    let settings = input.settings.map(create_cluster::settings).transpose()?;
    let configuration = create_cluster::configuration(input.configuration);
    let resource = Resource::cluster(&scope, &name);
    let ask = |tables: &Tables| resource.question(tables, "ecs:UpdateCluster").into();
    service
        .store
        .write(call, ask, |tx, ()| {
            let mut cluster = (**lookup::active_cluster(tx, &scope, &name)?).clone();
            if let Some(settings) = settings {
                cluster.settings = settings;
            }
            if configuration.is_some() {
                cluster.configuration = configuration;
            }
            tx.put(cluster.clone());
            Ok(UpdateClusterResponse { cluster: Some(view(tx, &cluster, Include::ALL)) })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn what_is_not_named_stays() {
        let world = World::new();
        let configuration = json!({"executeCommandConfiguration": {"logging": "DEFAULT"}});
        let input = json!({"cluster": "default", "configuration": configuration});
        let expected = json!({"cluster": {"configuration": configuration}});
        world.check("UpdateCluster", input, expected).await;
        let settings = json!([{"name": "containerInsights", "value": "enabled"}]);
        let input = json!({"cluster": "default", "settings": settings});
        let expected = json!({"cluster": {"configuration": configuration, "settings": settings}});
        world.check("UpdateCluster", input, expected).await;
    }
}
