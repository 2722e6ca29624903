//! Tasks are started while `up` may open few files more than it has open, then as many as it needs again.
//!
//! **Invariant**: a launch that fails says why; the control plane answers; once there is room tasks run
//! again without a restart, and nothing of those that failed is left on the host.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Course, Stage};
use crate::process::{output, until};

const PATIENCE: Duration = Duration::from_secs(90);
const TASKS: u64 = 10;
/// Descriptors beyond those that are open, at most: a launch needs some at a time.
const ROOM_MAX: u64 = 40;

pub fn run(course: &mut Course) -> Result<()> {
    let mut stage = course.stage(&[])?;
    let image = stage.image.clone();
    stage.subject.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": "short", "networkMode": "awsvpc",
            "containerDefinitions": [{ "name": "app", "image": image, "memory": 64,
                                       "command": ["true"] }],
        }),
    )?;
    start(&mut stage, 1)?;
    settle(course, &mut stage)?;
    while course.ledger.goes_on()? {
        let id = stage.subject.outport()?.id()?;
        let enough = hard_limit(id)?;
        let open = std::fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64;
        limit(id, &(open + 4 + course.random.below(ROOM_MAX)).to_string())?;
        let arns = start(&mut stage, TASKS);
        // Some calls of the API need a descriptor, too: what was not taken is not waited for.
        let arns = arns.unwrap_or_default();
        let ended = ends(&mut stage, &arns);
        limit(id, &enough)?;
        let tasks = match ended {
            Ok(tasks) => tasks,
            Err(_) => ends(&mut stage, &arns)?,
        };
        for task in &tasks {
            judge(course, task);
        }
        let after = start(&mut stage, 1)?;
        for task in ends(&mut stage, &after)? {
            if task["containers"][0]["exitCode"] != 0 {
                course.ledger.fault(format!("with room again a task ends as {task}"));
            }
        }
        settle(course, &mut stage)?;
    }
    stage.subject.stop()
}

fn limit(id: u32, files: &str) -> Result<()> {
    // The soft one alone: nobody may raise the other one again.
    let limit = format!("--nofile={files}:");
    output(Command::new("prlimit").args(["--pid", &id.to_string(), &limit])).map(drop)
}

fn hard_limit(id: u32) -> Result<String> {
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4)).context("a limit")?;
    Ok(hard.to_owned())
}

fn start(stage: &mut Stage, count: u64) -> Result<Vec<String>> {
    let run = json!({
        "taskDefinition": "short", "launchType": "EC2", "count": count,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": [stage.subnet] } },
    });
    let answer = stage.subject.ecs("RunTask", &run)?;
    let tasks = answer["tasks"].as_array().context("it has tasks")?.iter();
    Ok(tasks.filter_map(|task| Some(task["taskArn"].as_str()?.to_owned())).collect())
}

/// The tasks once all of them are over.
fn ends(stage: &mut Stage, arns: &[String]) -> Result<Vec<Value>> {
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    until("the tasks are over", PATIENCE, || {
        let Ok(described) = stage.subject.ecs("DescribeTasks", &json!({ "tasks": arns })) else {
            return Ok(None);
        };
        let tasks = described["tasks"].as_array().context("it has tasks")?.clone();
        let over = tasks.iter().all(|task| task["lastStatus"] == "STOPPED");
        Ok((over && tasks.len() == arns.len()).then_some(tasks))
    })
}

/// A task that did not run says why: itself, or its container where the task only says that it failed.
fn judge(course: &mut Course, task: &Value) {
    if task["containers"][0]["exitCode"] == 0 {
        course.ledger.count("tasks that ran", 1);
        return;
    }
    course.ledger.count("tasks that failed", 1);
    if task["containers"][0]["reason"].as_str().is_none_or(str::is_empty) {
        course.ledger.fault(format!("no reason: {task}"));
    }
}

/// Nothing of tasks that are over is left: groups, namespaces, files in memory.
pub(super) fn settle(course: &mut Course, stage: &mut Stage) -> Result<()> {
    let instance = std::fs::read_to_string(stage.subject.data_dir().join("instance"))?;
    let instance = instance.trim().to_owned();
    let left = || -> Vec<String> {
        let mut left = Vec::new();
        for root in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let group = root.path().join(format!("outport-{instance}"));
            left.extend(names(&group).into_iter().filter(|name| name != "shims.group"));
        }
        left.extend(names(&format!("/sys/fs/cgroup/outport-{instance}").into()));
        left.retain(|name| name != "shims.group");
        for part in ["c", "ns"] {
            left.extend(names(&format!("/run/outport/{instance}/{part}").into()));
        }
        left
    };
    let gone = until("nothing is left", PATIENCE, || Ok(left().is_empty().then_some(())));
    crate::interrupt::check()?;
    if gone.is_err() {
        course.ledger.fault(format!("left on the host: {:?}", left()));
    }
    Ok(())
}

fn names(directory: &std::path::PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
