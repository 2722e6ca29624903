//! `DescribeClusters`: clusters with their counts; those that do not exist are `failures`.

use outport_aws_ecs::{DescribeClustersRequest, DescribeClustersResponse};
use outport_identity::Call;
use outport_model::Arn;
use outport_store::keys::ClusterKey;

use crate::resource::Resource;
use crate::views::cluster::{Include, view};
use crate::views::{MISSING, failure};
use crate::{EcsService, Rejection, access, names};

/// Source: botocore's documentation of `DescribeClustersRequest.clusters`.
const CLUSTERS_PER_CALL_MAX: usize = 100;

pub async fn describe_clusters(
    service: &EcsService,
    call: &Call,
    input: DescribeClustersRequest,
) -> Result<DescribeClustersResponse, Rejection> {
    let scope = access::scope(call);
    let mut wanted = input.clusters.unwrap_or_default();
    if wanted.is_empty() {
        wanted.push(names::DEFAULT_CLUSTER.to_owned());
    }
    if wanted.len() > CLUSTERS_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "Clusters can have at most {CLUSTERS_PER_CALL_MAX} items."
        )));
    }
    let include = Include::parse(input.include.as_deref());
    let named: Vec<_> = wanted
        .iter()
        .map(|text| match names::cluster(&scope, Some(text)) {
            Ok(name) => Ok(Some(name)),
            // An ARN of another account or region.
            Err(Rejection::ClusterNotFound) => Ok(None),
            Err(rejection) => Err(rejection),
        })
        .collect::<Result<_, _>>()?;
    let resources: Vec<_> =
        named.iter().flatten().map(|name| Resource::cluster(&scope, name)).collect();
    let every = Arn::of("ecs", &scope, "cluster/*");
    let (tables, ()) = service.store.read(call, |tables| {
        Resource::questions(tables, "ecs:DescribeClusters", &resources, &every)
    })?;
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for (text, name) in wanted.into_iter().zip(named) {
        let Some(name) = name else {
            failures.push(failure(text, MISSING));
            continue;
        };
        let arn = Arn::cluster(&scope, &name).to_string();
        let row = tables.clusters.get(&ClusterKey::new(&scope, name));
        match row {
            Some(row) => clusters.push(view(&tables, row, include)),
            None => failures.push(failure(arn, MISSING)),
        }
    }
    Ok(DescribeClustersResponse { clusters: Some(clusters), failures: Some(failures) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn what_is_not_there_is_a_failure() {
        let world = World::new();
        let input = json!({"clusters": ["default", "gone"]});
        let expected = json!({
            "clusters": [{"clusterName": "default", "status": "ACTIVE", "settings": [], "tags": [], "statistics": []}],
            "failures": [{"arn": "arn:aws:ecs:us-east-1:000000000000:cluster/gone", "reason": "MISSING"}],
        });
        world.check("DescribeClusters", input, expected).await;
        let elsewhere = "arn:aws:ecs:eu-west-1:000000000000:cluster/default";
        let expected =
            json!({"clusters": [], "failures": [{"arn": elsewhere, "reason": "MISSING"}]});
        world.check("DescribeClusters", json!({"clusters": [elsewhere]}), expected).await;
    }

    #[tokio::test]
    async fn include_adds_details() {
        let world = World::new();
        let input =
            json!({"include": ["SETTINGS", "STATISTICS", "TAGS", "CONFIGURATIONS", "ATTACHMENTS"]});
        let answer = world.call("DescribeClusters", input).await;
        let cluster = &answer["clusters"][0];
        assert_eq!(
            cluster["settings"],
            json!([{"name": "containerInsights", "value": "disabled"}])
        );
        let names: Vec<&str> = cluster["statistics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 12);
        assert!(names.contains(&"runningFargateTasksCount"), "{names:?}");
        assert!(names.contains(&"activeEC2ServiceCount"), "{names:?}");
    }
}
