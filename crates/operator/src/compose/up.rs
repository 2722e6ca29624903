//! `outport compose up`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::Api;
use crate::find::{self, Meant};
use crate::logs::{LogsOptions, print_of};
use crate::ps::why_it_stopped;
use crate::reach::{self, Published};
use crate::value::{list, name_of, text, time_ms};

use super::build::{self, Builder};
use super::down::still_patient;
use super::project::Project;
use super::service::Service;
use super::{ComposeOptions, PROJECT_TAG, definition, ps, tag};

/// On a revision: what of the file it was made from.
const DIGEST_TAG: &str = "outport:compose-digest";
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// So many tasks of one deployment that ended by themselves, or did not start, are no accident: it is not waited any more.
const ENDED_MAX: usize = 3;
/// Of the last of them, as many lines are shown.
const LINES_SHOWN: usize = 20;
/// Of tasks that stopped, as many say why.
const REASONS_MAX: usize = 3;

#[derive(Clone, Debug, Default)]
pub struct UpOptions {
    pub compose: ComposeOptions,
    /// Of the engines of this machine; the first that is there unless given.
    pub builder: Option<Builder>,
    /// How long the services may take to run; `None`: it is not waited for.
    pub patience: Option<Duration>,
    /// The node's part of this host's data directory, if there is one: what containers without a log driver wrote.
    pub node: Option<PathBuf>,
}

/// Makes what is not there, changes what is, and leaves alone what is as the file says. What it prints.
///
/// # Errors
/// All that is wrong with the file, before anything is made; later what the API says, or why the services do not run.
pub async fn up(api: &Api, options: &UpOptions, mut say: impl FnMut(&str)) -> Result<String> {
    let project = Project::read(&options.compose)?;
    project.notes.iter().for_each(|note| say(note));
    let cluster = options.compose.cluster();
    // Before anything is built, too.
    super::service(api, cluster, &project.name).await?;
    let images = build::images(api, &project, options.builder, &mut say).await?;
    let image = |service: &Service| {
        let of_file = || service.image.clone().unwrap_or_default();
        images.get(&service.name).cloned().unwrap_or_else(of_file)
    };
    let definition = definition::task_definition(&project, &api.endpoint.region, image);
    apply(api, cluster, &project, definition, &mut say).await?;
    if let Some(patience) = options.patience {
        wait(api, cluster, &project.name, patience, options.node.as_deref(), &mut say).await?;
        let missed = wait_for_ports(api, cluster, &project, patience).await?;
        missed.iter().for_each(|note| say(note));
    }
    ps(api, &options.compose_of(&project), crate::table::Shape::of_stdout(false)).await
}

/// A port of an earlier task of the project is given to the new one when the earlier one has ended. What is missed then.
async fn wait_for_ports(
    api: &Api,
    cluster: &str,
    project: &Project,
    patience: Duration,
) -> Result<Vec<String>> {
    let began = Instant::now();
    let mut ended = false;
    loop {
        let missed = ports_missed(api, cluster, project).await?;
        if missed.is_empty() || ended || began.elapsed() > patience {
            return Ok(missed);
        }
        let filter = json!({ "serviceName": project.name, "desiredStatus": "STOPPED" });
        let tasks = find::tasks(api, cluster, filter).await?;
        // And one more look after the end.
        ended = tasks.iter().all(|task| text(task, "lastStatus") == "STOPPED");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ports of the machine that the file asks for and that lead elsewhere, or nowhere, a line each.
async fn ports_missed(api: &Api, cluster: &str, project: &Project) -> Result<Vec<String>> {
    let (published, machine) = (Published::ask(api).await?, api.machine());
    let filter = json!({ "serviceName": project.name, "desiredStatus": "RUNNING" });
    let tasks = find::tasks(api, cluster, filter).await?;
    let asking = project.services.iter().flat_map(|service| {
        service.ports.iter().filter_map(move |port| Some((service, port, port.asked?)))
    });
    let mut missed = Vec::new();
    for (service, port, asked) in asking {
        let protocol = if port.is_udp { "udp" } else { "tcp" };
        let mapping = json!({ "containerPort": port.number, "protocol": protocol });
        let alone = json!({
            "networkMode": "awsvpc", "containerDefinitions": [{ "portMappings": [mapping] }],
        });
        let leads_there =
            |task: &Value| published.host_port(task, protocol, port.number) == Some(asked);
        if tasks.iter().any(leads_there) {
            continue;
        }
        let there = tasks.iter().flat_map(|task| reach::ports(task, &alone, &published, &machine));
        let there: Vec<String> = there.map(|port| port.shown()).collect();
        missed.push(format!(
            "services.{}.ports: {asked} of this machine does not lead to {}, since somebody has it, or this Outport publishes no \
             ports for you: it is reached at {}",
            service.name,
            port.number,
            there.join(" ")
        ));
    }
    Ok(missed)
}

impl UpOptions {
    /// The same, without a look at the file.
    fn compose_of(&self, project: &Project) -> ComposeOptions {
        ComposeOptions { project: Some(project.name.clone()), ..self.compose.clone() }
    }
}

/// Registers and creates or updates, where anything differs.
async fn apply(
    api: &Api,
    cluster: &str,
    project: &Project,
    mut definition: Value,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let digest = hex(&Sha256::digest(serde_json::to_vec(&definition)?));
    let mut there = super::service(api, cluster, &project.name).await?;
    let began = Instant::now();
    while there.as_ref().is_some_and(|there| text(there, "status") == "DRAINING") {
        // An earlier `down` that was not waited for.
        still_patient(began, &project.name)?;
        tokio::time::sleep(LOOK_EVERY).await;
        there = super::service(api, cluster, &project.name).await?;
    }
    let tags = |more: &[(&str, &str)]| {
        let tags = [(PROJECT_TAG, project.name.as_str())];
        let tags = tags.iter().chain(more);
        tags.map(|(key, value)| json!({ "key": key, "value": value })).collect::<Value>()
    };
    let revision = match &there {
        Some(service) => revision_of(api, service, &digest).await?,
        None => None,
    };
    let is_new = revision.is_none();
    let revision = match revision {
        Some(revision) => revision,
        None => {
            definition["tags"] = tags(&[(DIGEST_TAG, digest.as_str())]);
            let answer = api.ecs("RegisterTaskDefinition", definition).await?;
            let revision = text(&answer["taskDefinition"], "taskDefinitionArn").to_owned();
            say(&format!("registered {}", crate::value::name_of(&revision)));
            revision
        }
    };
    let mut input = definition::service(project);
    input["cluster"] = json!(cluster);
    input["taskDefinition"] = json!(revision);
    match there {
        None => {
            let subnets = api.subnets().await?;
            input["networkConfiguration"] =
                json!({ "awsvpcConfiguration": { "subnets": subnets } });
            input["tags"] = tags(&[]);
            api.ecs("CreateService", input).await?;
            say(&format!("created the service {}", project.name));
        }
        Some(service) if is_new || service["desiredCount"] != json!(project.replicas) => {
            let update = json!({
                "cluster": cluster,
                "service": project.name,
                "taskDefinition": revision,
                "desiredCount": project.replicas,
            });
            api.ecs("UpdateService", update).await?;
            say(&format!("updated the service {}", project.name));
        }
        Some(_) => say(&format!("the service {} is as the file says", project.name)),
    }
    Ok(())
}

/// The service's revision, if it was made from just this.
async fn revision_of(api: &Api, service: &Value, digest: &str) -> Result<Option<String>> {
    let revision = text(service, "taskDefinition");
    let input = json!({ "taskDefinition": revision, "include": ["TAGS"] });
    let answer = api.ecs("DescribeTaskDefinition", input).await?;
    let is_active = text(&answer["taskDefinition"], "status") == "ACTIVE";
    let is_same = is_active && tag(&answer, DIGEST_TAG) == digest;
    Ok(is_same.then(|| revision.to_owned()))
}

/// Until the deployment is over.
async fn wait(
    api: &Api,
    cluster: &str,
    project: &str,
    patience: Duration,
    node: Option<&Path>,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let began = Instant::now();
    let mut said: Option<BTreeSet<String>> = None;
    loop {
        let Some(service) = super::service(api, cluster, project).await? else {
            bail!("the service {project} was deleted meanwhile");
        };
        let events = list(&service, "events");
        let ids = events.iter().map(|event| text(event, "id").to_owned());
        if let Some(said) = &said {
            for event in events.iter().rev().filter(|event| !said.contains(text(event, "id"))) {
                say(text(event, "message"));
            }
        }
        said = Some(ids.collect());
        let newest = list(&service, "deployments").first().cloned().unwrap_or_default();
        match text(&newest, "rolloutState") {
            "COMPLETED" => return Ok(()),
            "FAILED" => {
                let reason = text(&newest, "rolloutStateReason").to_owned();
                let why = reasons(api, cluster, project, events).await?;
                bail!("{project} does not run: {reason}{why}");
            }
            _ => {}
        }
        let ended = ended(&stopped(api, cluster, project).await?, text(&newest, "id"));
        if let (true, Some(last)) = (ended.len() >= ENDED_MAX, ended.first()) {
            bail!(
                "{project} does not run: {} of its tasks ended, and it goes on to start others: `outport compose down` ends that. \
                 The last one: {}{}",
                ended.len(),
                why_it_stopped(last),
                last_lines(api, last, node).await
            );
        }
        if began.elapsed() > patience {
            let why = reasons(api, cluster, project, events).await?;
            bail!("{project} does not run after {} s{why}", patience.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn stopped(api: &Api, cluster: &str, project: &str) -> Result<Vec<Value>> {
    let filter = json!({ "serviceName": project, "desiredStatus": "STOPPED" });
    find::tasks(api, cluster, filter).await
}

/// The tasks of a deployment that are over though nobody asked for it, the last one first.
fn ended(tasks: &[Value], deployment: &str) -> Vec<Value> {
    let is_by_itself = |task: &&Value| {
        ["EssentialContainerExited", "TaskFailedToStart"].contains(&text(task, "stopCode"))
    };
    let of_it = tasks.iter().filter(|task| {
        text(task, "startedBy") == deployment && text(task, "lastStatus") == "STOPPED"
    });
    let mut ended: Vec<Value> = of_it.filter(is_by_itself).cloned().collect();
    ended.sort_by_key(|task| std::cmp::Reverse(time_ms(task, "stoppedAt")));
    ended
}

/// What a task wrote last, or why that is not to be had, each line on one of its own.
async fn last_lines(api: &Api, task: &Value, node: Option<&Path>) -> String {
    let options = LogsOptions {
        of: name_of(text(task, "taskArn")).to_owned(),
        tail: Some(LINES_SHOWN),
        node: node.map(Path::to_owned),
        ..LogsOptions::default()
    };
    let (mut written, mut missing) = (String::new(), Vec::new());
    let print = |line: &str| {
        written.push_str(line);
        Ok(())
    };
    let complain = |line: &str| missing.push(line.to_owned());
    let meant = Meant::Task(Box::new(task.clone()));
    if let Err(error) = print_of(api, &meant, &options, print, complain).await {
        missing.push(format!("{error:#}"));
    }
    let mut shown: String =
        missing.iter().flat_map(|text| text.lines()).map(|line| format!("\n  {line}")).collect();
    if !written.is_empty() {
        shown.push_str("\nwhat it wrote last:");
        shown.extend(written.lines().map(|line| format!("\n  {line}")));
    }
    shown
}

/// Why its tasks stopped, a line each; where none began, why none found a place.
async fn reasons(api: &Api, cluster: &str, project: &str, events: &[Value]) -> Result<String> {
    let tasks = stopped(api, cluster, project).await?;
    let mut reasons: BTreeSet<String> = tasks.iter().map(why_it_stopped).collect();
    if reasons.is_empty() {
        reasons.extend(no_place(events).map(str::to_owned));
    }
    Ok(reasons.iter().take(REASONS_MAX).map(|reason| format!("\n  {reason}")).collect())
}

/// The newest event that says so, with its numbers.
fn no_place(events: &[Value]) -> Option<&str> {
    let mut messages = events.iter().map(|event| text(event, "message"));
    messages.find(|message| message.contains(") was unable to place a task"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_by_itself_and_of_this_deployment_counts() {
        let task = |id: &str, by: &str, code: &str, at: i64| json!({ "taskArn": id, "startedBy": by, "stopCode": code, "stoppedAt": at, "lastStatus": "STOPPED" });
        let tasks = [
            task("old", "ecs-svc/1", "EssentialContainerExited", 9),
            task("first", "ecs-svc/2", "EssentialContainerExited", 1),
            task("last", "ecs-svc/2", "TaskFailedToStart", 3),
            task("asked", "ecs-svc/2", "UserInitiated", 4),
            task("scaled", "ecs-svc/2", "ServiceSchedulerInitiated", 5),
        ];
        let ended = ended(&tasks, "ecs-svc/2");
        let names: Vec<&str> = ended.iter().map(|task| text(task, "taskArn")).collect();
        assert_eq!(names, ["last", "first"]);
    }
}
