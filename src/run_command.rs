//! `outport run -- COMMAND`: an Outport of the command's own, for tests: on a free port and range, with the environment that
//! points AWS tools to it, gone at the end.
//!
//! ```text
//! outport run ── starts ──→ outport scratch   an `up` on a scratch data directory, which ends with its standard input
//!      └─────── starts ──→ COMMAND
//! ```
//!
//! **Invariant:** however `outport run` ends, by SIGKILL too, its pipe to the other one closes: that stops its tasks, at first
//! with their own time and then without, and removes the directory.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outport_operator::{Api, LogsOptions, PsOptions, Shape};
use outport_tree_removal::remove_tree;

use crate::command_line::{Run, Up};
use crate::data_dir::DataDir;
use crate::stop_signal::StopSignal;
use crate::{environment, instances, operator, output, preflight, up};

const READY: &str = "outport is ready at ";
/// What tasks get to end by themselves; tests leave some behind that nobody needs any more.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Of the log of an Outport that did not start or did not end well, as many lines are shown.
const LINES_SHOWN: usize = 20;

/// Runs the command; its exit code, or 128 and the signal that ended it.
///
/// # Errors
/// When there can be no Outport, or no such command.
pub fn run(options: &Run) -> Result<ExitCode> {
    preflight::check_root()?;
    let scratch = Scratch::make()?;
    let mut outport = Outport::start(&scratch.0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut stop = StopSignal::listen()?;
        let status = command(options, &scratch.data_dir(), &mut stop).await?;
        if !status.success() {
            // It is the command that failed: what cannot be collected is not worth another error.
            if let Err(error) = collect(options, &scratch).await {
                output::complain(format_args!("cannot collect what there is: {error:#}"));
            }
        }
        Ok::<_, anyhow::Error>(status)
    });
    let stopped = outport.stop();
    let status = ended?;
    stopped?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The command with the environment of the Outport. A signal ends the command first, so that what it does at its end
/// still finds an Outport.
async fn command(options: &Run, data_dir: &Path, stop: &mut StopSignal) -> Result<ExitStatus> {
    let (program, arguments) = options.command.split_first().context("no command was given")?;
    let endpoint = DataDir::published(data_dir)?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .envs(environment::variables(&endpoint, false))
        // For `outport ps` and the like.
        .env("OUTPORT_DATA_DIR", data_dir)
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN");
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(ended?),
            () = stop.received() => {
                let id = child.id().and_then(|id| i32::try_from(id).ok());
                // One that has ended meanwhile takes no signal.
                id.map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
            }
        }
    }
}

/// What tells why a test failed: on standard error which tasks there were, and with `--logs` everything in files.
async fn collect(options: &Run, scratch: &Scratch) -> Result<()> {
    let data_dir = scratch.data_dir();
    let api = Api::new(operator::endpoint_of(&data_dir)?)?;
    let all = PsOptions { with_stopped: true, ..PsOptions::default() };
    let tasks = outport_operator::ps(&api, &all, Shape::default()).await?;
    if tasks.lines().count() > 1 {
        output::complain(format_args!("the command failed; the tasks of its Outport:\n{tasks}"));
    }
    let Some(logs) = &options.logs else { return Ok(()) };
    let made = || format!("cannot write to {}", logs.display());
    std::fs::create_dir_all(logs).with_context(made)?;
    std::fs::copy(scratch.log(), logs.join("outport.log")).with_context(made)?;
    std::fs::write(logs.join("tasks.txt"), &tasks).with_context(made)?;
    for id in tasks.lines().skip(1).filter_map(|line| line.split_whitespace().next()) {
        let of = LogsOptions {
            of: id.to_owned(),
            with_times: true,
            node: Some(data_dir.join("node")),
            ..LogsOptions::default()
        };
        let (mut text, mut missing) = (String::new(), String::new());
        let print = |part: &str| {
            text.push_str(part);
            Ok(())
        };
        let complain = |line: &str| missing.push_str(&format!("{line}\n"));
        if let Err(error) = outport_operator::logs(&api, &of, print, complain).await {
            missing.push_str(&format!("{error:#}\n"));
        }
        text.push_str(&missing);
        std::fs::write(logs.join(format!("task-{id}.log")), text).with_context(made)?;
    }
    Ok(())
}

/// An `up` that ends with its standard input, and takes its data directory with it.
pub async fn scratch(mut options: Up) -> Result<()> {
    // Whatever the environment says.
    options.keep_tasks = false;
    let data_dir = options.control_plane.data_dir.data_dir.clone();
    let is_left_alone = Arc::new(AtomicBool::new(false));
    let notices = Arc::clone(&is_left_alone);
    // A thread of its own: a runtime would wait for the end of the read.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        notices.store(true, Ordering::Release);
        for _ in 0..2 {
            // To this process: it cannot fail.
            let _ = kill(Pid::this(), Signal::SIGTERM);
            std::thread::sleep(STOP_PATIENCE);
        }
    });
    let ended = up::run(options).await;
    // A start that failed may have made a network for tasks already, and nobody starts here again.
    if ended.is_err() {
        remove_what_is_on_the_host(&data_dir);
    }
    // Who started it still wants to read why it ended, and removes it then.
    if is_left_alone.load(Ordering::Acquire) {
        let parent = data_dir.parent().unwrap_or(&data_dir);
        remove_tree(parent).with_context(|| format!("cannot remove {}", parent.display()))?;
    }
    ended
}

fn remove_what_is_on_the_host(data_dir: &Path) {
    let Ok(instance) = DataDir::instance_of(data_dir) else { return };
    if instances::check_id(&instance).is_err() {
        return;
    }
    let removed = match instances::claim(&instance) {
        Ok(Some(_claim)) => instances::remove(&instance, Some(&data_dir.join("node"))),
        // Somebody cleans up already.
        Ok(None) => return,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = removed {
        output::complain(format_args!(
            "{error:#}: the rest is removed by: outport cleanup --instance {instance}"
        ));
    }
}

/// Data directory and log of the Outport.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("outport-run-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn data_dir(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.join("outport.log")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The other one has, unless it could not start.
        if self.0.exists()
            && let Err(error) = remove_tree(&self.0)
        {
            output::complain(format_args!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

struct Outport {
    process: Child,
    /// Nothing is left to say of its end.
    is_over: bool,
    /// `None` once it was read to its end.
    log: Option<JoinHandle<LastLines>>,
}

impl Outport {
    fn start(directory: &Path) -> Result<Self> {
        let path = directory.join("outport.log");
        let log = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let data_dir = directory.join("data");
        let options: [OsString; 5] = [
            "scratch".into(),
            "--listen".into(),
            "127.0.0.1:0".into(),
            "--data-dir".into(),
            data_dir.into(),
        ];
        let mut process = Command::new("/proc/self/exe")
            // In lists of processes.
            .arg0("outport")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for the command, and then for us.
            .process_group(0)
            .spawn()
            .context("cannot start an Outport")?;
        let said = process.stdout.take().context("its standard output")?;
        let complained = process.stderr.take().context("its standard error")?;
        let keeping = std::thread::spawn(move || LastLines::of(complained, log));
        let mut outport = Self { process, is_over: false, log: Some(keeping) };
        let mut lines = BufReader::new(said).lines();
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with(READY));
        if !is_ready {
            let _ = outport.process.wait();
            outport.is_over = true;
            bail!("the Outport of the command did not start:{}", outport.last_lines());
        }
        // What it says beside is nobody's, and it must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(outport)
    }

    /// Closes its standard input, and waits for its end. Once more does nothing.
    fn stop(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        let said = self.last_lines();
        if !status.success() {
            bail!("the Outport of the command did not end well ({status}):{said}");
        }
        Ok(())
    }

    /// What it logged last, once it has ended: a line each, with a line break before.
    fn last_lines(&mut self) -> String {
        let Some(Ok(log)) = self.log.take().map(JoinHandle::join) else { return String::new() };
        if let Some(error) = &log.not_written {
            output::complain(format_args!("the log of the Outport has a gap: {error}"));
        }
        log.lines.iter().map(|line| format!("\n{line}")).collect()
    }
}

impl Drop for Outport {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            output::complain(error);
        }
    }
}

/// The end of a log, in memory: where the disk is full the file has nothing of it.
#[derive(Debug, Default)]
struct LastLines {
    lines: VecDeque<String>,
    /// Why not all of it is in the file; the first error.
    not_written: Option<std::io::Error>,
}

impl LastLines {
    /// Reads to the end, and keeps all of it in the file as far as that takes it.
    fn of(log: impl Read, mut file: impl Write) -> Self {
        let mut last = Self::default();
        for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
            let mut bytes = line.clone();
            bytes.push(b'\n');
            if let Err(error) = file.write_all(&bytes) {
                last.not_written.get_or_insert(error);
            }
            if last.lines.len() == LINES_SHOWN {
                last.lines.pop_front();
            }
            last.lines.push_back(String::from_utf8_lossy(&line).into_owned());
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_known_where_no_file_takes_it() {
        let log: String = (0..LINES_SHOWN + 5).map(|number| format!("line {number}\n")).collect();
        let mut file = Vec::new();
        let last = LastLines::of(log.as_bytes(), &mut file);
        assert_eq!(file, log.as_bytes());
        assert!(last.not_written.is_none());
        let mut full = [0_u8; 8];
        let last = LastLines::of(log.as_bytes(), &mut full[..]);
        assert!(last.not_written.is_some());
        assert_eq!(last.lines.len(), LINES_SHOWN);
        assert_eq!(last.lines.front().unwrap(), "line 5");
    }
}
