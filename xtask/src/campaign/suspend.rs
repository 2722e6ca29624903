//! Suspends: of the Outport alone and of all its processes, its shims' and containers' too, for shorter
//! and longer than makes a node silent or lost.
//!
//! **Invariant**: every suspended process is woken, whatever happens.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Course, Stage};
use crate::client::Client;
use crate::interrupt;
use crate::process::until;

const TASKS: u64 = 6;
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long it has after a suspend to answer and to show what it stopped. A pass of its controllers comes
/// every ten seconds at least.
const SETTLE: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_millis(100);
/// How long a suspend is, in milliseconds: blinks, more than makes a node silent, more than makes one lost.
const SHORT_MS: (u64, u64) = (50, 3_000);
const SILENT_MS: (u64, u64) = (31_000, 40_000);
const LOST_MS: (u64, u64) = (301_000, 310_000);
/// Of a hundred suspends so many are of the two longer kinds.
const SILENT_SHARE: u64 = 15;
const LOST_SHARE: u64 = 2;

pub fn run(course: &mut Course) -> Result<()> {
    let mut stage = course.stage(&[])?;
    let tasks = start_tasks(&mut stage)?;
    while course.ledger.goes_on()? {
        let (least_ms, most_ms) = match course.random.below(100) {
            0..LOST_SHARE => LOST_MS,
            LOST_SHARE..SILENT_SHARE => SILENT_MS,
            _ => SHORT_MS,
        };
        let length = Duration::from_millis(least_ms + course.random.below(most_ms - least_ms));
        let whole_tree = course.random.below(2) == 0;
        let outport = stage.subject.outport()?.id()?;
        let processes =
            if whole_tree { tree_of(&stage, outport)? } else { BTreeSet::from([outport]) };
        suspend(&processes, length)?;
        course.ledger.count("processes suspended", u64::try_from(processes.len())?);
        let stopped = stopped_after(&stage, &tasks)?;
        if !stopped.is_empty() {
            let what = if whole_tree { "everything" } else { "outport" };
            let shown = stopped.join(", ");
            course.ledger.fault(format!("a suspend of {what} for {length:?} stopped {shown}"));
            return Ok(());
        }
    }
    stage.subject.stop()
}

/// A service's tasks and tasks of nobody; their ARNs.
fn start_tasks(stage: &mut Stage) -> Result<Vec<String>> {
    let network = json!({ "awsvpcConfiguration": { "subnets": [stage.subnet] } });
    stage.subject.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": "app", "networkMode": "awsvpc",
            "containerDefinitions": [{ "name": "app", "image": stage.image, "memory": 64 }],
        }),
    )?;
    stage.subject.ecs(
        "CreateService",
        &json!({
            "serviceName": "app", "taskDefinition": "app", "launchType": "EC2",
            "desiredCount": TASKS / 2, "networkConfiguration": network,
        }),
    )?;
    stage.subject.ecs(
        "RunTask",
        &json!({
            "taskDefinition": "app", "launchType": "EC2", "count": TASKS / 2,
            "networkConfiguration": network,
        }),
    )?;
    until("the tasks run", START_PATIENCE, || {
        let listed = stage.subject.ecs("ListTasks", &json!({}))?;
        let running = describe(stage, &listed["taskArns"])?;
        let count = running.iter().filter(|(_, status)| status == "RUNNING").count();
        let all = u64::try_from(count)? == TASKS;
        Ok(all.then(|| running.into_iter().map(|(arn, _)| arn).collect()))
    })
}

/// ARN and status of each.
fn describe(stage: &mut Stage, arns: &Value) -> Result<Vec<(String, String)>> {
    if arns.as_array().is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
    let tasks = described["tasks"].as_array().context("it has tasks")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(tasks.iter().map(|task| (text(&task["taskArn"]), text(&task["lastStatus"]))).collect())
}

/// Those of the tasks that do not run any more, with why, as far as it shows within the time.
fn stopped_after(stage: &Stage, tasks: &[String]) -> Result<Vec<String>> {
    let ends = Instant::now() + SETTLE;
    // A connection from before the suspend may have been idle for too long.
    let mut client = Client::new(stage.subject.address());
    loop {
        interrupt::check()?;
        let described = client.ecs("DescribeTasks", &json!({ "tasks": tasks }))?;
        let described = described["tasks"].as_array().context("it has tasks")?.clone();
        let stopped = described.iter().filter(|task| task["desiredStatus"] != "RUNNING");
        let stopped: Vec<String> = stopped
            .map(|task| format!("{} ({})", task["taskArn"], task["stoppedReason"]))
            .collect();
        if !stopped.is_empty() || Instant::now() > ends {
            return Ok(stopped);
        }
        std::thread::sleep(POLL);
    }
}

/// The Outport, and every process of its instance's control groups.
fn tree_of(stage: &Stage, outport: u32) -> Result<BTreeSet<u32>> {
    let instance = std::fs::read_to_string(stage.subject.data_dir().join("instance"))?;
    let group = format!("outport-{}", instance.trim());
    let mut found = BTreeSet::from([outport]);
    let roots =
        std::fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path().join(&group));
    for root in roots.chain([Path::new("/sys/fs/cgroup").join(&group)]) {
        collect(&root, &mut found);
    }
    Ok(found)
}

fn collect(group: &Path, found: &mut BTreeSet<u32>) {
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    found.extend(processes.lines().filter_map(|line| line.parse::<u32>().ok()));
    let Ok(children) = std::fs::read_dir(group) else { return };
    for child in children.flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&child.path(), found);
        }
    }
}

/// Woken when it is dropped.
struct Suspended<'p>(&'p BTreeSet<u32>);

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        for process in self.0 {
            // One that has ended meanwhile needs no waking.
            let _ = signal(*process, Signal::SIGCONT);
        }
    }
}

fn suspend(processes: &BTreeSet<u32>, length: Duration) -> Result<()> {
    let suspended = Suspended(processes);
    for process in suspended.0 {
        // A container's process may end between the look and the signal.
        let _ = signal(*process, Signal::SIGSTOP);
    }
    let ends = Instant::now() + length;
    while Instant::now() < ends {
        interrupt::check()?;
        std::thread::sleep(POLL.min(ends.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn signal(process: u32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(process)?), signal)?)
}
