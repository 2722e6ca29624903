//! `outport compose down`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::value::{list, name_of, text};

use super::{ComposeOptions, PROJECT_TAG, definition, tag};

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Tasks may take their stopTimeout, at most two minutes, and their logs have to be shipped.
const END_PATIENCE: Duration = Duration::from_secs(300);

/// Removes what `up` made: the service with its tasks, the revisions, the log group, the repositories of what was built.
///
/// # Errors
/// When the API refuses; what was removed before stays so, and it can be called again.
pub async fn down(api: &Api, options: &ComposeOptions, mut say: impl FnMut(&str)) -> Result<()> {
    let project = options.project_name()?;
    let removed = [
        remove_service(api, options.cluster(), &project, &mut say).await?,
        remove_revisions(api, &project, &mut say).await?,
        remove_logs(api, &project, &mut say).await?,
        remove_repositories(api, &project, &mut say).await?,
    ];
    if removed.iter().all(|removed| !removed) {
        say(&format!("there is nothing of {project}"));
    }
    Ok(())
}

async fn remove_service(
    api: &Api,
    cluster: &str,
    project: &str,
    say: &mut impl FnMut(&str),
) -> Result<bool> {
    if super::service(api, cluster, project).await?.is_none() {
        return Ok(false);
    }
    let filter = json!({ "serviceName": project });
    let tasks = find::pages(api, "ListTasks", "taskArns", with_cluster(filter, cluster)).await?;
    let input = json!({ "cluster": cluster, "service": project, "force": true });
    api.ecs("DeleteService", input).await?;
    say(&format!("stopping the service {project}"));
    // Its name is free, and its logs are whole, once the last one has ended.
    let began = Instant::now();
    while super::service(api, cluster, project).await?.is_some()
        || !ended(api, cluster, &tasks).await?
    {
        still_patient(began, project)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    say(&format!("removed the service {project}"));
    Ok(true)
}

/// # Errors
/// When a service that is being deleted takes too long.
pub fn still_patient(began: Instant, project: &str) -> Result<()> {
    let seconds = END_PATIENCE.as_secs();
    ensure!(
        began.elapsed() < END_PATIENCE,
        "the service {project} has not ended after {seconds} s: `outport ps` shows its tasks"
    );
    Ok(())
}

fn with_cluster(mut input: Value, cluster: &str) -> Value {
    input["cluster"] = json!(cluster);
    input
}

async fn ended(api: &Api, cluster: &str, tasks: &[String]) -> Result<bool> {
    for tasks in tasks.chunks(find::TASKS_PER_CALL) {
        let answer =
            api.ecs("DescribeTasks", json!({ "cluster": cluster, "tasks": tasks })).await?;
        if list(&answer, "tasks").iter().any(|task| text(task, "lastStatus") != "STOPPED") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Those of the family that a compose file made; others of the same name are somebody's own.
async fn remove_revisions(api: &Api, project: &str, say: &mut impl FnMut(&str)) -> Result<bool> {
    let input = json!({ "familyPrefix": project, "status": "ACTIVE" });
    let mut removed = false;
    for revision in find::pages(api, "ListTaskDefinitions", "taskDefinitionArns", input).await? {
        let input = json!({ "taskDefinition": revision, "include": ["TAGS"] });
        let answer = api.ecs("DescribeTaskDefinition", input).await?;
        if tag(&answer, PROJECT_TAG) == project {
            api.ecs("DeregisterTaskDefinition", json!({ "taskDefinition": revision })).await?;
            say(&format!("deregistered {}", name_of(&revision)));
            removed = true;
        }
    }
    Ok(removed)
}

async fn remove_logs(api: &Api, project: &str, say: &mut impl FnMut(&str)) -> Result<bool> {
    let group = definition::log_group(project);
    match api.logs("DeleteLogGroup", json!({ "logGroupName": group })).await {
        Err(error) if error.to_string().starts_with("ResourceNotFoundException") => Ok(false),
        answer => {
            answer?;
            say(&format!("removed the log group {group}"));
            Ok(true)
        }
    }
}

async fn remove_repositories(api: &Api, project: &str, say: &mut impl FnMut(&str)) -> Result<bool> {
    let prefix = definition::repository(project, "");
    let mut names = Vec::new();
    let mut input = json!({});
    loop {
        let page = api.ecr("DescribeRepositories", input.clone()).await?;
        let found = list(&page, "repositories").iter().map(|found| text(found, "repositoryName"));
        names.extend(found.filter(|name| name.starts_with(&prefix)).map(str::to_owned));
        match page["nextToken"].as_str() {
            Some(token) => input["nextToken"] = json!(token),
            None => break,
        }
    }
    for name in &names {
        api.ecr("DeleteRepository", json!({ "repositoryName": name, "force": true })).await?;
        say(&format!("removed the repository {name}"));
    }
    Ok(!names.is_empty())
}
