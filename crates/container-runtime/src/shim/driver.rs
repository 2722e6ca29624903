//! The two ways to make the container's first process: this program's own, or the command line of an
//! OCI runtime.
//!
//! **Invariant:** after `create` the process waits in its namespaces and cgroup, and is this
//! process's child to reap.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, fchown, pipe2};
use serde_json::Value;

use super::bundle::{self, Device, Parts};
use super::bundle_mounts;
use super::capabilities::Capabilities;
use super::container_process::Process;
use super::exec_plan::ExecPlan;
use super::ids::Ids;
use super::launch::launch;
use super::root::MountStep;
use super::user::User;
use super::{detach, io_failure, mounts, seccomp};
use crate::cgroup::Hierarchies;
use crate::error::{FailureKind, StartFailure};
use crate::fail_point;
use crate::private;
use crate::runtime::Intent;
use crate::spec::Driver;

/// The driver's own name for the one container of a run directory.
const CONTAINER_ID: &str = "c";
const STATE_DIR: &str = "state";
const BUNDLE_DIR: &str = "bundle";

/// The shim is the last thing the kernel should kill for memory, but for what the host protects.
const SHIM_OOM_SCORE: i32 = -998;

/// A failure's text is cut here.
const FAILURE_BYTES_MAX: u64 = 16 << 10;

/// A container whose process waits.
pub(super) struct Created {
    pub init: Pid,
    pub stdout: File,
    pub stderr: File,
    pub gate: Gate,
}

/// How the process is let go.
pub(super) enum Gate {
    /// By a byte; the pipe then tells how the exec went, and ends.
    Socket { socket: UnixStream, failures: File },
    /// By the runtime's `start`.
    Oci { binary: PathBuf },
}

pub(super) fn create(
    intent: &Intent,
    rootfs: &Path,
    user: &User,
    devices: &[Device],
    hierarchies: &Hierarchies,
    ids: &Ids,
) -> Result<Created, StartFailure> {
    let bounding = Capabilities::of(&intent.spec)?;
    fail_point::reach("shim.network").map_err(io_failure("make a network namespace"))?;
    let own_network = mounts::own_network(intent, ids)?;
    let parts = Parts { rootfs, user, devices, bounding, own_network, hierarchies };
    let (stdout, stdout_write) = output_pipe(user, ids)?;
    let (stderr, stderr_write) = output_pipe(user, ids)?;
    // What is forked from here on is the container's, and starts with an ordinary score.
    detach::oom_score(0).map_err(io_failure("set the OOM score"))?;
    let outputs = [stdout_write, stderr_write];
    let made = match &intent.spec.driver {
        Driver::BuiltIn => built_in(intent, parts, outputs, ids),
        Driver::Oci(binary) => by_command(binary, intent, &parts, outputs),
    };
    // Where this may not be lowered, as in some nested containers, the shim is as others are.
    let _ = detach::oom_score(SHIM_OOM_SCORE);
    let (init, gate) = made?;
    Ok(Created { init, stdout, stderr, gate })
}

impl Gate {
    /// Lets the process go. The end of `failures`, if there is one, tells when it has become the
    /// container's.
    pub fn open(self) -> Result<Option<File>, StartFailure> {
        match self {
            Gate::Socket { mut socket, failures } => {
                socket.write_all(&[1]).map_err(io_failure("let the process go"))?;
                Ok(Some(failures))
            }
            Gate::Oci { binary } => {
                let output = oci(&binary).args(["start", CONTAINER_ID]).output();
                oci_done(&output.map_err(io_failure("execute the runtime"))?)?;
                Ok(None)
            }
        }
    }
}

fn built_in(
    intent: &Intent,
    parts: Parts<'_>,
    outputs: [OwnedFd; 2],
    ids: &Ids,
) -> Result<(Pid, Gate), StartFailure> {
    let spec = &intent.spec;
    let (user, bounding) = (parts.user, parts.bounding);
    bundle::check_ulimits(spec)?;
    let program = seccomp::program(spec, bounding, &intent.seccomp_dir)?;
    let (failures, failures_write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .map_err(io_failure("make the pipe of failures"))?;
    let steps = |mounts: Vec<Value>| mounts.iter().map(MountStep::read).collect::<Result<_, _>>();
    let mut mounts: Vec<MountStep> = steps(bundle_mounts::mounts(spec)?)?;
    if ids.namespace().is_some() {
        // What lies in the run directory, files and volumes, has the container's owners already.
        let real = fs::canonicalize(&intent.run_dir).map_err(io_failure("find the directory"))?;
        mounts.iter_mut().for_each(|step| step.map_unless_below(&[&intent.run_dir, &real]));
    }
    let process = Process {
        spec,
        ids,
        cgroup: &intent.cgroup,
        hierarchies: parts.hierarchies,
        rootfs: parts.rootfs,
        kernel_mounts: steps(bundle_mounts::kernel_mounts(spec))?,
        mounts,
        devices: parts.devices,
        own_network: parts.own_network,
        user,
        bounding,
        plan: ExecPlan::new(spec, user, bounding, program, failures_write.as_raw_fd())?,
    };
    fail_point::reach("shim.clone").map_err(io_failure("make a process"))?;
    let launched = launch(&process, outputs)?;
    drop(failures_write);
    let mut failures = File::from(failures);
    match launched {
        Some((init, socket)) => Ok((init, Gate::Socket { socket, failures })),
        None => {
            let told = read_failure(&mut failures).ok().flatten();
            Err(told.unwrap_or_else(|| {
                StartFailure::new(FailureKind::Other, "the process ended before it was ready")
            }))
        }
    }
}

fn by_command(
    binary: &Path,
    intent: &Intent,
    parts: &Parts<'_>,
    outputs: [OwnedFd; 2],
) -> Result<(Pid, Gate), StartFailure> {
    let document = bundle::document(intent, parts)?;
    private::make_directory(Path::new(BUNDLE_DIR)).map_err(io_failure("make the bundle"))?;
    let config = Path::new(BUNDLE_DIR).join("config.json");
    private::write(&config, document.to_string()).map_err(io_failure("write the bundle"))?;
    let [stdout, stderr] = outputs;
    // The runtime's own words go to a file: its standard error is the container's.
    let log = "oci.log";
    let status = oci(binary)
        .args(["--log", log, "create", "--bundle", BUNDLE_DIR, "--pid-file", "oci.pid"])
        .arg(CONTAINER_ID)
        .stdout(stdout)
        .stderr(stderr)
        .status()
        .map_err(io_failure("execute the runtime"))?;
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        return Err(oci_failure(&text));
    }
    let pid = fs::read_to_string("oci.pid").map_err(io_failure("read the runtime's pid file"))?;
    let pid = pid.trim().parse().map_err(io_failure("read the runtime's pid file"))?;
    Ok((Pid::from_raw(pid), Gate::Oci { binary: binary.to_owned() }))
}

fn oci(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(["--root", STATE_DIR]).stdin(Stdio::null());
    command
}

fn oci_done(output: &Output) -> Result<(), StartFailure> {
    if output.status.success() {
        return Ok(());
    }
    Err(oci_failure(&String::from_utf8_lossy(&output.stderr)))
}

/// The last message of a runtime, whose class shows in its words.
fn oci_failure(text: &str) -> StartFailure {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let message = match line.split_once("msg=\"") {
        Some((_, message)) => message.trim_end_matches('"').replace("\\\"", "\""),
        None => line.to_owned(),
    };
    let kind = if message.contains("executable file not found") || message.contains("no such file")
    {
        FailureKind::ExecutableNotFound
    } else if message.contains("permission denied") {
        FailureKind::PermissionDenied
    } else {
        FailureKind::Other
    };
    StartFailure::new(kind, message)
}

/// What the process has told of a failure: `None` at the end of the pipe with nothing told.
///
/// # Errors
/// `WouldBlock` when it has neither executed nor failed yet.
pub(super) fn read_failure(failures: &mut File) -> io::Result<Option<StartFailure>> {
    let mut bytes = Vec::new();
    let mut part = [0_u8; 4096];
    loop {
        match failures.read(&mut part) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(length) if (bytes.len() + length) as u64 > FAILURE_BYTES_MAX => break,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let failure = serde_json::from_slice(&bytes);
    Ok(Some(failure.unwrap_or_else(|_| {
        let message = String::from_utf8_lossy(&bytes).into_owned();
        StartFailure::new(FailureKind::Other, message)
    })))
}

/// Ends the waiting process of a container that cannot be supervised.
pub(super) fn discard(created: &Created) {
    // Gone already is as good.
    let _ = kill(created.init, Signal::SIGKILL);
}

/// The reading end does not block; the writing end belongs to the container's user, who may open
/// `/dev/stdout` again.
pub(super) fn output_pipe(user: &User, ids: &Ids) -> Result<(File, OwnedFd), StartFailure> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(io_failure("make an output pipe"))?;
    let nonblocking = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    fcntl(&read, nonblocking).map_err(io_failure("make an output pipe"))?;
    fcntl(&read, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map_err(io_failure("make an output pipe"))?;
    let (uid, gid) = (ids.on_the_host(user.uid), ids.on_the_host(user.gid));
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    fchown(&write, Some(uid), Some(gid)).map_err(io_failure("give an output pipe to the user"))?;
    Ok((File::from(read), write))
}
