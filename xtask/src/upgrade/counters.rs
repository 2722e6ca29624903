//! Containers that write their numbers, one of each network mode, and what must not happen to them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process::until;
use crate::subject::Subject;

const PATIENCE: Duration = Duration::from_secs(90);
const GROUP: &str = "/upgrade";
const MODES: [&str; 4] = ["host", "bridge", "awsvpc", "none"];
/// The code with which a counter ends that was told to.
const EXIT_CODE: i64 = 7;
const SCRIPT: &str =
    "trap 'exit 7' TERM; i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done";
/// A page of events; AWS answers as many.
const EVENTS_PER_PAGE: usize = 10_000;

/// Those that one program started.
pub struct Counters {
    tasks: Vec<Counter>,
}

struct Counter {
    arn: String,
    what: String,
    process: Process,
}

/// A process by its number, and when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: String,
    start_ticks: u64,
}

impl Counters {
    pub fn start(subject: &mut Subject, image: &str, by: &str) -> Result<Self> {
        let subnet = subject.subnet()?;
        let mut started = Vec::new();
        for mode in MODES {
            let family = format!("{by}-{mode}");
            subject.ecs("RegisterTaskDefinition", &definition(&family, mode, image))?;
            let mut run = json!({ "taskDefinition": family, "launchType": "EC2" });
            if mode == "awsvpc" {
                run["networkConfiguration"] =
                    json!({ "awsvpcConfiguration": { "subnets": [subnet] } });
            }
            let answer = subject.ecs("RunTask", &run)?;
            let arn = answer["tasks"][0]["taskArn"].as_str();
            let arn = arn.with_context(|| format!("{family}: {answer}"))?.to_owned();
            started.push((arn, format!("the container of mode {mode} that {by} started")));
        }
        for (arn, what) in &started {
            until(&format!("{what} runs"), PATIENCE, || match status(subject, arn)?.as_str() {
                "RUNNING" => Ok(Some(())),
                "STOPPED" => bail!("{what} has stopped: {}", described(subject, arn)?),
                _ => Ok(None),
            })?;
        }
        let tasks = started.into_iter().map(|(arn, what)| {
            let process =
                first_process(subject, &arn)?.with_context(|| format!("{what} is gone"))?;
            Ok(Counter { arn, what, process })
        });
        Ok(Self { tasks: tasks.collect::<Result<_>>()? })
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// How many lines were read, and what is wrong.
    pub fn check(&mut self, subject: &mut Subject) -> Result<(u64, Vec<String>)> {
        let (mut lines, mut faults) = (0, Vec::new());
        for counter in &self.tasks {
            let Counter { arn, what, process } = counter;
            match first_process(subject, arn)? {
                Some(found) if found == *process => {}
                found => faults.push(format!("{what} was {process:?} and is {found:?}")),
            }
            // The node tells it of itself; what it was is shown until then.
            let shown = status(subject, arn)?;
            if shown != "RUNNING" {
                faults.push(format!("{what} is shown as {shown}: {}", described(subject, arn)?));
            }
            match read_log(subject, arn)? {
                Ok(read) => lines += read,
                Err(fault) => faults.push(format!("{what}: {fault}")),
            }
        }
        Ok((lines, faults))
    }

    /// Tells each to end; what is wrong then.
    pub fn stop(&mut self, subject: &mut Subject) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for counter in &self.tasks {
            subject.ecs("StopTask", &json!({ "task": counter.arn }))?;
        }
        for Counter { arn, what, .. } in &self.tasks {
            until(&format!("{what} ends"), PATIENCE, || {
                Ok((status(subject, arn)? == "STOPPED").then_some(()))
            })?;
            let task = described(subject, arn)?;
            if task["containers"][0]["exitCode"] != EXIT_CODE {
                faults.push(format!("{what} ended otherwise: {task}"));
            }
            if let Err(fault) = read_log(subject, arn)? {
                faults.push(format!("{what}: {fault}"));
            }
        }
        Ok(faults)
    }
}

fn definition(family: &str, mode: &str, image: &str) -> Value {
    json!({
        "family": family, "networkMode": mode,
        "containerDefinitions": [{
            "name": "app", "image": image, "memory": 64, "stopTimeout": 20,
            "command": ["sh", "-c", SCRIPT],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": GROUP, "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "c", "awslogs-create-group": "true" } },
        }],
    })
}

fn described(subject: &mut Subject, arn: &str) -> Result<Value> {
    let mut answer = subject.ecs("DescribeTasks", &json!({ "tasks": [arn] }))?;
    Ok(answer["tasks"][0].take())
}

fn status(subject: &mut Subject, arn: &str) -> Result<String> {
    Ok(described(subject, arn)?["lastStatus"].as_str().unwrap_or("not there").to_owned())
}

/// The oldest process in the container's control group: what the shell starts for a moment comes and goes.
fn first_process(subject: &Subject, arn: &str) -> Result<Option<Process>> {
    let instance = std::fs::read_to_string(subject.data_dir().join("instance"))?;
    let id = arn.rsplit('/').next().context("an ARN has an id")?;
    let group = format!("outport-{}/{id}/app/cgroup.procs", instance.trim());
    let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
    let found = roots.iter().find_map(|root| std::fs::read_to_string(root.join(&group)).ok());
    let text = found.unwrap_or_default();
    let processes = text.lines().filter_map(|pid| Some((start_ticks(pid)?, pid.to_owned())));
    Ok(processes.min().map(|(start_ticks, pid)| Process { pid, start_ticks }))
}

/// Field 22 of `/proc/<pid>/stat`.
fn start_ticks(pid: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// How many lines there are, from 1 on, each once; or the first that is wrong.
fn read_log(subject: &mut Subject, arn: &str) -> Result<Result<u64, String>> {
    let id = arn.rsplit('/').next().context("an ARN has an id")?;
    let (mut token, mut lines) = (None::<String>, 0);
    loop {
        let mut ask = json!({
            "logGroupName": GROUP, "logStreamName": format!("c/app/{id}"),
            "startFromHead": true, "limit": EVENTS_PER_PAGE,
        });
        if let Some(token) = &token {
            ask["nextToken"] = json!(token);
        }
        let page = subject.logs("GetLogEvents", &ask)?;
        for event in page["events"].as_array().context("it has events")? {
            let number = event["message"].as_str().and_then(|text| text.parse::<u64>().ok());
            lines += 1;
            if number != Some(lines) {
                return Ok(Err(format!("its log has {event} where line {lines} comes")));
            }
        }
        let next = page["nextForwardToken"].as_str().map(str::to_owned);
        if next == token {
            return Ok(if lines > 0 { Ok(lines) } else { Err("its log is empty".to_owned()) });
        }
        token = next;
    }
}
