//! `DescribeLogGroups`.
//!
//! Source of the texts and of what is shown of a group: answers of AWS as a public test suite has recorded them in
//! 2026. The API Reference says that with `logGroupNamePattern` only `arn`, `creationTime` and `logGroupName` are there;
//! recorded answers have `logGroupArn`, `logGroupClass` and `metricFilterCount` too.

use outport_aws_logs::{
    self as aws, DescribeLogGroupsRequest, DescribeLogGroupsResponse, LogsError,
};
use outport_log_store::{GroupQuery, LogGroup, LogGroupClass};
use outport_model::Scope;

use crate::access::group_by_identifier;
use crate::arns::group_arn;
use crate::page::{name_in_token, rows, token_behind_name};
use crate::rejection::rejection;
use crate::service::Door;

pub(crate) fn describe_log_groups(
    door: &Door,
    input: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, LogsError> {
    let store = door.every_group("logs:DescribeLogGroups")?;
    let scope = &door.scope;
    let has_prefix = input.log_group_name_prefix.is_some();
    let has_pattern =
        input.log_group_name_pattern.as_ref().is_some_and(|pattern| !pattern.is_empty());
    if has_prefix && has_pattern {
        return Err(LogsError::invalid_parameter_exception(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let selectors = [has_prefix, has_pattern, input.log_group_identifiers.is_some()];
    if selectors.into_iter().filter(|given| *given).count() > 1 {
        return Err(LogsError::invalid_parameter_exception(
            "Only one of logGroupNamePrefix, logGroupNamePattern and logGroupIdentifiers can be \
             specified.",
        ));
    }
    let other_accounts = input.account_identifiers.as_ref().is_some_and(|accounts| {
        !accounts.is_empty() && !accounts.iter().any(|account| account == scope.account.as_str())
    });
    if other_accounts {
        return Ok(DescribeLogGroupsResponse { log_groups: Some(vec![]), next_token: None });
    }
    let names = input.log_group_identifiers.map(|identifiers| {
        let name = |identifier: &String| group_by_identifier(&door.scope, identifier);
        identifiers.iter().map(name).collect::<Result<Vec<_>, _>>()
    });
    let query = GroupQuery {
        prefix: input.log_group_name_prefix,
        pattern: input.log_group_name_pattern,
        class: input.log_group_class.and_then(|class| LogGroupClass::parse(class.as_str())),
        names: names.transpose()?,
        after: input.next_token.as_deref().map(name_in_token).transpose()?,
    };
    let page = store.describe_groups(scope, &query, rows(input.limit)).map_err(rejection)?;
    let last = page.groups.last().filter(|_| page.more);
    let next_token = last.map(|group| token_behind_name(group.name.as_str()));
    let view = if has_pattern { view_by_pattern } else { view };
    let log_groups = page.groups.into_iter().map(|group| view(scope, group)).collect();
    Ok(DescribeLogGroupsResponse { log_groups: Some(log_groups), next_token })
}

fn view(scope: &Scope, group: LogGroup) -> aws::LogGroup {
    let arn = group_arn(scope, &group.name);
    aws::LogGroup {
        log_group_name: Some(group.name.to_string()),
        creation_time: Some(group.created_ms),
        retention_in_days: group.retention_days.and_then(|days| i32::try_from(days).ok()),
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        stored_bytes: Some(i64::try_from(group.stored_bytes).unwrap_or(i64::MAX)),
        kms_key_id: group.kms_key_id,
        log_group_class: aws::LogGroupClass::from_name(group.class.as_str()),
        deletion_protection_enabled: Some(false),
        ..aws::LogGroup::default()
    }
}

/// What is shown of a group that was found by a pattern: what a search index has of it.
fn view_by_pattern(scope: &Scope, group: LogGroup) -> aws::LogGroup {
    aws::LogGroup {
        retention_in_days: None,
        stored_bytes: None,
        kms_key_id: None,
        deletion_protection_enabled: None,
        ..view(scope, group)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Rig;

    fn names(answer: &Value) -> Vec<&str> {
        let groups = answer["logGroups"].as_array().unwrap();
        groups.iter().map(|group| group["logGroupName"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn groups_are_selected_and_paged() {
        let rig = Rig::new();
        for name in ["/ecs/a", "/ecs/b", "/ecs/c", "web"] {
            rig.call("CreateLogGroup", json!({"logGroupName": name})).await;
        }
        let first = json!({"logGroupNamePrefix": "/ecs/", "limit": 2});
        let first = rig.call("DescribeLogGroups", first).await;
        assert_eq!(names(&first), ["/ecs/a", "/ecs/b"]);
        let next =
            json!({"logGroupNamePrefix": "/ecs/", "limit": 2, "nextToken": first["nextToken"]});
        let next = rig.call("DescribeLogGroups", next).await;
        assert_eq!((names(&next), &next["nextToken"]), (vec!["/ecs/c"], &Value::Null));
        let pattern = rig.call("DescribeLogGroups", json!({"logGroupNamePattern": "ecs"})).await;
        assert_eq!(names(&pattern).len(), 3);
        let pattern = rig.call("DescribeLogGroups", json!({"logGroupNamePattern": "ECS"})).await;
        assert!(names(&pattern).is_empty(), "the case of letters counts");
        let identifiers = json!(["web", "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/b"]);
        let found = json!({"logGroupIdentifiers": identifiers});
        assert_eq!(names(&rig.call("DescribeLogGroups", found).await), ["/ecs/b", "web"]);
        let elsewhere = json!({"accountIdentifiers": ["111111111111"]});
        assert!(names(&rig.call("DescribeLogGroups", elsewhere).await).is_empty());
    }

    #[tokio::test]
    async fn a_group_found_by_a_pattern_shows_less() {
        let rig = Rig::new();
        rig.call("CreateLogGroup", json!({"logGroupName": "/ecs/app"})).await;
        let retention = json!({"logGroupName": "/ecs/app", "retentionInDays": 7});
        rig.call("PutRetentionPolicy", retention).await;
        let keys = |answer: Value| {
            let group = answer["logGroups"][0].as_object().unwrap().clone();
            let mut names: Vec<String> = group.into_iter().map(|(name, _)| name).collect();
            names.sort();
            names
        };
        let by_pattern = json!({"logGroupNamePattern": "app"});
        assert_eq!(
            keys(rig.call("DescribeLogGroups", by_pattern).await),
            [
                "arn",
                "creationTime",
                "logGroupArn",
                "logGroupClass",
                "logGroupName",
                "metricFilterCount"
            ]
        );
        let by_prefix = json!({"logGroupNamePrefix": "/ecs"});
        assert_eq!(keys(rig.call("DescribeLogGroups", by_prefix).await).len(), 9);
    }

    #[tokio::test]
    async fn contradictions_and_foreign_tokens_are_refused() {
        let rig = Rig::new();
        let both = json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "b"});
        let text =
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        rig.refuses("DescribeLogGroups", both, "InvalidParameterException", text).await;
        let both = json!({"logGroupNamePrefix": "a", "logGroupIdentifiers": ["b"]});
        let text = "Only one of logGroupNamePrefix, logGroupNamePattern and logGroupIdentifiers \
                    can be specified.";
        rig.refuses("DescribeLogGroups", both, "InvalidParameterException", text).await;
        let text = "The specified nextToken is invalid.";
        for token in ["x", "00", "73"] {
            let input = json!({"nextToken": token});
            rig.refuses("DescribeLogGroups", input, "InvalidParameterException", text).await;
        }
    }
}
