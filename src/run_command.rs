//! `outport run -- COMMAND`: an Outport of the command's own, for tests: on a free port and range, with the environment that
//! points AWS tools to it, gone at the end.
//!
//! ```text
//! outport run ── starts ──→ outport scratch   an `up` on a scratch data directory, which ends with its standard input
//!      └─────── starts ──→ COMMAND
//! ```
//!
//! | who ends by SIGKILL | what ends the rest |
//! |---|---|
//! | `outport run` | its pipe to the other one closes: that stops its tasks, at first with their own time and then without, and removes the directory; the kernel sends the command SIGTERM |
//! | `outport scratch` | `outport run` sees it, says so, ends the command, and removes what is on the host and the directory |
//! | both | the next `outport run` or `outport cleanup --all`, see `scratch_dir` |
//!
//! **Invariant:** however `outport run` ends, nothing stays for good. What the command has started itself is the command's to end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid};
use outport_operator::{Api, LogsOptions, PsOptions, Shape};
use outport_tree_removal::remove_tree;

use crate::command_line::{Run, Up};
use crate::data_dir::DataDir;
use crate::scratch_dir::{self, ScratchDir, remove_what_is_on_the_host};
use crate::stop_signal::StopSignal;
use crate::{environment, operator, output, preflight, up};

const READY: &str = "outport is ready at ";
/// What tasks get to end by themselves; tests leave some behind that nobody needs any more.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether the Outport of the command is still there.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What a command gets to end by itself whose Outport is gone.
const COMMAND_PATIENCE: Duration = Duration::from_secs(10);
/// Of the log of an Outport that did not start or did not end well, as many lines are shown.
const LINES_SHOWN: usize = 20;

/// As a shell says that there is no such command, and that it cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the command; its exit code, or 128 and the signal that ended it; 127 when there is no such command, 126 when it cannot be
/// executed.
///
/// # Errors
/// When there can be no Outport, or nowhere to write logs to.
pub fn run(options: &Run) -> Result<ExitCode> {
    preflight::check_root()?;
    if let Some(logs) = &options.logs {
        check_logs(logs)?;
    }
    if let Err((code, why)) = find_program(options) {
        output::fail(why);
        return Ok(ExitCode::from(code));
    }
    for directory in scratch_dir::remove_dead() {
        output::complain(format_args!(
            "removed {}, with what was on the host of it: an `outport run` was killed",
            directory.display()
        ));
    }
    let scratch = ScratchDir::make()?;
    let mut outport = Outport::start(&scratch)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut stop = StopSignal::listen()?;
        let status = command(options, &scratch.data_dir(), &mut stop, &mut outport).await?;
        if !status.success() && outport.is_there()? {
            // It is the command that failed: what cannot be collected is not worth another error.
            if let Err(error) = collect(options, &scratch).await {
                output::complain(format_args!("cannot collect what there is: {error:#}"));
            }
        }
        Ok::<_, anyhow::Error>(status)
    });
    let stopped = outport.stop();
    if stopped.is_err() {
        remove_what_is_on_the_host(&scratch.data_dir());
    }
    let status = ended?;
    stopped?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// That a failure can be told at the end, before there is any.
fn check_logs(logs: &Path) -> Result<()> {
    let made = || format!("--logs {}: nothing can be written there", logs.display());
    std::fs::create_dir_all(logs).with_context(made)?;
    let trial = logs.join(format!(".outport-{}", std::process::id()));
    let write = || File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial));
    write().with_context(made)
}

/// Looks for the command as `execvp` does, so that a name that was mistyped starts no Outport.
fn find_program(options: &Run) -> Result<(), (u8, String)> {
    let program = options.command.first().map(OsString::as_os_str).unwrap_or_default();
    let shown = program.to_string_lossy();
    let paths: Vec<PathBuf> = if program.as_encoded_bytes().contains(&b'/') {
        vec![program.into()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        std::env::split_paths(&path).map(|directory| directory.join(program)).collect()
    };
    let found: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    let may_run = |path: &&&PathBuf| {
        path.is_file() && nix::unistd::access(path.as_path(), AccessFlags::X_OK).is_ok()
    };
    match (found.is_empty(), found.iter().any(|path| may_run(&path))) {
        (true, _) => Err((NOT_FOUND, format!("there is no command {shown}"))),
        (false, false) => Err((NOT_EXECUTABLE, format!("{shown} cannot be executed"))),
        (false, true) => Ok(()),
    }
}

/// The command with the environment of the Outport. A signal ends the command first, so that what it does at its end
/// still finds an Outport; it does not go on without one.
async fn command(
    options: &Run,
    data_dir: &Path,
    stop: &mut StopSignal,
    outport: &mut Outport,
) -> Result<ExitStatus> {
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
    ends_with_this_process(&mut command);
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(ended?),
            () = stop.received() => terminate(&child),
            _ = look.tick() => {
                if outport.is_there()? {
                    continue;
                }
                output::complain("the Outport of the command is gone: ending the command");
                terminate(&child);
                if let Ok(ended) = tokio::time::timeout(COMMAND_PATIENCE, child.wait()).await {
                    return Ok(ended?);
                }
                child.kill().await?;
                return Ok(child.wait().await?);
            }
        }
    }
}

fn terminate(child: &tokio::process::Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    // One that has ended meanwhile takes no signal.
    id.map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
}

/// The kernel sends the command SIGTERM when this process ends, however that is. To be called on the main thread, since it is
/// the thread that is waited for. A program with rights of its own (set-user-ID) is not told, nor is what the command starts.
#[allow(unsafe_code)]
fn ends_with_this_process(command: &mut tokio::process::Command) {
    let own = Pid::this();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        // It may have ended before that was asked for.
        match Pid::parent() == own {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe functions may be called: these are the system calls prctl and
    // getppid, and no memory is allocated.
    unsafe {
        command.pre_exec(ask);
    }
}

/// What tells why a test failed: on standard error which tasks there were, and with `--logs` everything in files.
async fn collect(options: &Run, scratch: &ScratchDir) -> Result<()> {
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

struct Outport {
    process: Child,
    /// Nothing is left to say of its end.
    is_over: bool,
    /// `None` once it was read to its end.
    log: Option<JoinHandle<LastLines>>,
}

impl Outport {
    fn start(scratch: &ScratchDir) -> Result<Self> {
        let path = scratch.log();
        let log = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let data_dir = scratch.data_dir();
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

    /// Whether it has not ended.
    fn is_there(&mut self) -> Result<bool> {
        Ok(!self.is_over && self.process.try_wait()?.is_none())
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

    #[track_caller]
    fn finds(program: &str, expected: Result<(), u8>) {
        let options = Run { logs: None, command: vec![program.into()] };
        assert_eq!(find_program(&options).map_err(|(code, _)| code), expected, "{program}");
    }

    #[test]
    fn a_command_that_is_not_there_is_told_from_one_that_cannot_be_executed() {
        finds("sh", Ok(()));
        finds("/bin/sh", Ok(()));
        finds("no-such-command", Err(NOT_FOUND));
        finds("./no/such", Err(NOT_FOUND));
        finds("", Err(NOT_EXECUTABLE));
        finds("/etc", Err(NOT_EXECUTABLE));
        let file = tempfile::NamedTempFile::new().unwrap();
        finds(file.path().to_str().unwrap(), Err(NOT_EXECUTABLE));
    }

    #[test]
    fn where_nothing_can_be_written_is_known_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        check_logs(&directory.path().join("a/b")).unwrap();
        assert_eq!(std::fs::read_dir(directory.path().join("a/b")).unwrap().count(), 0);
        let file = tempfile::NamedTempFile::new().unwrap();
        for no_place in [Path::new("/proc/x"), file.path()] {
            let error = check_logs(no_place).unwrap_err().to_string();
            assert!(error.starts_with("--logs "), "{error}");
        }
    }

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
