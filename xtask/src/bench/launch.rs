//! `cargo xtask bench launch`: from a signed RunTask to the first byte that the app writes, with the
//! image present, in turn with `runc run` and `docker run` of the same root file system; bursts; a
//! cold start; idle memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::burst;
use super::docker::{Docker, NETWORKS};
use super::figures::{Figures, head};
use super::runc::Runc;
use crate::process::Scratch;
use crate::subject::Subject;
use crate::{interrupt, setup};

const MODES: [&str; 3] = ["awsvpc", "host", "none"];
const COLD_STARTS: usize = 20;
/// A burst is fifty launches: fewer say as much.
const BURST_SHARE: usize = 10;
const TASKS_PER_CALL_MAX: usize = 10;
/// How often one task's log is looked at.
const LOOK: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(60);
/// The app: one line, then it ends.
const APP: [&str; 2] = ["/bin/echo", "up"];

pub fn run_launch(repository: &Path, runs: usize) -> Result<()> {
    interrupt::watch()?;
    setup::require_root()?;
    setup::install_packages(&setup::BENCH_PROGRAMS)?;
    let binary = setup::build_outport(repository, true)?;
    let scratch = Scratch::new("bench")?;
    measure(repository, &binary, scratch.path(), runs)
}

/// Only the bursts.
pub fn run_burst(repository: &Path, runs: usize) -> Result<()> {
    interrupt::watch()?;
    setup::require_root()?;
    setup::install_packages(&setup::BENCH_PROGRAMS)?;
    let binary = setup::build_outport(repository, true)?;
    let scratch = Scratch::new("bench")?;
    let image = setup::build_image(repository, scratch.path())?;
    let (mut outport, _) = Subject::start(&binary, &scratch.path().join("data"))?;
    outport.ready()?;
    let mut runc = Runc::new(scratch.path(), &rootfs(scratch.path())?, &APP)?;
    let subnet = prepare(&mut outport, &image)?;
    burst::measure(&mut outport, &mut runc, &subnet, runs)?;
    outport.stop()
}

fn measure(repository: &Path, binary: &Path, scratch: &Path, runs: usize) -> Result<()> {
    let image = setup::build_image(repository, scratch)?;
    cold_starts(binary, scratch)?;

    let (mut outport, _) = Subject::start(binary, &scratch.join("data"))?;
    outport.ready()?;
    let rootfs = rootfs(scratch)?;
    let mut runc = Runc::new(scratch, &rootfs, &APP)?;
    let docker = Docker::start(scratch, &rootfs)?;
    let subnet = prepare(&mut outport, &image)?;
    with_peers(&mut outport, &subnet, &mut runc, docker.as_ref(), runs)?;
    burst::measure(&mut outport, &mut runc, &subnet, runs.div_ceil(BURST_SHARE))?;
    outport.stop()
}

/// Pushes the image, registers a task definition for each mode and runs it once, so that the image is
/// present; the id of a subnet.
fn prepare(outport: &mut Subject, image: &Path) -> Result<String> {
    let reference = outport.push(image, "1.0")?;
    let subnet = outport.subnet()?;
    for mode in MODES {
        outport.ecs(
            "RegisterTaskDefinition",
            &json!({
                "family": mode, "networkMode": mode,
                "containerDefinitions": [{
                    "name": "app", "image": reference, "memory": 64, "command": APP }],
            }),
        )?;
        launch(outport, mode, &subnet, 1)?;
    }
    Ok(subnet)
}

fn cold_starts(binary: &Path, scratch: &Path) -> Result<()> {
    let mut cold = Figures::default();
    let mut memory = None;
    for round in 0..COLD_STARTS {
        let data_dir = scratch.join(format!("cold-{round}"));
        let (mut outport, took) = Subject::start(binary, &data_dir)?;
        outport.ready()?;
        memory = Some(outport.memory_mib()?);
        outport.stop()?;
        cold.add(took);
    }
    println!("{}\n{}", head(), cold.row("cold start to first signed reply"));
    if let Some((resident, proportional)) = memory {
        println!("idle memory: {resident:.1} MiB resident, {proportional:.1} MiB proportional");
    }
    Ok(())
}

fn with_peers(
    outport: &mut Subject,
    subnet: &str,
    runc: &mut Runc,
    docker: Option<&Docker>,
    runs: usize,
) -> Result<()> {
    let mut ours: [Figures; 3] = Default::default();
    let mut floor = Figures::default();
    let mut peers: [Figures; NETWORKS.len()] = Default::default();
    for _ in 0..runs {
        interrupt::check()?;
        for (mode, figures) in MODES.iter().zip(&mut ours) {
            figures.add(launch(outport, mode, subnet, 1)?);
        }
        floor.add(runc.first_byte()?);
        if let Some(docker) = docker {
            for (network, figures) in NETWORKS.iter().zip(&mut peers) {
                figures.add(docker.first_byte(network, &APP)?);
            }
        }
    }
    report(&ours, &floor, &peers);
    Ok(())
}

fn report(ours: &[Figures; 3], floor: &Figures, peers: &[Figures; NETWORKS.len()]) {
    println!("{}", head());
    for (mode, figures) in MODES.iter().zip(ours) {
        println!("{}", figures.row(&format!("RunTask to first byte, {mode}")));
    }
    println!("{}", floor.row("runc run"));
    for (network, figures) in NETWORKS.iter().zip(peers).filter(|(_, f)| !f.is_empty()) {
        println!("{}", figures.row(&format!("docker run --network {network}")));
    }
    for (mode, figures) in MODES.iter().zip(ours) {
        let median = figures.percentile_ms(50);
        let mut line = format!("{mode}: {:.2} times runc run", median / floor.percentile_ms(50));
        for (network, peer) in NETWORKS.iter().zip(peers).filter(|(_, f)| !f.is_empty()) {
            let ratio = peer.percentile_ms(50) / median;
            line += &format!(", {ratio:.1} times as fast as docker run --network {network}");
        }
        println!("{line}");
    }
}

/// Starts tasks and waits for the first byte of each; how long until the last had one. Then waits
/// until all are over, so that one launch does not disturb the next.
pub(super) fn launch(
    outport: &mut Subject,
    mode: &str,
    subnet: &str,
    count: usize,
) -> Result<Duration> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    while tasks.len() < count {
        let mut input = json!({
            "taskDefinition": mode, "launchType": "EC2",
            "count": TASKS_PER_CALL_MAX.min(count - tasks.len()),
        });
        if mode == "awsvpc" {
            input["networkConfiguration"] =
                json!({ "awsvpcConfiguration": { "subnets": [subnet] } });
        }
        let answer = outport.ecs("RunTask", &input)?;
        if answer["failures"].as_array().is_some_and(|failures| !failures.is_empty()) {
            bail!("RunTask failed: {}", answer["failures"]);
        }
        for task in answer["tasks"].as_array().context("it has tasks")? {
            tasks.push(task["taskArn"].as_str().context("a task has an ARN")?.to_owned());
        }
    }
    let mut logs: Vec<PathBuf> = tasks
        .iter()
        .map(|arn| outport.log_directory(arn.rsplit('/').next().unwrap_or_default(), "app"))
        .collect();
    while !logs.is_empty() {
        logs.retain(|directory| !has_output(directory));
        if began.elapsed() > PATIENCE {
            bail!("{} of {count} tasks wrote nothing: {}", logs.len(), outport.log()?);
        }
        // Many directories: looking must not take the processors from what is measured.
        std::thread::sleep(LOOK * u32::try_from(logs.len())?);
    }
    let took = began.elapsed();
    for calls in tasks.chunks(100) {
        loop {
            let described = outport.ecs("DescribeTasks", &json!({ "tasks": calls }))?;
            let tasks = described["tasks"].as_array().context("it has tasks")?;
            if tasks.iter().all(|task| task["lastStatus"] == "STOPPED") {
                break;
            }
            if began.elapsed() > PATIENCE {
                bail!("the tasks did not stop: {}", outport.log()?);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(took)
}

/// Whether a container's log has a byte.
fn has_output(directory: &Path) -> bool {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files.into_iter().any(|file| {
        let is_log = file.file_name().to_string_lossy().ends_with(".log");
        is_log && file.metadata().is_ok_and(|metadata| metadata.len() > 0)
    })
}

/// The root file system that the peers run: the image's own files.
fn rootfs(scratch: &Path) -> Result<PathBuf> {
    let rootfs = scratch.join("rootfs");
    for name in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        std::fs::create_dir_all(rootfs.join(name))?;
    }
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox"))?;
    std::os::unix::fs::symlink("/bin/busybox", rootfs.join("bin/echo"))?;
    Ok(rootfs)
}
