//! Lists: of secrets, and of the versions of one.

use std::sync::Arc;

use outport_aws_secretsmanager::{
    ListSecretVersionIdsRequest, ListSecretVersionIdsResponse, ListSecretsRequest,
    ListSecretsResponse, SortByType, SortOrderType,
};
use outport_identity::{Call, Question, Subject};
use outport_model::secret::Secret;
use outport_store::Tables;

use crate::filter::Filters;
use crate::look::{Named, there};
use crate::names::scope;
use crate::page::{Direction, PageRequest};
use crate::rejection::Rejection;
use crate::{SecretsManagerService, view};

/// Source: the model's MaxResultsType.
const ITEMS_MAX: usize = 100;

/// Without `SortBy` in the order of their making, as the API reference says; that the oldest comes first is a guess.
pub async fn list_secrets(
    service: &SecretsManagerService,
    call: &Call,
    input: ListSecretsRequest,
) -> Result<ListSecretsResponse, Rejection> {
    let filters = Filters::parse(input.filters)?;
    let page = PageRequest::parse(input.max_results, ITEMS_MAX, input.next_token.as_deref())?;
    let sort_by = input.sort_by.unwrap_or(SortByType::CreatedDate);
    let direction = match input.sort_order {
        Some(SortOrderType::Desc) => Direction::Down,
        Some(SortOrderType::Asc) | None => Direction::Up,
    };
    let question = Question::without_resource("secretsmanager:ListSecrets");
    let (tables, ()) = service.read(call, "*", |_| Subject::from(question))?;
    let is_with_deleted = input.include_planned_deletion.unwrap_or(false);
    let found = matching(service, call, &tables, &filters, is_with_deleted);
    let placed = found.into_iter().map(|secret| (place(&secret, sort_by), secret)).collect();
    let page = page.take(placed, direction);
    Ok(ListSecretsResponse {
        secret_list: Some(page.items.iter().map(|secret| view::list_entry(secret)).collect()),
        next_token: page.next_token,
    })
}

/// The secrets of the account and region that are called.
pub fn matching(
    service: &SecretsManagerService,
    call: &Call,
    tables: &Tables,
    filters: &Filters,
    is_with_deleted: bool,
) -> Vec<Arc<Secret>> {
    let now = service.now();
    let is_shown = |secret: &Secret| match secret.deletion {
        None => true,
        Some(_) => is_with_deleted && !secret.is_gone(&now),
    };
    let scope = scope(call);
    let secrets = tables.secrets.of_scope(&scope);
    secrets.filter(|secret| is_shown(secret) && filters.match_secret(secret)).cloned().collect()
}

/// Where a secret stands in a list: no two have one place.
fn place(secret: &Secret, sort_by: SortByType) -> String {
    let at = |ms: i64| format!("{ms:020}/{}", secret.name);
    match sort_by {
        SortByType::Name => secret.name.clone(),
        SortByType::CreatedDate => at(secret.created_at_ms),
        SortByType::LastChangedDate => at(secret.changed_at_ms),
        SortByType::LastAccessedDate => at(secret.accessed_at_ms.unwrap_or(0)),
    }
}

/// In the order of their making. One that is marked for deletion lists its versions, too: the operation's errors have no refusal
/// for it.
pub async fn list_secret_version_ids(
    service: &SecretsManagerService,
    call: &Call,
    input: ListSecretVersionIdsRequest,
) -> Result<ListSecretVersionIdsResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let page = PageRequest::parse(input.max_results, ITEMS_MAX, input.next_token.as_deref())?;
    let named = Named::new(call, service.now(), &id);
    let (_, found) = service
        .read(call, &id, |tables| named.look(tables, "secretsmanager:ListSecretVersionIds"))?;
    let secret = there(found)?;
    let is_with_deprecated = input.include_deprecated.unwrap_or(false);
    let shown = secret
        .versions
        .iter()
        .filter(|(_, version)| is_with_deprecated || !version.stages.is_empty());
    let entries = shown.map(|(id, version)| {
        (format!("{:020}", version.serial), view::version_entry(&secret, id, version))
    });
    let page = page.take(entries.collect(), Direction::Up);
    Ok(ListSecretVersionIdsResponse {
        versions: Some(page.items),
        next_token: page.next_token,
        arn: view::arn(&secret),
        name: view::name(&secret),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    /// Three secrets, a second apart.
    async fn world() -> World {
        let world = World::new();
        for (name, description, tag) in [
            ("prod/web", "Of the shop", "blue"),
            ("prod/db", "of the database", "red"),
            ("test/db", "", "Red"),
        ] {
            let tags = json!([{"Key": format!("team-{tag}"), "Value": tag}]);
            let secret = json!({"Name": name, "Description": description, "Tags": tags});
            world.call("CreateSecret", secret).await;
            world.clock.advance(1000);
        }
        world
    }

    async fn check(world: &World, filters: &[(&str, &[&str])], expected: &[&str]) {
        let filters: Vec<_> =
            filters.iter().map(|(key, values)| json!({"Key": key, "Values": values})).collect();
        assert_eq!(world.names(json!({"Filters": filters})).await, expected, "{filters:?}");
    }

    #[tokio::test]
    async fn filters_choose() {
        let world = world().await;
        check(&world, &[("name", &["prod/"])], &["prod/web", "prod/db"]).await;
        check(&world, &[("name", &["Prod", "test"])], &["test/db"]).await;
        check(&world, &[("name", &["!prod"])], &["test/db"]).await;
        check(&world, &[("description", &["OF THE"])], &["prod/web", "prod/db"]).await;
        check(&world, &[("tag-key", &["team-r"])], &["prod/db"]).await;
        check(&world, &[("tag-value", &["R"])], &["test/db"]).await;
        // Every word of a value, and any of several values.
        check(&world, &[("all", &["red prod"])], &["prod/db"]).await;
        check(&world, &[("all", &["red nothing"])], &[]).await;
        check(&world, &[("all", &["red", "nothing"])], &["prod/db", "test/db"]).await;
        check(&world, &[("name", &["prod"]), ("tag-value", &["red"])], &["prod/db"]).await;
        check(&world, &[("owning-service", &["rds"])], &[]).await;
        check(&world, &[("primary-region", &["us-"])], &["prod/web", "prod/db", "test/db"]).await;
    }

    #[tokio::test]
    async fn a_list_is_sorted_and_comes_in_pages() {
        let world = world().await;
        let by_name = |order: &str| json!({"SortBy": "name", "SortOrder": order});
        assert_eq!(world.names(by_name("asc")).await, ["prod/db", "prod/web", "test/db"]);
        assert_eq!(world.names(by_name("desc")).await, ["test/db", "prod/web", "prod/db"]);
        let (mut names, mut token) = (Vec::new(), json!(null));
        loop {
            let page = world
                .call(
                    "ListSecrets",
                    json!({"MaxResults": 2, "NextToken": token, "SortOrder": "desc"}),
                )
                .await;
            for secret in page["SecretList"].as_array().unwrap() {
                names.push(secret["Name"].as_str().unwrap().to_owned());
            }
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(names, ["test/db", "prod/db", "prod/web"]);
    }

    #[tokio::test]
    async fn deprecated_versions_are_listed_when_asked_for() {
        let world = World::full().await;
        for text in ["second", "third"] {
            world.call("PutSecretValue", json!({"SecretId": "db", "SecretString": text})).await;
        }
        let count = async |input: serde_json::Value| {
            let list = world.call("ListSecretVersionIds", input).await;
            list["Versions"].as_array().unwrap().len()
        };
        assert_eq!(count(json!({"SecretId": "db"})).await, 2);
        assert_eq!(count(json!({"SecretId": "db", "IncludeDeprecated": true})).await, 3);
        let page = json!({"SecretId": "db", "IncludeDeprecated": true, "MaxResults": 2});
        let list = world.call("ListSecretVersionIds", page).await;
        assert_eq!(list["Versions"][0]["KmsKeyIds"], json!(["DefaultEncryptionKey"]));
        assert!(list["NextToken"].is_string(), "{list}");
    }
}
