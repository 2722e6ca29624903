//! Tasks are launched by an Outport whose steps fail at random, by named points in its code, which builds with
//! optimisation lack.
//!
//! **Invariant**: a launch that fails says why, where its launch type looks; whatever failed, of a launch
//! or of what takes it away, nothing is left on the host once it is over: no namespace, mount, control
//! group, file, address or port.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::descriptors::settle;
use super::{Course, Stage};
use crate::process::until;

const PATIENCE: Duration = Duration::from_secs(180);
const INJECTED: &str = "injected failures";
/// Tasks of each mode at a time.
const TASKS: u64 = 10;
/// How often a point fails, per cent: a launch goes by some twenty.
const RATES: [u64; 4] = [1, 3, 6, 15];
const MODES: [&str; 4] = ["awsvpc", "bridge", "host", "none"];
/// Rounds with one rate, before Outport is started again with another.
const ROUNDS_PER_RATE: u64 = 5;

pub fn run(course: &mut Course) -> Result<()> {
    while course.ledger.goes_on()? {
        let rate = *course.random.pick(&RATES).context("there are some")?;
        let points = format!("seed={},all={rate}", course.random.next());
        // The points begin to fail when it is started: what it needs to start goes by none.
        let mut stage = course.stage_with(&[], &[("OUTPORT_FAIL_POINTS", &points)])?;
        for mode in MODES {
            stage.subject.ecs("RegisterTaskDefinition", &definition(&stage.image, mode))?;
        }
        let mut rounds = 0;
        while rounds == 0 || (rounds < ROUNDS_PER_RATE && course.ledger.goes_on()?) {
            rounds += 1;
            round(course, &mut stage)?;
        }
        stage.subject.stop()?;
    }
    if !course.ledger.has_counted(INJECTED) {
        course.ledger.fault("nothing was injected: the points are in builds without optimisation");
    }
    Ok(())
}

fn definition(image: &str, mode: &str) -> Value {
    let mut definition = json!({
        "family": mode, "networkMode": mode,
        "containerDefinitions": [
            { "name": "app", "image": image, "memory": 64, "command": ["true"] },
            { "name": "side", "image": image, "memory": 64, "command": ["sleep", "600"],
              "essential": false, "stopTimeout": 2 },
        ],
    });
    if mode == "bridge" {
        definition["containerDefinitions"][0]["portMappings"] = json!([{ "containerPort": 80 }]);
    }
    definition
}

fn round(course: &mut Course, stage: &mut Stage) -> Result<()> {
    let mut arns: Vec<String> = Vec::new();
    for mode in MODES {
        let mut run = json!({ "taskDefinition": mode, "launchType": "EC2", "count": TASKS });
        if mode == "awsvpc" {
            run["networkConfiguration"] =
                json!({ "awsvpcConfiguration": { "subnets": [stage.subnet] } });
        }
        let started = stage.subject.ecs("RunTask", &run)?;
        let tasks = started["tasks"].as_array().context("it has tasks")?.iter();
        arns.extend(tasks.filter_map(|task| Some(task["taskArn"].as_str()?.to_owned())));
    }
    let over = until("the tasks are over", PATIENCE, || {
        let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
        let tasks = described["tasks"].as_array().context("it has tasks")?.clone();
        Ok(tasks.iter().all(|task| task["lastStatus"] == "STOPPED").then_some(tasks))
    });
    crate::interrupt::check()?;
    match over {
        Ok(tasks) => tasks.iter().for_each(|task| judge(course, task)),
        Err(error) => course.ledger.fault(format!("{error:#}")),
    }
    settle(course, stage)
}

fn judge(course: &mut Course, task: &Value) {
    let containers = task["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if task["stopCode"] != "TaskFailedToStart" {
        course.ledger.count("launches that went well", 1);
        return;
    }
    course.ledger.count("launches that failed", 1);
    let said =
        containers.iter().filter_map(|one| one["reason"].as_str()).find(|one| !one.is_empty());
    match said {
        None => course.ledger.fault(format!("no reason: {task}")),
        Some(reason) if !reason.contains("Error: ") => {
            course.ledger.fault(format!("not in AWS's words: {reason}"));
        }
        Some(reason) if reason.contains("injected at ") => {
            course.ledger.count(INJECTED, 1);
        }
        Some(_) => {}
    }
}
