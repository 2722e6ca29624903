//! `ListClusters`: the ARNs of the clusters that are not deleted.

use std::ops::Bound;

use outport_aws_ecs::{ListClustersRequest, ListClustersResponse};
use outport_identity::{Call, Question};
use outport_model::cluster::ClusterStatus;
use outport_model::{Arn, ClusterName};
use outport_store::keys::ClusterKey;

use crate::page::{self, PageRequest};
use crate::{EcsService, Rejection, access};

const PAGE_MAX: usize = 100;

pub async fn list_clusters(
    service: &EcsService,
    call: &Call,
    input: ListClustersRequest,
) -> Result<ListClustersResponse, Rejection> {
    let scope = access::scope(call);
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let question = Question::without_resource("ecs:ListClusters");
    let (tables, ()) = service.store.read(call, |_| question.into())?;
    let key = |name: &str| ClusterKey::new(&scope, ClusterName::new(name));
    let start = request.start(key(""), |name| Some(key(name)));
    let start = start.ok_or_else(page::invalid_token)?;
    let clusters = tables
        .clusters
        .range((start, Bound::Unbounded))
        .take_while(|row| row.scope == scope)
        .filter(|row| row.status == ClusterStatus::Active)
        .map(|row| (row.name.to_string(), Arn::cluster(&scope, &row.name).to_string()));
    let page = request.take(clusters);
    Ok(ListClustersResponse { cluster_arns: Some(page.items), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn lists_in_pages() {
        let world = World::new();
        for name in ["a", "b"] {
            world.call("CreateCluster", json!({"clusterName": name})).await;
        }
        world.call("DeleteCluster", json!({"cluster": "b"})).await;
        let first = world.call("ListClusters", json!({"maxResults": 1})).await;
        assert_eq!(first["clusterArns"], json!(["arn:aws:ecs:us-east-1:000000000000:cluster/a"]));
        let input = json!({"maxResults": 1, "nextToken": first["nextToken"]});
        let second = world.call("ListClusters", input).await;
        assert_eq!(
            second,
            json!({"clusterArns": ["arn:aws:ecs:us-east-1:000000000000:cluster/default"]})
        );
    }
}
