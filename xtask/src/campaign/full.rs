//! A disk that fills, of bytes or of inodes, by a container, a push, log events or a stranger's files,
//! while tasks run: they go on, the API answers, tasks can be stopped, and when there is room again all is
//! as before, without a restart.
//!
//! **Invariant**: what is filled is a file system of the campaign's own, in a sparse file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Course, Stage};
use crate::process::{self, Scratch, until};

/// Large enough for the floors below which parts stop to lie apart, small enough to be filled fast.
const DISK_MIB: u64 = 768;
const DISK_INODES: u64 = 16_384;
const PATIENCE: Duration = Duration::from_secs(90);
/// Of a push and of a batch of log events.
const PUSH_BYTES: usize = 12 << 20;
const BATCH_BYTES: usize = 1_000_000;
/// Fillers that stop by themselves never come to so many.
const STEPS_MAX: usize = 4_096;
const REPOSITORY: &str = "chore";
const LOG_GROUP: &str = "full";

#[derive(Clone, Copy, Debug)]
enum Filler {
    Stranger,
    Container,
    Push,
    Logs,
    Files,
}

/// Fills the bytes of the disk.
pub fn run(course: &mut Course) -> Result<()> {
    rounds(course, &[Filler::Stranger, Filler::Container, Filler::Push, Filler::Logs])
}

/// Fills its inodes.
pub fn run_inodes(course: &mut Course) -> Result<()> {
    rounds(course, &[Filler::Files])
}

/// A file system of a known size, mounted while this lives.
struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    fn mount(scratch: &Path) -> Result<Self> {
        let (image, directory) = (scratch.join("disk.img"), scratch.join("data"));
        File::create(&image)?.set_len(DISK_MIB << 20)?;
        let inodes = DISK_INODES.to_string();
        run_program("mkfs.ext4", &["-q", "-F", "-m", "0", "-N", &inodes, path(&image)?])?;
        fs::create_dir(&directory)?;
        run_program("mount", &["-o", "loop", path(&image)?, path(&directory)?])?;
        Ok(Self { directory })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = path(&self.directory).and_then(|at| run_program("umount", &["--lazy", at]));
        if let Err(error) = unmounted {
            eprintln!("{error:#}");
        }
    }
}

fn rounds(course: &mut Course, fillers: &[Filler]) -> Result<()> {
    let scratch = Scratch::new("campaign-disk")?;
    let disk = SmallDisk::mount(scratch.path())?;
    let mut stage = course.stage_at(&disk.directory, &[])?;
    prepare(&mut stage)?;
    let witness = run_until_running(&mut stage, "idle")?;
    while course.ledger.goes_on()? {
        let filler = *course.random.pick(fillers).context("there are some")?;
        if let Err(error) = round(&mut stage, &disk.directory, filler, &witness) {
            crate::interrupt::check()?;
            course.ledger.fault(format!("{filler:?}: {error:#}"));
            empty(&mut stage, &disk.directory)?;
        }
        stage.subject.outport()?.require_running()?;
    }
    stop_and_wait(&mut stage, &witness)?;
    stage.subject.stop()
}

fn prepare(stage: &mut Stage) -> Result<()> {
    // The victims say what they do: a full disk has no room for another definition.
    for (family, command) in [
        ("idle", "trap 'exit 0' TERM; while true; do sleep 1; done"),
        (
            "filler",
            "trap 'exit 0' TERM; dd if=/dev/zero of=/fill bs=1M; while true; do sleep 1; done",
        ),
    ] {
        let container = json!({
            "name": "app", "image": stage.image, "memory": 64,
            "entryPoint": ["sh", "-c"], "command": [command],
        });
        let definition =
            json!({ "family": family, "networkMode": "none", "containerDefinitions": [container] });
        stage.subject.ecs("RegisterTaskDefinition", &definition)?;
    }
    stage.subject.logs("CreateLogGroup", &json!({ "logGroupName": LOG_GROUP }))?;
    Ok(())
}

fn round(stage: &mut Stage, disk: &Path, filler: Filler, witness: &str) -> Result<()> {
    let victim = run_until_running(stage, "idle")?;
    let filling = fill(stage, disk, filler).context("while it was filled")?;
    let running = status(stage, witness).context("the API on a full disk")?;
    if running["lastStatus"] != "RUNNING" {
        bail!("a task that did nothing is {}: {}", running["lastStatus"], running["stoppedReason"]);
    }
    stop_and_wait(stage, &victim).context("a stop on a full disk")?;
    if let Some(task) = filling {
        stop_and_wait(stage, &task).context("the stop of the task that filled the disk")?;
    }
    empty(stage, disk)?;
    let again = run_until_running(stage, "idle").context("after there was room again")?;
    stop_and_wait(stage, &again)
}

/// Until there is nothing left, or its part is refused; then a stranger takes the rest.
fn fill(stage: &mut Stage, disk: &Path, filler: Filler) -> Result<Option<String>> {
    match filler {
        Filler::Stranger => {}
        Filler::Files => {
            let directory = disk.join("strangers");
            fs::create_dir(&directory)?;
            let mut number = 0_u64;
            while File::create(directory.join(number.to_string())).is_ok() {
                number += 1;
            }
            return Ok(None);
        }
        Filler::Container => {
            let task = run_until_running(stage, "filler")?;
            // Stopped for it by the node, or at the end of its disk.
            until("the container has filled the disk", PATIENCE, || {
                let task = status(stage, &task)?;
                let free = free_bytes(disk)?;
                let is_over = task["lastStatus"] == "STOPPED" || free < (DISK_MIB << 20) / 40;
                Ok(is_over.then_some(()))
            })?;
            take_the_rest(disk)?;
            return Ok(Some(task));
        }
        Filler::Push => push(stage)?,
        Filler::Logs => put_logs(stage)?,
    }
    take_the_rest(disk)?;
    Ok(None)
}

fn push(stage: &mut Stage) -> Result<()> {
    use base64::Engine;
    for step in 0..STEPS_MAX {
        let upload = match stage
            .subject
            .ecr("InitiateLayerUpload", &json!({ "repositoryName": REPOSITORY }))
        {
            Ok(upload) => upload,
            Err(_refused) => return Ok(()),
        };
        let mut bytes = vec![0_u8; PUSH_BYTES];
        bytes[..8].copy_from_slice(&(step as u64).to_le_bytes());
        let part = json!({
            "repositoryName": REPOSITORY,
            "uploadId": upload["uploadId"],
            "partFirstByte": 0,
            "partLastByte": PUSH_BYTES - 1,
            "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(&bytes),
        });
        if stage.subject.ecr("UploadLayerPart", &part).is_err() {
            return Ok(());
        }
    }
    bail!("pushes are never refused")
}

fn put_logs(stage: &mut Stage) -> Result<()> {
    let stream = json!({ "logGroupName": LOG_GROUP, "logStreamName": "s" });
    if let Err(error) = stage.subject.logs("CreateLogStream", &stream)
        && !error.to_string().contains("AlreadyExists")
    {
        return Err(error);
    }
    let mut seed = 1_u64;
    for _ in 0..STEPS_MAX {
        // Text that does not pack well.
        let message: String = (0..BATCH_BYTES / 16)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{seed:016x}")
            })
            .collect();
        let now_ms =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let batch = json!({
            "logGroupName": LOG_GROUP, "logStreamName": "s",
            "logEvents": [{ "timestamp": u64::try_from(now_ms)?, "message": message }],
        });
        if stage.subject.logs("PutLogEvents", &batch).is_err() {
            return Ok(());
        }
    }
    bail!("log events are never refused")
}

/// To the last byte, as whoever shares the disk may.
fn take_the_rest(disk: &Path) -> Result<()> {
    let mut file = File::create(disk.join("stranger"))?;
    for size in [1 << 20, 4096, 1] {
        let bytes = vec![7_u8; size];
        while file.write_all(&bytes).is_ok() {}
    }
    Ok(())
}

/// Removes everything that fillers leave.
fn empty(stage: &mut Stage, disk: &Path) -> Result<()> {
    let _none = fs::remove_file(disk.join("stranger"));
    let _none = fs::remove_dir_all(disk.join("strangers"));
    let tasks = stage.subject.ecs("ListTasks", &json!({ "family": "filler" }))?;
    for task in tasks["taskArns"].as_array().into_iter().flatten() {
        let task = task.as_str().unwrap_or_default().to_owned();
        stop_and_wait(stage, &task)?;
    }
    // A group is gone with its events; uploads go when their repository does.
    stage.subject.logs("DeleteLogGroup", &json!({ "logGroupName": LOG_GROUP }))?;
    until("log groups are made again", PATIENCE, || {
        let made = stage.subject.logs("CreateLogGroup", &json!({ "logGroupName": LOG_GROUP }));
        Ok(made.ok().map(drop))
    })?;
    let uploads = disk.join("registry/uploads");
    for file in fs::read_dir(&uploads)?.flatten() {
        // A day later the registry does it itself.
        File::options().write(true).open(file.path())?.set_len(0)?;
    }
    Ok(())
}

/// Starts a task; the next attempt where there is no room yet.
fn run_until_running(stage: &mut Stage, family: &str) -> Result<String> {
    let mut last = String::new();
    let arn = until("a task runs", PATIENCE, || {
        let started = stage.subject.ecs("RunTask", &json!({ "taskDefinition": family }));
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                last = error.to_string();
                return Ok(None);
            }
        };
        let Some(arn) = started["tasks"][0]["taskArn"].as_str().map(str::to_owned) else {
            last = started["failures"].to_string();
            return Ok(None);
        };
        let over = until("it runs or is over", PATIENCE, || {
            let task = status(stage, &arn)?;
            let known = ["RUNNING", "STOPPED"].iter().any(|known| task["lastStatus"] == *known);
            Ok(known.then_some(task))
        })?;
        if over["lastStatus"] == "RUNNING" {
            return Ok(Some(arn));
        }
        last = over["stoppedReason"].to_string();
        if over["stoppedReason"].as_str().unwrap_or_default().is_empty() {
            bail!("a task stopped without a reason: {over}");
        }
        Ok(None)
    });
    arn.with_context(|| format!("the last attempt: {last}"))
}

fn stop_and_wait(stage: &mut Stage, arn: &str) -> Result<()> {
    stage.subject.ecs("StopTask", &json!({ "task": arn }))?;
    until("the task is STOPPED", PATIENCE, || {
        Ok((status(stage, arn)?["lastStatus"] == "STOPPED").then_some(()))
    })
}

fn status(stage: &mut Stage, arn: &str) -> Result<Value> {
    let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": [arn] }))?;
    Ok(described["tasks"][0].clone())
}

fn free_bytes(disk: &Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(disk)?;
    Ok(found.blocks_available() * found.fragment_size())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path of plain letters")
}

fn run_program(program: &str, arguments: &[&str]) -> Result<()> {
    process::run(&mut process::command(Path::new("/"), program, arguments))
}
