//! Where layers are unpacked: in a process of its own that can touch nothing but the layer's directory.
//!
//! The child is this program again, as `<program> <arguments>`, with the blob as standard input and the directory as
//! working directory; limits go in and the result comes out as one JSON document. It confines itself with Landlock to
//! that directory before it reads the first byte of the blob, and dies with its parent.

use super::limits::UnpackLimits;
use super::unpack::{UnpackError, Unpacked, unpack_layer};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr,
};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

/// Most bytes of a child's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The first version in which a sandboxed process may make hard links between directories.
const LANDLOCK_ABI: ABI = ABI::V2;

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

#[derive(Serialize, Deserialize)]
enum Answer {
    Unpacked(Unpacked),
    Hostile { entry: String, reason: String },
    LimitExceeded(String),
    Malformed(String),
    Unsupported { entry: String, what: String },
    DiskFull { entry: String },
    Io { entry: String, error: String, code: Option<i32> },
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
                tokio::task::spawn_blocking(move || unpack_into(blob, &directory, &limits))
                    .await
                    .unwrap_or_else(|error| Err(failed(io::Error::other(error))))
            }
            Unpacker::Process { program, arguments } => {
                let child = tokio::process::Command::new(program)
                    .args(arguments)
                    .arg(serde_json::to_string(limits).map_err(|error| failed(error.into()))?)
                    .current_dir(directory)
                    .env_clear()
                    .stdin(blob)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(failed)?;
                let output = child.wait_with_output().await.map_err(failed)?;
                answer(&output.stdout, output.status)
            }
        }
    }
}

fn unpack_into(
    blob: File,
    directory: &Path,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty());
    let root = root.map_err(|errno| failed(errno.into()))?;
    unpack_layer(blob, root.as_fd(), limits)
}

fn failed(source: io::Error) -> UnpackError {
    UnpackError::Io { entry: "layer".to_owned(), source }
}

fn answer(stdout: &[u8], status: std::process::ExitStatus) -> Result<Unpacked, UnpackError> {
    let answer = match serde_json::from_slice(&stdout[..stdout.len().min(ANSWER_BYTES_MAX)]) {
        Ok(answer) => answer,
        Err(_) => {
            return Err(failed(io::Error::other(format!("the unpacker ended with {status}"))));
        }
    };
    match answer {
        Answer::Unpacked(unpacked) => Ok(unpacked),
        Answer::Hostile { entry, reason } => Err(UnpackError::Hostile { entry, reason }),
        Answer::LimitExceeded(limit) => Err(UnpackError::LimitExceeded(known_limit(&limit))),
        Answer::Malformed(reason) => Err(UnpackError::Malformed(reason)),
        Answer::Unsupported { entry, what } => {
            Err(UnpackError::Malformed(format!("{entry:?}: {what} is not supported")))
        }
        Answer::DiskFull { entry } => Err(UnpackError::DiskFull { entry }),
        Answer::Io { entry, error, code } => {
            let source = code.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error);
            Err(UnpackError::Io { entry, source })
        }
    }
}

/// The limit's static name again.
fn known_limit(name: &str) -> &'static str {
    ["bytes", "compression ratio", "header bytes", "entries", "directories"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("resources")
}

/// The child's whole life: unpacks standard input into the working directory and prints the answer. `limits` is the
/// argument that the parent appended. The exit code is 0 when an answer was printed, whatever it says.
pub fn unpack_main(limits: &str) -> ExitCode {
    let answer = match run(limits) {
        Ok(unpacked) => Answer::Unpacked(unpacked),
        Err(error) => describe(error),
    };
    let printed = serde_json::to_vec(&answer)
        .map_err(io::Error::from)
        .and_then(|bytes| io::stdout().write_all(&bytes));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(limits: &str) -> Result<Unpacked, UnpackError> {
    let limits: UnpackLimits =
        serde_json::from_str(limits).map_err(|error| failed(error.into()))?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|errno| failed(errno.into()))?;
    let directory = std::env::current_dir().map_err(failed)?;
    let blob = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&directory, flags, Mode::empty());
    let root = root.map_err(|errno| failed(errno.into()))?;
    confine(&directory).map_err(failed)?;
    unpack_layer(File::from(blob), root.as_fd(), &limits)
}

/// Gives up every file right outside of `directory`. A kernel without Landlock leaves openat2 as the only wall.
fn confine(directory: &Path) -> io::Result<()> {
    let rights = AccessFs::from_all(LANDLOCK_ABI);
    let supported = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(rights)
        .and_then(|ruleset| ruleset.create());
    let Ok(ruleset) = supported else { return Ok(()) };
    let beneath = PathFd::new(directory).map_err(io::Error::other)?;
    ruleset
        .add_rule(PathBeneath::new(beneath, rights))
        .and_then(|ruleset| ruleset.restrict_self())
        .map_err(io::Error::other)?;
    Ok(())
}

fn describe(error: UnpackError) -> Answer {
    match error {
        UnpackError::Hostile { entry, reason } => Answer::Hostile { entry, reason },
        UnpackError::LimitExceeded(limit) => Answer::LimitExceeded(limit.to_owned()),
        UnpackError::Malformed(reason) => Answer::Malformed(reason),
        UnpackError::Unsupported { entry, what } => {
            Answer::Unsupported { entry, what: what.to_owned() }
        }
        UnpackError::DiskFull { entry } => Answer::DiskFull { entry },
        UnpackError::Io { entry, source } => {
            Answer::Io { entry, error: source.to_string(), code: source.raw_os_error() }
        }
    }
}
