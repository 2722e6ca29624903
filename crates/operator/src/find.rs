//! Tasks and services: all of them, or those that a word of the command line means.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::api::Api;
use crate::ps::why_it_stopped;
use crate::value::{list, name_of, strings, text, time_ms};

/// As many as `DescribeTasks` takes.
pub const TASKS_PER_CALL: usize = 100;
/// As many as `DescribeServices` takes.
const SERVICES_PER_CALL: usize = 10;

/// The cluster that is wanted, or all.
///
/// # Errors
/// When the one that is wanted is not there: with those that are.
pub async fn clusters(api: &Api, wanted: Option<&str>) -> Result<Vec<String>> {
    let all = || pages(api, "ListClusters", "clusterArns", json!({}));
    let Some(wanted) = wanted else { return all().await };
    let answer = api.ecs("DescribeClusters", json!({ "clusters": [wanted] })).await?;
    if list(&answer, "clusters").iter().any(|cluster| text(cluster, "status") != "INACTIVE") {
        return Ok(vec![wanted.to_owned()]);
    }
    let all = all().await?;
    let names: Vec<&str> = all.iter().map(|arn| name_of(arn)).collect();
    let there = match names.as_slice() {
        [] => "there is none".to_owned(),
        [one] => format!("there is {one}"),
        _ => format!("there are {}", names.join(", ")),
    };
    bail!("there is no cluster {wanted}: {there}")
}

/// All pages of a list.
pub async fn pages(api: &Api, operation: &str, member: &str, input: Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut input = input;
    loop {
        let page = api.ecs(operation, input.clone()).await?;
        found.extend(strings(&page, member));
        match page["nextToken"].as_str() {
            Some(token) => input["nextToken"] = json!(token),
            None => return Ok(found),
        }
    }
}

/// The tasks that `ListTasks` names, described.
pub async fn tasks(api: &Api, cluster: &str, filter: Value) -> Result<Vec<Value>> {
    let mut input = filter;
    input["cluster"] = json!(cluster);
    let arns = pages(api, "ListTasks", "taskArns", input).await?;
    let mut tasks = Vec::with_capacity(arns.len());
    for arns in arns.chunks(TASKS_PER_CALL) {
        let answer = api.ecs("DescribeTasks", json!({ "cluster": cluster, "tasks": arns })).await?;
        tasks.extend_from_slice(list(&answer, "tasks"));
    }
    Ok(tasks)
}

/// The services of a cluster that are there, described.
pub async fn services(api: &Api, cluster: &str) -> Result<Vec<Value>> {
    let arns = pages(api, "ListServices", "serviceArns", json!({ "cluster": cluster })).await?;
    let mut services = Vec::with_capacity(arns.len());
    for arns in arns.chunks(SERVICES_PER_CALL) {
        let input = json!({ "cluster": cluster, "services": arns });
        services.extend_from_slice(list(&api.ecs("DescribeServices", input).await?, "services"));
    }
    Ok(services)
}

/// What a word of the command line means.
#[derive(Debug)]
pub enum Meant {
    Task(Box<Value>),
    /// A service of this cluster and name.
    Service {
        cluster: String,
        name: String,
    },
    /// The tasks of a family in this cluster, such as `app`, or of one revision, such as `app:2`.
    Family {
        cluster: String,
        family: String,
    },
}

/// The groups that ECS gives tasks, as `outport ps` shows them.
const SERVICE_GROUP: &str = "service:";
const FAMILY_GROUP: &str = "family:";

/// Looks for a task by its ARN, its id or the beginning of that, for a service by its name or ARN, and for the tasks of a
/// family by `family:NAME` or `family:NAME:REVISION`.
///
/// # Errors
/// When it means nothing, or more than one.
pub async fn meant(api: &Api, cluster: Option<&str>, word: &str) -> Result<Meant> {
    if let Some(family) = word.strip_prefix(FAMILY_GROUP) {
        return family_meant(api, cluster, family).await;
    }
    let name = name_of(word.strip_prefix(SERVICE_GROUP).unwrap_or(word));
    let mut found = Vec::new();
    for cluster in clusters(api, cluster).await? {
        let input = json!({ "cluster": cluster, "services": [name] });
        let answer = api.ecs("DescribeServices", input).await?;
        if list(&answer, "services").iter().any(|service| text(service, "status") != "INACTIVE") {
            found.push(Meant::Service { cluster: cluster.clone(), name: name.to_owned() });
        }
        for status in ["RUNNING", "STOPPED"] {
            let input = json!({ "cluster": cluster, "desiredStatus": status });
            let arns = pages(api, "ListTasks", "taskArns", input).await?;
            let arns: Vec<&String> =
                arns.iter().filter(|arn| name_of(arn).starts_with(name)).take(2).collect();
            if !arns.is_empty() {
                let input = json!({ "cluster": cluster, "tasks": arns });
                let answer = api.ecs("DescribeTasks", input).await?;
                let tasks = list(&answer, "tasks").iter();
                found.extend(tasks.map(|task| Meant::Task(Box::new(task.clone()))));
            }
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!(
            "no task and no service is called {word}: `outport ps --all` shows tasks, `outport status` services; \
             family:NAME means the tasks of a family"
        ),
        _ => bail!("{word} means {}: say more of it, or --cluster", either(&found)),
    }
}

async fn family_meant(api: &Api, cluster: Option<&str>, family: &str) -> Result<Meant> {
    let mut found = Vec::new();
    for cluster in clusters(api, cluster).await? {
        if !family_tasks(api, &cluster, family).await?.is_empty() {
            found.push(Meant::Family { cluster, family: family.to_owned() });
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("no task of the family {family} is known: `outport ps --all` shows tasks"),
        _ => bail!("the family {family} means {}: say --cluster", either(&found)),
    }
}

/// The tasks of a family, or of one revision of it, those that run first and then those that stopped.
pub async fn family_tasks(api: &Api, cluster: &str, family: &str) -> Result<Vec<Value>> {
    let name = family.split(':').next().unwrap_or_default();
    let mut all = Vec::new();
    for status in ["RUNNING", "STOPPED"] {
        let filter = json!({ "family": name, "desiredStatus": status });
        all.extend(tasks(api, cluster, filter).await?);
    }
    all.retain(|task| is_of_family(task, family));
    Ok(all)
}

fn is_of_family(task: &Value, family: &str) -> bool {
    let revision = name_of(text(task, "taskDefinitionArn"));
    match family.contains(':') {
        true => revision == family,
        false => revision.split(':').next() == Some(family),
    }
}

fn either(found: &[Meant]) -> String {
    let names = found.iter().map(|meant| match meant {
        Meant::Task(task) => format!("task {}", name_of(text(task, "taskArn"))),
        Meant::Service { cluster, name } => format!("service {name} of {}", name_of(cluster)),
        Meant::Family { cluster, family } => format!("{family} of {}", name_of(cluster)),
    });
    names.collect::<Vec<_>>().join(" or ")
}

/// The revision that a task was made of; `null` when it was deleted meanwhile.
pub async fn definition(api: &Api, task: &Value) -> Result<Value> {
    let input = json!({ "taskDefinition": task["taskDefinitionArn"] });
    match api.ecs("DescribeTaskDefinition", input).await {
        // A revision may be deleted while a task that has stopped is still shown.
        Err(error) if error.to_string().starts_with("ClientException") => Ok(Value::Null),
        answer => Ok(answer?["taskDefinition"].clone()),
    }
}

/// The task that a word of the command line means, or the service's: a healthy one before others, the one that runs
/// longest.
///
/// # Errors
/// When it means nothing or more than one, or nothing of it runs.
pub async fn running_task(api: &Api, cluster: Option<&str>, word: &str) -> Result<Value> {
    match meant(api, cluster, word).await? {
        Meant::Task(task) if text(&task, "lastStatus") == "RUNNING" => Ok(*task),
        Meant::Task(task) => {
            let why = why_it_stopped(&task);
            bail!(
                "task {} is {}{}{why}",
                name_of(text(&task, "taskArn")),
                text(&task, "lastStatus"),
                if why.is_empty() { "" } else { ": " }
            )
        }
        Meant::Service { cluster, name } => {
            let filter = json!({ "serviceName": name, "desiredStatus": "RUNNING" });
            let chosen = choose(tasks(api, &cluster, filter).await?);
            chosen.with_context(|| {
                format!("no task of service {name} runs: `outport events {name}` says what happened to it")
            })
        }
        Meant::Family { cluster, family } => {
            let chosen = choose(family_tasks(api, &cluster, &family).await?);
            chosen.with_context(|| format!("no task of the family {family} runs"))
        }
    }
}

fn choose(tasks: Vec<Value>) -> Option<Value> {
    let running = tasks.into_iter().filter(|task| text(task, "lastStatus") == "RUNNING");
    running.min_by_key(|task| {
        let health = match text(task, "healthStatus") {
            "HEALTHY" => 0,
            "UNHEALTHY" => 2,
            _ => 1,
        };
        (health, time_ms(task, "startedAt").unwrap_or(i64::MAX))
    })
}

/// A service's tasks, those that run first and then those that stopped.
pub async fn service_tasks(api: &Api, cluster: &str, name: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for status in ["RUNNING", "STOPPED"] {
        let filter = json!({ "serviceName": name, "desiredStatus": status });
        all.extend(tasks(api, cluster, filter).await?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_means_its_tasks_and_a_revision_those_of_it() {
        let task = json!({ "taskDefinitionArn": "arn:aws:ecs:r:a:task-definition/app:2" });
        for (family, expected) in [("app", true), ("app:2", true), ("app:1", false), ("ap", false)]
        {
            assert_eq!(is_of_family(&task, family), expected, "{family}");
        }
    }

    #[test]
    fn of_a_services_tasks_a_healthy_one_is_taken_and_of_these_the_oldest() {
        let task = |name: &str, status: &str, health: &str, started: i64| json!({ "taskArn": name, "lastStatus": status, "healthStatus": health, "startedAt": started });
        let chosen = |tasks: &[Value]| {
            choose(tasks.to_vec()).map(|task| text(&task, "taskArn").to_owned()).unwrap_or_default()
        };
        let old = task("old", "RUNNING", "UNKNOWN", 1);
        let young = task("young", "RUNNING", "UNKNOWN", 2);
        let ill = task("ill", "RUNNING", "UNHEALTHY", 0);
        let well = task("well", "RUNNING", "HEALTHY", 3);
        let pending = task("pending", "PENDING", "HEALTHY", 0);
        assert_eq!(chosen(&[young.clone(), old.clone(), ill.clone(), pending.clone()]), "old");
        assert_eq!(chosen(&[old, well, young]), "well");
        assert_eq!(chosen(&[pending, ill]), "ill");
        assert_eq!(chosen(&[]), "");
    }
}
