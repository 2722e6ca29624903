//! `cargo xtask bench api`: the API over many tasks and many revisions, by signed requests over connections that are kept:
//! registrations that are on disk when they are answered, the start over them, memory, describes and lists.
//!
//! The revisions are registered through the API. The tasks are made by an example of the simulation, through planner and
//! store, while the server is stopped: no machine runs a hundred thousand of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Setting;
use super::disk;
use super::figures::Figures;
use super::load::{self, Until};
use super::report::{Figure, Report};
use super::server::Server;
use crate::interrupt;
use crate::process::{Scratch, command, run};
use crate::random::Random;

const REGISTER_CONNECTIONS: usize = 64;
const CONNECTIONS: usize = 16;
const FAMILIES: usize = 1_000;
const TASKS_PER_CALL: usize = 100;
/// Tasks of the service that each cluster has.
const SERVICE_TASKS: usize = 200;
const TASKS_PER_NODE: usize = 100;
/// Calls of a list whose latency is taken, of each size.
const LIST_CALLS: usize = 400;
const STARTS: usize = 3;
/// Requests that are signed before; more would only fill the processor's cache.
const SIGNED: usize = 2_000;

struct Size {
    revisions: usize,
    /// Tasks of the clusters `small` and `large`.
    small: usize,
    large: usize,
    time: Duration,
}

impl Size {
    fn new(quick: bool) -> Self {
        match quick {
            true => {
                Self { revisions: 2_000, small: 400, large: 2_000, time: Duration::from_secs(1) }
            }
            false => Self {
                revisions: 100_000,
                small: 1_000,
                large: 100_000,
                time: Duration::from_secs(4),
            },
        }
    }
}

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let size = Size::new(setting.quick);
    let binary = setting.binary()?;
    let scratch = Scratch::new("bench-api")?;
    let mut report = Report::default();
    let (mut server, _) = Server::start(&binary, &scratch.path().join("data"))?;
    prepare(&mut server)?;
    let idle_mib = restart(&mut server, 1)?.1;
    register(&mut server, &size, scratch.path(), &mut report)?;
    let (start_ms, resident_mib) = restart(&mut server, STARTS)?;
    let kib = |mib: f64, rows: usize| mib * 1024.0 / rows as f64;
    report.add(Figure::new("start over revisions", start_ms, "ms").of("revisions", size.revisions));
    report.add(
        Figure::new(
            "memory of an idle revision",
            kib(resident_mib - idle_mib, size.revisions),
            "KiB",
        )
        .of("revisions", size.revisions)
        .at_most(1.0),
    );
    server.stop()?;
    let clusters = [("small", size.small), ("large", size.large)];
    make_tasks(setting.repository, &server, &clusters)?;
    server.start_again()?;
    let (start_ms, with_tasks_mib) = restart(&mut server, STARTS)?;
    let tasks = size.small + size.large;
    report.add(
        Figure::new("start to the first signed answer", start_ms, "ms")
            .of("revisions", size.revisions)
            .of("tasks", tasks)
            .at_most(500.0),
    );
    report.add(
        Figure::new("memory of a task", kib(with_tasks_mib - resident_mib, tasks), "KiB")
            .of("tasks", tasks),
    );
    report.add(Figure::new("resident memory", with_tasks_mib, "MiB").of("tasks", tasks));
    describes(&mut server, &size, &mut report)?;
    lists(&mut server, &size, &mut report)?;
    server.stop()?;
    Ok(report.into_figures())
}

/// Stops and starts it; the median time to its first answer, and the memory after the last start.
fn restart(server: &mut Server, times: usize) -> Result<(f64, f64)> {
    let mut starts = Figures::default();
    for _ in 0..times {
        interrupt::check()?;
        server.stop()?;
        starts.add(server.start_again()?);
    }
    Ok((starts.percentile_ms(50), server.resident_mib()?))
}

/// A service in each cluster, and the task definition of all tasks.
pub fn prepare(server: &mut Server) -> Result<()> {
    server.ecs("RegisterTaskDefinition", &definition("app", 0))?;
    for cluster in ["small", "large"] {
        server.ecs("CreateCluster", &json!({ "clusterName": cluster }))?;
        server.ecs(
            "CreateService",
            &json!({
                "cluster": cluster, "serviceName": "web", "taskDefinition": "app",
                "desiredCount": SERVICE_TASKS, "launchType": "EC2",
            }),
        )?;
    }
    Ok(())
}

/// What people register: an image, a port, some environment, a log group.
pub fn definition(family: &str, build: usize) -> Value {
    json!({
        "family": family, "networkMode": "bridge", "requiresCompatibilities": ["EC2"],
        "cpu": "256", "memory": "512",
        "containerDefinitions": [{
            "name": "web",
            "image": format!("000000000000.dkr.ecr.us-east-1.amazonaws.com/shop/{family}:build-{build}"),
            "essential": true,
            "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
            "environment": [
                { "name": "DATABASE_URL", "value": format!("postgres://db.internal:5432/{family}") },
                { "name": "LOG_LEVEL", "value": "info" },
                { "name": "RELEASE", "value": format!("build-{build}") },
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": format!("/ecs/{family}"), "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "web",
                },
            },
        }],
    })
}

fn register(server: &mut Server, size: &Size, disk: &Path, report: &mut Report) -> Result<()> {
    let families = FAMILIES.min(size.revisions / 10);
    let mut requests = Vec::new();
    for number in 0..SIGNED.max(families) {
        let input = definition(&format!("family-{:04}", number % families), number);
        requests.push(server.sign_ecs("RegisterTaskDefinition", &input)?);
    }
    let before = disk::fdatasync_rate(disk)?;
    let until = Until::Count(size.revisions);
    let load = load::run(server.address(), &requests, REGISTER_CONNECTIONS, until)?;
    let floor = (before + disk::fdatasync_rate(disk)?) / 2.0;
    report.add(
        Figure::new("RegisterTaskDefinition, durable", load.rate(), "1/s")
            .of("revisions", size.revisions)
            .of("clients", REGISTER_CONNECTIONS)
            .at_least(15_000.0),
    );
    report.add(Figure::new(
        "registrations beside the disk's fdatasync rate",
        load.rate() / floor,
        "x",
    ));
    report.add(Figure::new("fdatasync of 4 KiB (the disk's floor)", floor, "1/s"));
    Ok(())
}

/// So many tasks in each cluster of a server that is stopped.
pub fn make_tasks(repository: &Path, server: &Server, clusters: &[(&str, usize)]) -> Result<()> {
    let arguments = ["run", "--release", "--quiet", "--locked", "-p", "outport-simulation"];
    let mut program = command(repository, "cargo", arguments);
    program.args(["--example", "tasks", "--"]).arg(server.data_dir().join("control"));
    for (cluster, tasks) in clusters {
        program.arg(format!("{cluster}:{}:{tasks}", tasks.div_ceil(TASKS_PER_NODE)));
    }
    run(&mut program)
}

/// All tasks of a cluster, by their ARNs.
fn tasks_of(server: &mut Server, cluster: &str) -> Result<Vec<String>> {
    let (mut arns, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({ "cluster": cluster });
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let mut page = server.ecs("ListTasks", &input)?;
        let listed = page["taskArns"].as_array().context("a list of ARNs")?;
        arns.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(arns);
        }
    }
}

fn describes(server: &mut Server, size: &Size, report: &mut Report) -> Result<()> {
    let mut random = Random::new(1);
    for (tasks_per_call, small_aim, large_aim) in
        [(1, None, Some(30_000.0)), (TASKS_PER_CALL, None, Some(5_000.0))]
    {
        for (cluster, aim) in [("small", small_aim), ("large", large_aim)] {
            let arns = tasks_of(server, cluster)?;
            let mut requests = Vec::new();
            for _ in 0..SIGNED / tasks_per_call.min(20) {
                let tasks: Vec<&String> =
                    (0..tasks_per_call).filter_map(|_| random.pick(&arns)).collect();
                let input = json!({ "cluster": cluster, "tasks": tasks });
                requests.push(server.sign_ecs("DescribeTasks", &input)?);
            }
            let until = Until::Elapsed(size.time);
            let load = load::run(server.address(), &requests, CONNECTIONS, until)?;
            let figure =
                Figure::new(format!("DescribeTasks of {tasks_per_call}"), load.rate(), "1/s")
                    .of("tasks", arns.len());
            report.add(match aim {
                Some(aim) => figure.at_least(aim),
                None => figure,
            });
        }
    }
    let mut requests = Vec::new();
    for number in 0..SIGNED {
        let family = format!("family-{:04}", number % FAMILIES.min(size.revisions / 10));
        let input = json!({ "taskDefinition": format!("{family}:{}", 1 + number % 10) });
        requests.push(server.sign_ecs("DescribeTaskDefinition", &input)?);
    }
    let until = Until::Elapsed(size.time);
    let load = load::run(server.address(), &requests, CONNECTIONS, until)?;
    report.add(
        Figure::new("DescribeTaskDefinition of idle revisions", load.rate(), "1/s")
            .of("revisions", size.revisions)
            .at_least(30_000.0),
    );
    Ok(())
}

/// Each filter in both clusters, in turn.
fn lists(server: &mut Server, size: &Size, report: &mut Report) -> Result<()> {
    let mut worst: f64 = 0.0;
    let filters = [
        ("no filter", json!({})),
        ("family", json!({ "family": "app" })),
        ("serviceName", json!({ "serviceName": "web" })),
        ("startedBy", json!({ "startedBy": "batch-0" })),
        ("containerInstance", Value::Null),
        ("launchType", json!({ "launchType": "EC2" })),
        ("desiredStatus", json!({ "desiredStatus": "STOPPED" })),
        ("family and launchType", json!({ "family": "app", "launchType": "FARGATE" })),
    ];
    for (name, filter) in filters {
        let mut latency = [Figures::default(), Figures::default()];
        let mut requests = Vec::new();
        for cluster in ["small", "large"] {
            let mut input = match filter.is_null() {
                true => json!({ "containerInstance": an_instance(server, cluster)? }),
                false => filter.clone(),
            };
            input["cluster"] = json!(cluster);
            requests.push([server.sign_ecs("ListTasks", &input)?]);
        }
        for _ in 0..LIST_CALLS / 20 {
            for (request, latency) in requests.iter().zip(&mut latency) {
                let load = load::run(server.address(), request, 1, Until::Count(20))?;
                latency.add_all(load.latency);
            }
        }
        let [small, large] = latency.map(|figures| figures.percentile_ms(50) * 1000.0);
        worst = worst.max(large / small);
        report
            .add(Figure::new(format!("ListTasks by {name}"), large, "us").of("tasks", size.large));
        report
            .add(Figure::new(format!("ListTasks by {name}"), small, "us").of("tasks", size.small));
    }
    report.add(
        Figure::new("ListTasks, the slowest filter beside fewer tasks", worst, "x")
            .of("tasks", size.large)
            .of("beside", size.small)
            .at_most(1.5),
    );
    Ok(())
}

fn an_instance(server: &mut Server, cluster: &str) -> Result<Value> {
    let mut instances = server.ecs("ListContainerInstances", &json!({ "cluster": cluster }))?;
    Ok(instances["containerInstanceArns"][0].take())
}
