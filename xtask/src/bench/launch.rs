//! `cargo xtask bench launch`: from a signed RunTask to the first byte that the app writes, with the
//! image present, in turn with `runc run` and `docker run` of the same root file system; bursts; the same over many
//! standing tasks; a cold start; idle memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Setting;
use super::burst;
use super::docker::{Docker, NETWORKS};
use super::figures::Figures;
use super::report::{Figure, Report};
use super::runc::Runc;
use crate::process::Scratch;
use crate::subject::Subject;
use crate::{interrupt, setup};

const MODES: [&str; 3] = ["awsvpc", "host", "none"];
/// What a launch in each of them may take, beside `runc run` in the same run: what it took on the machine that the aim was
/// set on, 21 ms and 11 ms beside 20 ms.
const BESIDE_RUNC_AIMS: [Option<f64>; 3] = [Some(21.0 / 20.0), Some(11.0 / 20.0), None];
const TASKS_PER_CALL_MAX: usize = 10;
/// How often one task's log is looked at.
const LOOK: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the log, when tasks did not start.
const LOG_LINES_SHOWN: usize = 20;
/// The app: one line, then it ends.
pub(super) const APP: [&str; 2] = ["/bin/echo", "up"];
/// The family of the tasks that stand around: one line, then they stay.
const STANDING: &str = "standing";

struct Size {
    cold_starts: usize,
    /// Launches in each mode, and of each peer.
    runs: usize,
    bursts: usize,
    standing_tasks: usize,
}

impl Size {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { cold_starts: 2, runs: 3, bursts: 1, standing_tasks: 20 },
            false => Self { cold_starts: 20, runs: 60, bursts: 6, standing_tasks: 500 },
        }
    }
}

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    setup::require_root()?;
    setup::install_packages(&setup::BENCH_PROGRAMS)?;
    let (size, binary) = (Size::new(setting.quick), setting.binary()?);
    let scratch = Scratch::new("bench")?;
    let scratch = scratch.path();
    let image = setup::build_image(setting.repository, scratch)?;
    let mut report = Report::default();
    cold_starts(&binary, scratch, &size, &mut report)?;

    let (mut outport, _) = Subject::start(&binary, &scratch.join("data"))?;
    outport.ready()?;
    let rootfs = rootfs(scratch)?;
    let mut runc = Runc::new(scratch, &rootfs, &APP)?;
    let docker = Docker::start(scratch, &rootfs)?;
    let subnet = prepare(&mut outport, &image)?;
    with_peers(&mut outport, &subnet, &mut runc, docker.as_ref(), &size, &mut report)?;
    burst::measure(&mut outport, &mut runc, &subnet, size.bursts, &mut report)?;
    over_standing_tasks(&mut outport, &subnet, &size, &mut report)?;
    outport.stop()?;
    Ok(report.into_figures())
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
    outport.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": STANDING, "networkMode": "none",
            "containerDefinitions": [{
                "name": "app", "image": reference, "memory": 6,
                "command": ["/bin/sh", "-c", "echo up; exec sleep 1000000"] }],
        }),
    )?;
    Ok(subnet)
}

fn cold_starts(binary: &Path, scratch: &Path, size: &Size, report: &mut Report) -> Result<()> {
    let (mut cold, mut resident) = (Figures::default(), 0.0);
    for round in 0..size.cold_starts {
        interrupt::check()?;
        let data_dir = scratch.join(format!("cold-{round}"));
        let (mut outport, took) = Subject::start(binary, &data_dir)?;
        outport.ready()?;
        resident = outport.memory_mib()?.0;
        outport.stop()?;
        cold.add(took);
    }
    report.add(Figure::new(
        "start without data, to the first signed answer",
        cold.percentile_ms(50),
        "ms",
    ));
    report.add(Figure::new("memory without tasks, resident", resident, "MiB").at_most(20.0));
    Ok(())
}

fn with_peers(
    outport: &mut Subject,
    subnet: &str,
    runc: &mut Runc,
    docker: Option<&Docker>,
    size: &Size,
    report: &mut Report,
) -> Result<()> {
    let mut ours: [Figures; 3] = Default::default();
    let mut floor = Figures::default();
    let mut peers: [Figures; NETWORKS.len()] = Default::default();
    for _ in 0..size.runs {
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
    let subject = |mode: &str| format!("RunTask to first byte, {mode}");
    let of_ours = MODES.iter().map(|mode| subject(mode)).zip(&ours);
    let of_peers = NETWORKS.iter().map(|network| format!("docker run, network {network}"));
    let of_peers = of_peers.zip(&peers).filter(|(_, figures)| !figures.is_empty());
    for (name, figures) in of_ours.chain([("runc run".to_owned(), &floor)]).chain(of_peers) {
        for (percentile, words) in [(50, "median"), (95, "95th percentile")] {
            let value = figures.percentile_ms(percentile);
            report.add(Figure::new(name.as_str(), value, "ms").of("of", words));
        }
    }
    let median = |figures: &Figures| figures.percentile_ms(50);
    let [awsvpc, host, _] = &ours;
    let ratio = median(awsvpc) / median(host);
    report.add(Figure::new("awsvpc beside host", ratio, "x").at_most(1.5));
    for ((mode, aim), figures) in MODES.iter().zip(BESIDE_RUNC_AIMS).zip(&ours) {
        let ratio = median(figures) / median(&floor);
        let figure = Figure::new(format!("{mode} beside runc run"), ratio, "x");
        report.add(match aim {
            Some(aim) => figure.at_most(aim),
            None => figure,
        });
    }
    let [bridge, ..] = &peers;
    if !bridge.is_empty() {
        let ratio = median(bridge) / median(awsvpc);
        report.add(Figure::new("docker run, network bridge, beside awsvpc", ratio, "x"));
    }
    Ok(())
}

/// The same launches while many tasks stand on the host, beside what they took without.
fn over_standing_tasks(
    outport: &mut Subject,
    subnet: &str,
    size: &Size,
    report: &mut Report,
) -> Result<()> {
    let sample = |outport: &mut Subject| -> Result<[Figures; 3]> {
        let mut figures: [Figures; 3] = Default::default();
        for _ in 0..size.runs {
            interrupt::check()?;
            for (mode, figures) in MODES.iter().zip(&mut figures) {
                figures.add(launch(outport, mode, subnet, 1)?);
            }
        }
        Ok(figures)
    };
    let before = sample(outport)?;
    let standing = run(outport, STANDING, subnet, size.standing_tasks)?;
    until_written(outport, &standing, Instant::now())?;
    let over = sample(outport)?;
    for ((mode, over), before) in MODES.iter().zip(&over).zip(&before) {
        let (over, before) = (over.percentile_ms(50), before.percentile_ms(50));
        let figure = Figure::new(format!("RunTask to first byte, {mode}"), over, "ms");
        report.add(figure.of("standing tasks", size.standing_tasks));
        let figure =
            Figure::new(format!("{mode} over standing tasks, beside none"), over / before, "x");
        report.add(figure.of("standing tasks", size.standing_tasks).at_most(1.5));
    }
    Ok(())
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
    let tasks = run(outport, mode, subnet, count)?;
    until_written(outport, &tasks, began)?;
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

/// Starts tasks; their ARNs.
fn run(outport: &mut Subject, family: &str, subnet: &str, count: usize) -> Result<Vec<String>> {
    let mut tasks = Vec::new();
    while tasks.len() < count {
        let mut input = json!({
            "taskDefinition": family, "launchType": "EC2",
            "count": TASKS_PER_CALL_MAX.min(count - tasks.len()),
        });
        if family.starts_with("awsvpc") {
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
    Ok(tasks)
}

/// Waits until each of the tasks has written a byte.
fn until_written(outport: &mut Subject, tasks: &[String], began: Instant) -> Result<()> {
    let directory =
        |arn: &String| outport.log_directory(arn.rsplit('/').next().unwrap_or_default(), "app");
    // With whether it was there: one that has gone is of a task that is over, and its log with the control plane.
    let mut logs: Vec<(PathBuf, bool)> = tasks.iter().map(|arn| (directory(arn), false)).collect();
    while !logs.is_empty() {
        logs.retain_mut(|(directory, was_there)| {
            let is_there = directory.exists();
            let has_gone = *was_there && !is_there;
            *was_there = is_there;
            !has_gone && !has_output(directory)
        });
        if began.elapsed() > PATIENCE {
            let (left, count) = (logs.len(), tasks.len());
            let log = outport.log()?;
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            bail!("{left} of {count} tasks wrote nothing: {}", last.join("\n"));
        }
        // Many directories: looking must not take the processors from what is measured.
        std::thread::sleep(LOOK * u32::try_from(logs.len())?);
    }
    Ok(())
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
