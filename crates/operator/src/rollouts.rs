//! Deployments in progress, as `outport status` shows them: how far, in which stage, what they wait for.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::moment::age;
use crate::value::{list, text, time_ms};

/// As many as `DescribeServiceDeployments` takes.
const ROLLOUTS_PER_CALL: usize = 20;
const BAR_CHARS: i64 = 10;
const ONGOING: [&str; 5] =
    ["PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"];

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    pub service: String,
    pub cluster: String,
    pub status: String,
    /// Empty: it has none.
    pub stage: String,
    /// Tasks of the new revision.
    pub running: i64,
    pub requested: i64,
    /// Tasks of the revisions before that run still.
    pub old: i64,
    /// Per cent of the production traffic that the new revision has, where traffic is shifted.
    pub traffic: Option<f64>,
    pub waits_for: Vec<Pause>,
}

/// Somebody has to say that it goes on.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    pub hook_id: String,
    /// Milliseconds since 1970.
    pub until_ms: i64,
    /// What is done then.
    pub then: String,
}

/// Of the services of a cluster, as DescribeServices answered them.
pub async fn rollouts(api: &Api, cluster: &str, services: &[Value]) -> Result<Vec<Rollout>> {
    let is_under_way = |service: &&Value| {
        let mut deployments = list(service, "deployments").iter();
        deployments.any(|one| text(one, "rolloutState") == "IN_PROGRESS")
    };
    let current = |service: &Value| text(service, "currentServiceDeployment").to_owned();
    let arns: Vec<String> = services.iter().filter(is_under_way).map(current).collect();
    let arns: Vec<String> = arns.into_iter().filter(|arn| !arn.is_empty()).collect();
    let mut found = Vec::new();
    for arns in arns.chunks(ROLLOUTS_PER_CALL) {
        let input = json!({ "serviceDeploymentArns": arns });
        let answer = api.ecs("DescribeServiceDeployments", input).await?;
        let each = list(&answer, "serviceDeployments").iter();
        found.extend(each.filter_map(|one| rollout(one, cluster)));
    }
    Ok(found)
}

fn rollout(answer: &Value, cluster: &str) -> Option<Rollout> {
    let status = text(answer, "status");
    if !ONGOING.contains(&status) {
        return None;
    }
    let target = &answer["targetServiceRevision"];
    let count = |revision: &Value, member: &str| revision[member].as_i64().unwrap_or_default();
    let sources = list(answer, "sourceServiceRevisions").iter();
    let waiting = list(answer, "lifecycleHookDetails")
        .iter()
        .filter(|hook| text(hook, "status") == "AWAITING_ACTION");
    let pause = |hook: &Value| Pause {
        hook_id: text(hook, "hookId").to_owned(),
        until_ms: time_ms(hook, "expiresAt").unwrap_or_default(),
        then: text(hook, "timeoutAction").to_owned(),
    };
    Some(Rollout {
        service: text(answer, "serviceArn").rsplit('/').next().unwrap_or_default().to_owned(),
        cluster: cluster.to_owned(),
        status: status.to_owned(),
        stage: text(answer, "lifecycleStage").to_owned(),
        running: count(target, "runningTaskCount"),
        requested: count(target, "requestedTaskCount"),
        old: sources.map(|source| count(source, "runningTaskCount")).sum(),
        traffic: target["requestedProductionTrafficWeight"].as_f64(),
        waits_for: waiting.map(pause).collect(),
    })
}

pub const TITLES: [&str; 7] =
    ["DEPLOYMENT OF", "CLUSTER", "STATUS", "NEW TASKS", "OLD", "TRAFFIC", "WAITS FOR"];

pub fn row(rollout: &Rollout, now_ms: i64) -> Vec<String> {
    let status = match rollout.stage.is_empty() {
        true => rollout.status.clone(),
        false => format!("{}, {}", rollout.status, rollout.stage),
    };
    let waits_for = |pause: &Pause| {
        let left = age((pause.until_ms - now_ms).max(0));
        format!("{} ({left}, then {})", pause.hook_id, pause.then)
    };
    vec![
        rollout.service.clone(),
        rollout.cluster.clone(),
        status,
        format!("{} {} of {}", bar(rollout), rollout.running, rollout.requested),
        rollout.old.to_string(),
        rollout.traffic.map(|percent| format!("{percent} %")).unwrap_or_default(),
        rollout.waits_for.iter().map(waits_for).collect::<Vec<_>>().join(", "),
    ]
}

fn bar(rollout: &Rollout) -> String {
    let requested = rollout.requested.max(1);
    let done = (rollout.running * BAR_CHARS / requested).clamp(0, BAR_CHARS);
    let chars = |what: &str, count: i64| what.repeat(usize::try_from(count).unwrap_or_default());
    chars("#", done) + &chars(".", BAR_CHARS - done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: Value, expected: &[&str]) {
        let mut answer = json!({
            "serviceArn": "arn:aws:ecs:us-east-1:000000000000:service/default/web", "status": "IN_PROGRESS",
            "targetServiceRevision": {"runningTaskCount": 1, "requestedTaskCount": 4},
            "sourceServiceRevisions": [{"runningTaskCount": 2}, {"runningTaskCount": 1}],
        });
        for (member, value) in changes.as_object().unwrap() {
            answer[member] = value.clone();
        }
        let shown = rollout(&answer, "default").map(|one| row(&one, 1_000_000));
        assert_eq!(shown.unwrap_or_default(), expected);
    }

    #[test]
    fn how_far_and_what_it_waits_for() {
        check(json!({}), &["web", "default", "IN_PROGRESS", "##........ 1 of 4", "3", "", ""]);
        check(
            json!({
                "lifecycleStage": "POST_SCALE_UP",
                "targetServiceRevision": {
                    "runningTaskCount": 4, "requestedTaskCount": 4, "requestedProductionTrafficWeight": 12.5,
                },
                "lifecycleHookDetails": [
                    {"hookId": "ecs-pause-1", "status": "AWAITING_ACTION", "expiresAt": 4600, "timeoutAction": "ROLLBACK"},
                    {"hookId": "ecs-pause-2", "status": "SUCCEEDED", "expiresAt": 4600, "timeoutAction": "ROLLBACK"},
                ],
            }),
            &[
                "web",
                "default",
                "IN_PROGRESS, POST_SCALE_UP",
                "########## 4 of 4",
                "3",
                "12.5 %",
                "ecs-pause-1 (60m, then ROLLBACK)",
            ],
        );
        check(json!({ "status": "SUCCESSFUL" }), &[]);
    }
}
