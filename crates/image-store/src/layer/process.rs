//! Where layers are unpacked, and trees removed: in a process of its own that can touch nothing but one directory.
//!
//! The child is this program again, as `<program> <arguments>`, with the blob as standard input and the directory as
//! working directory; the work goes in and the result comes out as one JSON document. It gives up all that it does not
//! need ([`confinement`](super::confinement)) before it reads the first byte of the blob, and dies with its parent.
//!
//! **Invariant:** what a child says is bounded, and believed no further than a layer is: the digest is compared, and
//! paths are opened beneath the layer's directory. A child that takes too long, or dies of a limit, is that limit's
//! error.

use super::confinement::{self, confine};
use super::limits::UnpackLimits;
use super::unpack::{UnpackError, Unpacked, finish, unpack_entries, unpack_layer};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Most bytes of a child's answer: the marked paths of [`UnpackLimits`], in hexadecimal digits.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// The child ends itself at the limit; this much later it is killed.
const TIME_GRACE: Duration = Duration::from_secs(15);
/// Of a child, above its parent's: what runs goes before what is yet to be unpacked or removed.
const NICENESS: i32 = 10;
/// Errors of a removal that are told.
const FAILURES_TOLD_MAX: usize = 10;

/// Where layers are unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpacker {
    /// On a blocking thread of this process.
    InProcess,
    /// In a confined process that calls [`unpack_main`] with the last argument, which is appended to these.
    Process {
        /// The program, for example `/proc/self/exe`.
        program: PathBuf,
        /// For example `["unpack"]`.
        arguments: Vec<OsString>,
    },
}

/// What a child is told.
#[derive(Serialize, Deserialize)]
struct Task {
    /// The process that reads the answer: without it there is nothing to do.
    parent: i32,
    work: Work,
}

/// What a child does in its working directory.
#[derive(Serialize, Deserialize)]
enum Work {
    Unpack(UnpackLimits),
    Remove,
}

impl Task {
    fn own(work: Work) -> serde_json::Result<String> {
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        serde_json::to_string(&Task { parent, work })
    }
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Unpacked(Unpacked),
    /// What could not be removed.
    Removed(Vec<String>),
    Hostile {
        entry: String,
        reason: String,
    },
    LimitExceeded(String),
    Malformed(String),
    DiskFull {
        entry: String,
    },
    Io {
        entry: String,
        error: String,
        code: Option<i32>,
    },
}

impl Unpacker {
    pub(crate) async fn unpack(
        &self,
        blob: File,
        directory: &Path,
        limits: &UnpackLimits,
    ) -> Result<Unpacked, UnpackError> {
        match self {
            Unpacker::InProcess => {
                let (directory, limits) = (directory.to_owned(), *limits);
                let work = move || unpack_layer(blob, open(&directory)?.as_fd(), &limits);
                join(tokio::task::spawn_blocking(work).await)
            }
            Unpacker::Process { program, arguments } => {
                let unpacked = in_process(program, arguments, blob, directory, limits).await?;
                let directory = directory.to_owned();
                let work = move || {
                    finish(open(&directory)?.as_fd(), &unpacked)?;
                    Ok(unpacked)
                };
                join(tokio::task::spawn_blocking(work).await)
            }
        }
    }

    /// Removes everything in `directory`. Blocks. What cannot be removed is logged, and stays.
    pub(crate) fn empty(&self, directory: &Path) {
        let failures = match self {
            Unpacker::InProcess => empty_directory(directory),
            Unpacker::Process { program, arguments } => {
                match empty_in_process(program, arguments, directory) {
                    Ok(failures) => Ok(failures),
                    Err(error) => {
                        // Without descriptors or memory for a child; the removal itself is as safe here.
                        tracing::warn!(
                            event = "image_trash_process_missing",
                            %error,
                            "cannot start a process to remove trash: it is done in this one"
                        );
                        empty_directory(directory)
                    }
                }
            }
        };
        match failures {
            Ok(failures) => {
                for failure in failures {
                    tracing::warn!(
                        event = "image_trash_not_removed",
                        failure,
                        "cannot remove trash; it is tried again"
                    );
                }
            }
            Err(error) => tracing::warn!(
                event = "image_trash_unreadable",
                %error,
                path = %directory.display(),
                "cannot read the directory of the trash"
            ),
        }
    }
}

fn join<T>(
    joined: Result<Result<T, UnpackError>, tokio::task::JoinError>,
) -> Result<T, UnpackError> {
    joined.unwrap_or_else(|error| Err(failed(io::Error::other(error))))
}

async fn in_process(
    program: &Path,
    arguments: &[OsString],
    blob: File,
    directory: &Path,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let task = Task::own(Work::Unpack(*limits));
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .arg(task.map_err(|error| failed(error.into()))?)
        .current_dir(directory)
        .env_clear()
        .stdin(blob)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let said = child.stdout.take();
    let work = async {
        let mut answer = Vec::new();
        if let Some(said) = said {
            said.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        }
        Ok((answer, child.wait().await?))
    };
    let time = Duration::from_secs(limits.time_max_s) + TIME_GRACE;
    match tokio::time::timeout(time, work).await {
        Ok(ended) => {
            let (said, status) = ended.map_err(failed)?;
            answer(&said, status)
        }
        Err(_) => Err(UnpackError::LimitExceeded("time")),
    }
}

fn empty_in_process(
    program: &Path,
    arguments: &[OsString],
    directory: &Path,
) -> io::Result<Vec<String>> {
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .arg(Task::own(Work::Remove)?)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut said),
        None => Ok(0),
    };
    let status = child.wait()?;
    read?;
    match serde_json::from_slice(&said) {
        Ok(Answer::Removed(failures)) => Ok(failures),
        _ => Err(io::Error::other(format!("the removing process ended with {status}"))),
    }
}

/// Removes what is in a directory, and says what could not be.
fn empty_directory(directory: &Path) -> io::Result<Vec<String>> {
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if let Err(error) = outport_tree_removal::remove_tree(&path)
            && failures.len() < FAILURES_TOLD_MAX
        {
            failures.push(format!("{}: {error}", path.display()));
        }
    }
    Ok(failures)
}

fn open(directory: &Path) -> Result<OwnedFd, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).map_err(|errno| failed(errno.into()))
}

fn failed(source: io::Error) -> UnpackError {
    UnpackError::Io { entry: "layer".to_owned(), source }
}

fn answer(said: &[u8], status: ExitStatus) -> Result<Unpacked, UnpackError> {
    match serde_json::from_slice(said) {
        Ok(Answer::Unpacked(unpacked)) => Ok(unpacked),
        Ok(Answer::Hostile { entry, reason }) => Err(UnpackError::Hostile { entry, reason }),
        Ok(Answer::LimitExceeded(limit)) => Err(UnpackError::LimitExceeded(known_limit(&limit))),
        Ok(Answer::Malformed(reason)) => Err(UnpackError::Malformed(reason)),
        Ok(Answer::DiskFull { entry }) => Err(UnpackError::DiskFull { entry }),
        Ok(Answer::Io { entry, error, code }) => {
            let source = code.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error);
            Err(UnpackError::Io { entry, source })
        }
        Ok(Answer::Removed(_)) | Err(_) => Err(died(status)),
    }
}

/// A child without an answer.
fn died(status: ExitStatus) -> UnpackError {
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return UnpackError::LimitExceeded("processor time");
    }
    failed(io::Error::other(format!("the unpacker ended with {status}")))
}

/// The limit's static name again.
fn known_limit(name: &str) -> &'static str {
    ["bytes", "compression ratio", "header bytes", "entries", "directories", "time"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("resources")
}

/// The child's whole life: does in the working directory what `task`, the argument that the parent appended, says,
/// and prints the answer. The exit code is 0 when an answer was printed, whatever it says.
pub fn unpack_main(task: &str) -> ExitCode {
    let task = serde_json::from_str::<Task>(task).map_err(io::Error::from);
    let begun = task.and_then(|Task { parent, work }| begin(parent).map(|()| work));
    let answer = match begun {
        Ok(Work::Unpack(limits)) => run(&limits).map_or_else(describe, Answer::Unpacked),
        Ok(Work::Remove) => remove().map_or_else(|error| describe(failed(error)), Answer::Removed),
        Err(error) => describe(failed(error)),
    };
    let printed = serde_json::to_vec(&answer)
        .map_err(io::Error::from)
        .and_then(|bytes| io::stdout().write_all(&bytes));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    let directory = std::env::current_dir().map_err(failed)?;
    let blob = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let root = open(&directory)?;
    confine(&directory, confinement::Work::Unpack(limits)).map_err(failed)?;
    unpack_entries(File::from(blob), root.as_fd(), limits)
}

fn remove() -> io::Result<Vec<String>> {
    let directory = std::env::current_dir()?;
    confine(&directory, confinement::Work::Remove)?;
    empty_directory(Path::new("."))
}

/// Dies with the parent, also if it died a moment ago; gets no signal of its terminal; goes behind what runs.
fn begin(parent: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let found = rustix::process::getppid().map(|found| found.as_raw_nonzero().get());
    if found != Some(parent) {
        return Err(io::Error::other("the parent has gone"));
    }
    rustix::process::setsid()?;
    rustix::process::nice(NICENESS)?;
    Ok(())
}

fn describe(error: UnpackError) -> Answer {
    match error {
        UnpackError::Hostile { entry, reason } => Answer::Hostile { entry, reason },
        UnpackError::LimitExceeded(limit) => Answer::LimitExceeded(limit.to_owned()),
        UnpackError::Malformed(reason) => Answer::Malformed(reason),
        UnpackError::DiskFull { entry } => Answer::DiskFull { entry },
        UnpackError::Io { entry, source } => {
            Answer::Io { entry, error: source.to_string(), code: source.raw_os_error() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_without_an_answer_is_what_killed_it() {
        let check = |status: i32, said: &[u8], expected: &str| {
            let error = answer(said, ExitStatus::from_raw(status)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} has no {expected}");
        };
        check(Signal::XCPU.as_raw(), b"", "limit on processor time exceeded");
        check(Signal::KILL.as_raw(), b"", "the unpacker ended with signal: 9");
        check(1 << 8, b"", "the unpacker ended with exit status: 1");
        check(0, b"{\"Unpacked\":{}}", "the unpacker ended with exit status: 0");
        check(0, b"{\"LimitExceeded\":\"entries\"}", "limit on entries exceeded");
        check(0, b"{\"LimitExceeded\":\"something new\"}", "limit on resources exceeded");
    }
}
