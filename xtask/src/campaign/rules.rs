//! Somebody else flushes the host's firewall rules, as a restarted firewall does, while a task runs.
//!
//! **Invariant**: all of it happens in a network namespace of its own: the host's rules, and other
//! Outports on the host, are not touched.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::{Course, Stage};
use crate::process::{self, output, until};

/// What others do to rules. All of them leave tasks without theirs.
const VANDALS: [&str; 3] =
    ["flush ruleset", "delete table inet TABLE", "flush chain inet TABLE from_tasks"];
/// How long the rules may stay away.
const PATIENCE: Duration = Duration::from_secs(90);
const START_PATIENCE: Duration = Duration::from_secs(60);

pub fn run(course: &mut Course) -> Result<()> {
    // This thread's namespace, and so that of every program that it starts.
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace")?;
    run_program("ip", &["link", "set", "lo", "up"])?;
    let mut stage = course.stage(&[])?;
    let instance = std::fs::read_to_string(stage.subject.data_dir().join("instance"))?;
    let table = format!("outport_{}", instance.trim());
    let address = start_task(&mut stage)?;
    let whole = |text: &str| text.contains(&address) && text.contains("jump task_source");
    while course.ledger.goes_on()? {
        let vandal = course.random.pick(&VANDALS).context("there are some")?;
        run_program("nft", &[&vandal.replace("TABLE", &table)])?;
        let began = Instant::now();
        let back = until("the rules are back", PATIENCE, || {
            let shown = output(Command::new("nft").args(["list", "table", "inet", &table]));
            Ok(shown.is_ok_and(|text| whole(&text)).then_some(()))
        });
        crate::interrupt::check()?;
        if let Err(error) = back {
            course.ledger.fault(format!("after `nft {vandal}`: {error}"));
        }
        let took_ms = u64::try_from(began.elapsed().as_millis())?;
        course.ledger.count("ms without rules", took_ms);
    }
    stage.subject.stop()
}

/// Starts a task that stays; its address.
fn start_task(stage: &mut Stage) -> Result<String> {
    let subnets = [&stage.subnet];
    stage.subject.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": "app", "networkMode": "awsvpc",
            "containerDefinitions": [{ "name": "app", "image": stage.image, "memory": 64 }],
        }),
    )?;
    let run = json!({
        "taskDefinition": "app", "launchType": "EC2",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": subnets } },
    });
    let started = stage.subject.ecs("RunTask", &run)?;
    let arn = started["tasks"][0]["taskArn"].as_str().context("a task")?.to_owned();
    until("the task runs", START_PATIENCE, || {
        let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": [arn] }))?;
        let task = &described["tasks"][0];
        let details = task["attachments"][0]["details"].as_array();
        let address = details
            .into_iter()
            .flatten()
            .find(|detail| detail["name"] == "privateIPv4Address")
            .and_then(|detail| detail["value"].as_str());
        Ok((task["lastStatus"] == "RUNNING").then_some(address.map(str::to_owned)))
    })?
    .context("the task has an address")
}

fn run_program(program: &str, arguments: &[&str]) -> Result<()> {
    process::run(&mut process::command(Path::new("/"), program, arguments))
}
