//! Many values at once.

use outport_aws_secretsmanager::{
    APIErrorType, BatchGetSecretValueRequest, BatchGetSecretValueResponse, GetSecretValueResponse,
    SecretValueEntry,
};
use outport_identity::{Call, Question, Subject};

use crate::SecretsManagerService;
use crate::filter::Filters;
use crate::look::Named;
use crate::operations::lists::matching;
use crate::operations::values::{Wanted, read_value};
use crate::page::{Direction, PageRequest};
use crate::rejection::Rejection;

/// Source: the model's MaxResultsBatchType and SecretIdListType.
const VALUES_MAX: usize = 20;

/// Asks for itself, with filters for ListSecrets, and for each secret as GetSecretValue does. A secret that may not be read, or is
/// not there, is an entry among the errors.
pub async fn batch_get_secret_value(
    service: &SecretsManagerService,
    call: &Call,
    input: BatchGetSecretValueRequest,
) -> Result<BatchGetSecretValueResponse, Rejection> {
    let filters = input.filters.filter(|filters| !filters.is_empty());
    let asks = Subject::from(Question::without_resource("secretsmanager:BatchGetSecretValue"))
        .and_all(
            filters.as_ref().map(|_| Question::without_resource("secretsmanager:ListSecrets")),
        );
    let (secret_ids, next_token) = match (input.secret_id_list, filters) {
        (Some(ids), None) => {
            if input.max_results.is_some() {
                return Err(Rejection::invalid("You can use MaxResults with Filters only."));
            }
            call.open(asks)?;
            (ids, None)
        }
        (None, Some(filters)) => {
            let filters = Filters::parse(Some(filters))?;
            let page =
                PageRequest::parse(input.max_results, VALUES_MAX, input.next_token.as_deref())?;
            let (tables, ()) = service.read(call, "*", |_| asks)?;
            let found = matching(service, call, &tables, &filters, false);
            let named =
                found.into_iter().map(|secret| (secret.name.clone(), secret.arn().into_string()));
            let page = page.take(named.collect(), Direction::Up);
            (page.items, page.next_token)
        }
        _ => {
            return Err(Rejection::invalid(
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ));
        }
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in &secret_ids {
        let named = Named::new(call, service.now(), id);
        match read_value(service, call, &Wanted { named, version_id: None, stage: None }).await {
            Ok(answer) => values.push(entry(answer)),
            Err(refusal @ Rejection::Server { .. }) => return Err(refusal),
            Err(refusal) => errors.push(APIErrorType {
                secret_id: Some(id.clone()),
                error_code: Some(refusal.code()),
                message: Some(refusal.to_string()),
            }),
        }
    }
    Ok(BatchGetSecretValueResponse {
        secret_values: Some(values),
        next_token,
        errors: Some(errors),
    })
}

fn entry(answer: GetSecretValueResponse) -> SecretValueEntry {
    SecretValueEntry {
        arn: answer.arn,
        name: answer.name,
        version_id: answer.version_id,
        secret_binary: answer.secret_binary,
        secret_string: answer.secret_string,
        version_stages: answer.version_stages,
        created_date: answer.created_date,
    }
}

#[cfg(test)]
mod tests {
    use outport_identity::testing::WatchedPermissions;
    use serde_json::{Value, json};

    use crate::testing::{CLEAR, World};

    fn names<'a>(answer: &'a Value, list: &str, member: &str) -> Vec<&'a str> {
        let entries = answer[list].as_array().unwrap();
        entries.iter().map(|entry| entry[member].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said_beside_what_can() {
        let mut world = World::full().await;
        world.call("CreateSecret", json!({"Name": "closed", "SecretString": "c"})).await;
        world.ask(WatchedPermissions::new(|asked| !asked.resource.contains(":closed-")));
        let list = json!({"SecretIdList": ["db", "closed", "gone", "none"]});
        let answer = world.call("BatchGetSecretValue", list).await;
        assert_eq!(names(&answer, "SecretValues", "SecretString"), [CLEAR]);
        assert_eq!(names(&answer, "Errors", "SecretId"), ["closed", "gone", "none"]);
        let codes =
            ["AccessDeniedException", "InvalidRequestException", "ResourceNotFoundException"];
        assert_eq!(names(&answer, "Errors", "ErrorCode"), codes);
    }

    #[tokio::test]
    async fn filters_need_the_permission_to_list() {
        let mut world = World::full().await;
        let filters = json!({"Filters": [{"Key": "name", "Values": ["d"]}]});
        let answer = world.call("BatchGetSecretValue", filters.clone()).await;
        assert_eq!(names(&answer, "SecretValues", "Name"), ["db"]);
        world.ask(WatchedPermissions::new(|asked| asked.action != "secretsmanager:ListSecrets"));
        assert_eq!(world.reply("BatchGetSecretValue", &filters).await.0, 400);
    }
}
