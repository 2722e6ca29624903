//! SIGKILL of `up` at a random moment while callers write, again and again.
//!
//! **Invariant**: what was acknowledged is there after every restart; containers that ran have the same
//! processes; what they wrote is in their log in order and once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Course, Stage};
use crate::client::Client;
use crate::process::until;
use crate::random::Random;

/// Callers that write at once.
const CALLERS: usize = 12;
/// How long a round writes before the kill, at most.
const LOAD_MS_MAX: u64 = 2500;
/// Containers that count for the whole campaign.
const COUNTERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(90);
const GROUP: &str = "/kill";
/// Logs are read on from where the last round stopped; in every so many rounds, and at the end, as a whole.
const WHOLE_LOG_EVERY: u64 = 50;
/// A page of events; AWS answers as many.
const EVENTS_PER_PAGE: usize = 10_000;

/// What one caller was told in one round.
#[derive(Default)]
struct Told {
    /// Task definition and the text that it was registered with.
    definitions: Vec<(String, String)>,
    tasks: Vec<String>,
    stopped: Vec<String>,
    updates: usize,
    /// Service and what it may be: what was told last, and what was asked for and not answered.
    services: BTreeMap<String, Vec<Shape>>,
}

/// What an update changes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    desired_count: u64,
    /// Drawn anew each time: it tells one update from another, and starts no task.
    maximum_percent: u64,
}

impl Shape {
    const FIRST: Shape = Shape { desired_count: 0, maximum_percent: 200 };

    fn of(service: &Value) -> Option<Shape> {
        let configuration = &service["deploymentConfiguration"];
        Some(Shape {
            desired_count: service["desiredCount"].as_u64()?,
            maximum_percent: configuration["maximumPercent"].as_u64()?,
        })
    }
}

pub fn run(course: &mut Course) -> Result<()> {
    let mut stage = course.stage(&[])?;
    let image = stage.image.clone();
    stage.subject.ecs("RegisterTaskDefinition", &counter(&image))?;
    stage.subject.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": "short", "networkMode": "host",
            "containerDefinitions": [{ "name": "app", "image": image, "memory": 64,
                                       "command": ["sh", "-c", "sleep 0.3"] }],
        }),
    )?;
    let counters = start_counters(&mut stage)?;
    let mut logs: Vec<Seen> = counters.iter().map(|arn| Seen::nothing_of(arn)).collect();
    let before = processes(&mut stage, &counters)?;
    let mut callers: Vec<Told> = (0..CALLERS).map(|_| Told::default()).collect();
    for (index, told) in callers.iter_mut().enumerate() {
        let name = format!("service-{index}");
        stage.subject.ecs("CreateService", &json!({
            "serviceName": name, "taskDefinition": "short", "desiredCount": 0, "launchType": "EC2",
        }))?;
        told.services.insert(name, vec![Shape::FIRST]);
    }
    let mut rounds = 0_u64;
    while course.ledger.goes_on()? {
        let ended = Arc::new(AtomicBool::new(false));
        let working: Vec<JoinHandle<Told>> = callers
            .drain(..)
            .enumerate()
            .map(|(index, told)| {
                let caller = Caller {
                    client: Client::new(stage.subject.address()),
                    random: course.random.split(),
                    image: image.clone(),
                    index,
                    told: Told { services: told.services, ..Told::default() },
                };
                let ended = Arc::clone(&ended);
                std::thread::spawn(move || caller.write_until(&ended))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50 + course.random.below(LOAD_MS_MAX)));
        stage.subject.kill()?;
        ended.store(true, Ordering::Release);
        for caller in working {
            callers.push(caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?);
        }
        stage.subject.start_again()?;
        stage.subject.ready()?;
        for told in &mut callers {
            check_told(course, &mut stage, told)?;
        }
        let after = processes(&mut stage, &counters)?;
        if after != before {
            course.ledger.fault(format!("containers: {before:?} became {after:?}"));
        }
        rounds += 1;
        for seen in &mut logs {
            if rounds.is_multiple_of(WHOLE_LOG_EVERY) {
                *seen = Seen::nothing_of(&seen.task);
            }
            check_log(course, &mut stage, seen)?;
        }
    }
    for arn in &counters {
        check_log(course, &mut stage, &mut Seen::nothing_of(arn))?;
    }
    stage.subject.stop()
}

/// A container that writes its numbers, and stays.
fn counter(image: &str) -> Value {
    let script = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done";
    json!({
        "family": "counter", "networkMode": "host",
        "containerDefinitions": [{
            "name": "app", "image": image, "memory": 64, "command": ["sh", "-c", script],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": GROUP, "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "c", "awslogs-create-group": "true" } },
        }],
    })
}

fn start_counters(stage: &mut Stage) -> Result<Vec<String>> {
    let run = json!({ "taskDefinition": "counter", "launchType": "EC2", "count": COUNTERS });
    let started = stage.subject.ecs("RunTask", &run)?;
    let tasks = started["tasks"].as_array().context("it has tasks")?;
    let arns: Vec<String> =
        tasks.iter().filter_map(|task| Some(task["taskArn"].as_str()?.to_owned())).collect();
    until("the counters run", PATIENCE, || {
        let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
        let all = described["tasks"].as_array().context("it has tasks")?;
        Ok(all.iter().all(|task| task["lastStatus"] == "RUNNING").then_some(()))
    })?;
    Ok(arns)
}

struct Caller {
    client: Client,
    random: Random,
    image: String,
    index: usize,
    told: Told,
}

impl Caller {
    /// Until nobody answers any more: an answer that came is what is held against Outport.
    fn write_until(mut self, ended: &AtomicBool) -> Told {
        while !ended.load(Ordering::Acquire) {
            // Tasks cost processors and definitions memory for ever, and writes are what counts.
            let wrote = match self.random.below(64) {
                0 => self.run(),
                1 => self.stop(),
                2..8 => self.register(),
                _ => self.update(),
            };
            if wrote.is_err() && ended.load(Ordering::Acquire) {
                break;
            }
        }
        self.told
    }

    fn register(&mut self) -> Result<()> {
        let text = format!("{}-{:x}", self.index, self.random.next());
        let answer = self.client.ecs(
            "RegisterTaskDefinition",
            &json!({
                "family": format!("family-{}", self.index),
                "containerDefinitions": [{ "name": "app", "image": self.image, "memory": 64,
                                           "environment": [{ "name": "TEXT", "value": text }] }],
            }),
        )?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().context("an ARN")?;
        self.told.definitions.push((arn.to_owned(), text));
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let run = json!({ "taskDefinition": "short", "launchType": "EC2" });
        let answer = self.client.ecs("RunTask", &run)?;
        let tasks = answer["tasks"].as_array().context("it has tasks")?.iter();
        let arns = tasks.filter_map(|task| Some(task["taskArn"].as_str()?.to_owned()));
        self.told.tasks.extend(arns);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let Some(task) = self.random.pick(&self.told.tasks).cloned() else { return Ok(()) };
        self.client.ecs("StopTask", &json!({ "task": task }))?;
        self.told.stopped.push(task);
        Ok(())
    }

    fn update(&mut self) -> Result<()> {
        let (name, shapes) = self.told.services.iter_mut().next().context("it has a service")?;
        let mut wanted = *shapes.last().context("it has a shape")?;
        wanted.maximum_percent = 101 + self.random.below(1_000_000);
        // Each is a task that starts or stops.
        if self.random.below(100) == 0 {
            wanted.desired_count = self.random.below(2);
        }
        shapes.push(wanted);
        let update = json!({
            "service": name, "desiredCount": wanted.desired_count,
            "deploymentConfiguration": { "maximumPercent": wanted.maximum_percent },
        });
        self.client.ecs("UpdateService", &update)?;
        *shapes = vec![wanted];
        self.told.updates += 1;
        Ok(())
    }
}

/// Asks for everything that was acknowledged.
fn check_told(course: &mut Course, stage: &mut Stage, told: &mut Told) -> Result<()> {
    for (arn, text) in &told.definitions {
        let described =
            stage.subject.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": arn }));
        let found = described.is_ok_and(|found| {
            let container = &found["taskDefinition"]["containerDefinitions"][0];
            container["environment"][0]["value"] == text.as_str()
        });
        if !found {
            course.ledger.fault(format!("the definition {arn} with {text} is lost"));
        }
    }
    for arns in told.tasks.chunks(100) {
        let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
        let found = described["tasks"].as_array().context("it has tasks")?;
        if found.len() != arns.len() {
            course.ledger.fault(format!(
                "{} of {} tasks are lost",
                arns.len() - found.len(),
                arns.len()
            ));
        }
        for task in found {
            let arn = task["taskArn"].as_str().unwrap_or_default();
            let was_stopped = told.stopped.iter().any(|stopped| stopped == arn);
            if was_stopped && task["desiredStatus"] != "STOPPED" {
                course.ledger.fault(format!("the stop of {arn} is lost"));
            }
        }
    }
    for (name, shapes) in &mut told.services {
        let described = stage.subject.ecs("DescribeServices", &json!({ "services": [name] }))?;
        let found = Shape::of(&described["services"][0]);
        match found.filter(|shape| shapes.contains(shape)) {
            Some(shape) => *shapes = vec![shape],
            None => course.ledger.fault(format!("{name} has {found:?} and was told {shapes:?}")),
        }
    }
    let Told { definitions, tasks, stopped, updates, .. } = &*told;
    let written = definitions.len() + tasks.len() + stopped.len() + updates;
    course.ledger.count("acknowledged writes", u64::try_from(written)?);
    Ok(())
}

/// The processes of each container, by their numbers.
fn processes(stage: &mut Stage, tasks: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let instance = std::fs::read_to_string(stage.subject.data_dir().join("instance"))?;
    let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
    let of_task = |arn: &String| -> Result<(String, Vec<String>)> {
        let id = arn.rsplit('/').next().context("an ARN has an id")?.to_owned();
        let group = format!("outport-{}/{id}/app", instance.trim());
        let path = roots.iter().map(|root| root.join(&group)).find(|path| path.is_dir());
        let Some(path) = path else { bail!("the container of {id} is gone") };
        let text = std::fs::read_to_string(path.join("cgroup.procs"))?;
        // The shell; what it starts for a moment comes and goes.
        let oldest = text.lines().filter_map(|pid| Some((start_ticks(pid)?, pid.to_owned()))).min();
        Ok((id, oldest.into_iter().map(|(_, pid)| pid).collect()))
    };
    tasks.iter().map(of_task).collect()
}

/// When a process began: field 22 of `/proc/<pid>/stat`.
fn start_ticks(pid: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// What was seen of a counter's log.
struct Seen {
    task: String,
    /// Where it goes on.
    token: Option<String>,
    lines: u64,
}

impl Seen {
    fn nothing_of(task: &str) -> Seen {
        Seen { task: task.to_owned(), token: None, lines: 0 }
    }
}

/// The numbers of a counter, from 1 on, each once.
fn check_log(course: &mut Course, stage: &mut Stage, seen: &mut Seen) -> Result<()> {
    let id = seen.task.rsplit('/').next().context("an ARN has an id")?;
    let before = seen.lines;
    loop {
        let mut ask = json!({
            "logGroupName": GROUP, "logStreamName": format!("c/app/{id}"),
            "startFromHead": true, "limit": EVENTS_PER_PAGE,
        });
        if let Some(token) = &seen.token {
            ask["nextToken"] = json!(token);
        }
        let page = stage.subject.logs("GetLogEvents", &ask)?;
        for event in page["events"].as_array().context("it has events")? {
            let number = event["message"].as_str().and_then(|text| text.parse::<u64>().ok());
            if number != Some(seen.lines + 1) {
                let expected = seen.lines + 1;
                course.ledger.fault(format!("the log of {id} has {event} where {expected} comes"));
                return Ok(());
            }
            seen.lines += 1;
        }
        let next = page["nextForwardToken"].as_str().map(str::to_owned);
        if next == seen.token {
            course.ledger.count("log lines read", seen.lines - before);
            return Ok(());
        }
        seen.token = next;
    }
}
