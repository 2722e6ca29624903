//! `ListServiceDeployments`: the history of a service, the newest first.

use outport_aws_ecs::{ListServiceDeploymentsRequest, ListServiceDeploymentsResponse};
use outport_identity::Call;
use outport_store::Tables;
use outport_store::keys::ServiceKey;

use crate::page::PageRequest;
use crate::resource::Resource;
use crate::views::service_deployment::brief;
use crate::{EcsService, Rejection, access, lookup, names};

const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

pub async fn list_service_deployments(
    service: &EcsService,
    call: &Call,
    input: ListServiceDeploymentsRequest,
) -> Result<ListServiceDeploymentsResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let text = input.service.unwrap_or_default();
    let name = names::service(&scope, &cluster, &text)?.ok_or(Rejection::ServiceNotFound)?;
    let token = input.next_token.as_deref();
    let request = PageRequest::parse(input.max_results, token, PAGE_DEFAULT, PAGE_MAX)?;
    let resource = Resource::service(&scope, &cluster, &name);
    let ask = |tables: &Tables| resource.question(tables, "ecs:ListServiceDeployments").into();
    let (tables, ()) = service.store.read(call, ask)?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    lookup::service(&tables, &scope, &cluster, &name).ok_or(Rejection::ServiceNotFound)?;
    let statuses = input.status.unwrap_or_default();
    let window = input.created_at.unwrap_or_default();
    let (after, before) =
        (window.after.map(|at| at.as_millis()), window.before.map(|at| at.as_millis()));
    let key = ServiceKey::new(&scope, cluster, name);
    let mut rows: Vec<_> = tables
        .service_deployments
        .of_service(&key)
        .values()
        .filter(|row| {
            statuses.is_empty()
                || statuses.iter().any(|status| status.as_str() == row.status.as_str())
        })
        .filter(|row| after.is_none_or(|after| row.created_at_ms >= after))
        .filter(|row| before.is_none_or(|before| row.created_at_ms <= before))
        .map(|row| (format!("{:020} {}", row.created_at_ms, row.id), brief(row)))
        .collect();
    rows.sort_by(|(left, _), (right, _)| right.cmp(left));
    let page = request.take_descending(rows);
    Ok(ListServiceDeploymentsResponse {
        service_deployments: Some(page.items),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn the_newest_comes_first() {
        let world = World::new();
        world.register("app", json!({})).await;
        world.create_service("web", "app", 1).await;
        let first_s = world.now_s();
        world.clock.advance(60_000);
        world.call("UpdateService", json!({"service": "web", "forceNewDeployment": true})).await;
        let second_s = world.now_s();
        for (input, expected) in [
            (json!({}), vec![&second_s, &first_s]),
            (json!({"createdAt": {"after": second_s}}), vec![&second_s]),
            (json!({"createdAt": {"before": first_s}}), vec![&first_s]),
            (json!({"status": ["PENDING"]}), vec![&second_s, &first_s]),
            (json!({"status": ["SUCCESSFUL"]}), vec![]),
            (json!({"maxResults": 1}), vec![&second_s]),
        ] {
            let mut input = input;
            input["service"] = json!("web");
            let answer = world.call("ListServiceDeployments", input).await;
            let times: Vec<_> = answer["serviceDeployments"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| &row["createdAt"])
                .collect();
            assert_eq!(times, expected);
        }
        let message = "Service not found.";
        world
            .refuses(
                "ListServiceDeployments",
                json!({"service": "x"}),
                "ServiceNotFoundException",
                message,
            )
            .await;
    }
}
