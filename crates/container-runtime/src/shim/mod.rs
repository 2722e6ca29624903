//! The process that holds one container: makes it, keeps its output, reaps it, records its end.
//!
//! ```text
//! protect       the binary, which a container could reach, is executed from a read-only mount
//! detach        no descriptor, session, terminal, cgroup or parent in common with the agent
//! prepare       lock, private mounts, user, seccomp program, cgroup with limits
//! driver        the container's first process, waiting            report: created | failed
//! supervise     socket, output → log, signals; the host's mounts  start → exec
//! finish        exit record on disk, waiters told, cgroup removed
//! ```
//!
//! **Invariant:** one thread, always: the driver forks without executing, which is only safe so.

mod allowance;
mod bundle;
mod bundle_mounts;
mod capabilities;
mod checks;
mod clone;
mod container_process;
mod detach;
mod driver;
mod exec_plan;
mod executor;
mod finish;
mod ids;
mod init_process;
mod inside;
mod launch;
mod mapped_mount;
mod mounts;
mod outputs;
mod probe;
mod read_only_binary;
mod restrict;
mod root;
mod seccomp;
mod seccomp_calls;
#[cfg(test)]
mod seccomp_test;
mod supervise;
mod text_files;
mod user;
mod volumes;

pub(crate) use mounts::mount_mapped_layers;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use checks::Checks;
use ids::Ids;
use user::User;

use crate::cgroup::{Cgroup, CgroupLimits, Hierarchies, PIDS_MAX_DEFAULT};
use crate::error::{FailureKind, RuntimeError, StartFailure};
use crate::fail_point;
use crate::layout::{INTENT_FILE, LOCK_FILE, LOG_DIR, PID_FILE};
use crate::lock;
use crate::log::LogWriter;
use crate::protocol::{HIGHEST, Report};
use crate::record::{RECORD_VERSION, ShimRecord, boot_id, read_whole, start_ticks, write_whole};
use crate::runtime::{INTENT_VERSION, Intent};
use crate::spec::{CONTAINER_SPEC_VERSION, ContainerSpec, Driver};

/// Runs the shim of the container whose run directory is `dir`, until the container is over.
///
/// Called by the hidden sub-command, before the process has started any thread. Standard output is
/// the agent's pipe for one line, a report; nothing is written to it later.
pub fn run(dir: &Path) -> ! {
    let intent = read_intent(dir);
    let detach = || -> std::io::Result<_> {
        read_only_binary::ensure()?;
        let hierarchies = Hierarchies::read()?;
        let (report, in_home) = detach::detach(home(&intent, &hierarchies).as_deref())?;
        Ok((report, hierarchies, in_home))
    };
    let status = match detach().map_err(io_failure("detach the shim")) {
        Ok((mut report, hierarchies, in_home)) => {
            let begun = intent.and_then(|intent| begin(intent, hierarchies, in_home));
            match begun {
                Ok(supervisor) => {
                    tell(&mut report, &Report::Created(supervisor.record().clone()));
                    drop(report);
                    supervisor.run()
                }
                Err(failure) => {
                    tell(&mut report, &Report::Failed(failure));
                    1
                }
            }
        }
        Err(failure) => {
            // Standard error is a file that the agent reads when the report is missing.
            // Nobody is told when it takes it not.
            let _ = writeln!(std::io::stderr(), "{failure}");
            1
        }
    };
    std::process::exit(status)
}

fn read_intent(dir: &Path) -> Result<Intent, StartFailure> {
    let intent: Intent = read_whole(&dir.join(INTENT_FILE))
        .map_err(io_failure("read the intent"))?
        .ok_or_else(|| invalid("the container's intent is missing or torn"))?;
    if intent.version > INTENT_VERSION || intent.spec.version > CONTAINER_SPEC_VERSION {
        return Err(invalid("the container's intent was written by a newer version"));
    }
    Ok(intent)
}

/// Where the shim is born, if the host has a version 2 hierarchy. What goes wrong here is seen when
/// the shim joins its cgroups.
fn home(intent: &Result<Intent, StartFailure>, hierarchies: &Hierarchies) -> Option<PathBuf> {
    let shims = Cgroup::new(hierarchies, &intent.as_ref().ok()?.shims_cgroup);
    shims.create_in_version_2().ok().flatten()
}

fn tell(report: &mut File, message: &Report) {
    // An agent that died does not read; its successor adopts.
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let _ = report.write_all(&line);
    }
}

fn begin(
    mut intent: Intent,
    hierarchies: Hierarchies,
    in_home: bool,
) -> Result<supervise::Supervisor, StartFailure> {
    if intent.spec.args.is_empty() {
        return Err(invalid("no command specified"));
    }
    fail_point::reach("shim.lock").map_err(io_failure("take the lock"))?;
    let lock = lock::hold(&intent.run_dir.join(LOCK_FILE)).map_err(io_failure("take the lock"))?;
    // Relative paths of sockets are short, whatever the directory's own path is.
    std::env::set_current_dir(&intent.run_dir).map_err(io_failure("enter the run directory"))?;
    let joined = Cgroup::new(&hierarchies, &intent.shims_cgroup).join_all(in_home);
    joined.map_err(cgroup_failure)?;
    let host_mounts = mounts::of_host()?;
    let begun = make(&mut intent, &hierarchies);
    if begun.is_err() {
        // The failure counts more; what stays is found by the agent's removal.
        let _ = Cgroup::new(&hierarchies, &intent.cgroup).remove();
    }
    let made = begun?;
    supervise::Supervisor::new(intent, hierarchies, made, host_mounts, lock)
        .map_err(io_failure("listen on the shim's socket"))
}

/// A container whose process waits, and what is kept of how it was made.
struct Made {
    created: driver::Created,
    record: ShimRecord,
    log: LogWriter,
    checks: Option<Checks>,
}

fn make(intent: &mut Intent, hierarchies: &Hierarchies) -> Result<Made, StartFailure> {
    fail_point::reach("shim.log").map_err(io_failure("make the log"))?;
    // Before the private mounts: an open file keeps the mount busy that it was opened through.
    let log = LogWriter::create(&intent.container_dir.join(LOG_DIR), intent.spec.log.clone());
    let log = log.map_err(io_failure("make the log"))?;
    fail_point::reach("shim.mounts").map_err(io_failure("make a mount namespace"))?;
    let ids = Ids::of(&intent.spec)?;
    let rootfs = mounts::prepare(intent, &ids)?;
    let user = fill_root(intent, &rootfs, &ids)?;
    let devices = bundle::host_devices(&intent.spec)?;
    let cgroup = Cgroup::new(hierarchies, &intent.cgroup);
    fail_point::reach("shim.cgroup").map_err(io_failure("make the control group"))?;
    limit(&cgroup, &intent.spec, &devices).map_err(cgroup_failure)?;
    keep_from_metadata(&cgroup, &intent.spec, hierarchies)?;
    let checks = Checks::new(intent, &user, &ids)?;
    let created = driver::create(intent, &rootfs, &user, &devices, hierarchies, &ids)?;
    fail_point::reach("shim.record").map_err(io_failure("record the process"))?;
    let record = shim_record(created.init.as_raw()).map_err(io_failure("record the process"))?;
    write_whole(&intent.run_dir.join(PID_FILE), &record)
        .map_err(io_failure("write the pid file"))?;
    Ok(Made { created, record, log, checks })
}

/// Makes what the container is to find in its root, and looks up its user there.
fn fill_root(intent: &mut Intent, rootfs: &Path, ids: &Ids) -> Result<User, StartFailure> {
    let _as_root = ids.make_as_root().map_err(io_failure("become the container's root"))?;
    volumes::place(&mut intent.spec, rootfs)?;
    fail_point::reach("shim.files").map_err(io_failure("make the files"))?;
    text_files::place(&mut intent.spec, &intent.run_dir)?;
    fail_point::reach("shim.user").map_err(io_failure("read the users"))?;
    let user = user::resolve(rootfs, &intent.spec.user, &intent.spec.additional_gids)?;
    ids.check(&user)?;
    mounts::make_working_directory(rootfs, &intent.spec.working_directory)?;
    Ok(user)
}

fn limit(
    cgroup: &Cgroup<'_>,
    spec: &ContainerSpec,
    devices: &[bundle::Device],
) -> Result<(), RuntimeError> {
    cgroup.create()?;
    let pids_max = Some(spec.limits.pids_max.unwrap_or(PIDS_MAX_DEFAULT));
    cgroup.limit(&CgroupLimits { pids_max, ..spec.limits.clone() })?;
    if spec.privileged {
        return Ok(());
    }
    let mut rules = crate::cgroup::default_rules();
    rules.extend(devices.iter().map(bundle::Device::rule));
    cgroup.allow_devices(&rules)
}

/// An OCI runtime joins version 2 only where limits are there, too.
fn keep_from_metadata(
    cgroup: &Cgroup<'_>,
    spec: &ContainerSpec,
    hierarchies: &Hierarchies,
) -> Result<(), StartFailure> {
    if !spec.kept_from_metadata {
        return Ok(());
    }
    let cannot = |why: &str| {
        let message = format!(
            "this host cannot keep a container in its network from the instance metadata: {why}. Start its node with \
             --host-tasks-reach-metadata to run it all the same"
        );
        StartFailure::new(FailureKind::Cgroup, message)
    };
    if matches!(spec.driver, Driver::Oci(_)) && !hierarchies.is_unified() {
        return Err(cannot("an OCI runtime does that with cgroup version 2 alone"));
    }
    cgroup.keep_from_metadata().map_err(|error| cannot(&error.to_string()))
}

fn shim_record(container_pid: i32) -> std::io::Result<ShimRecord> {
    let shim_pid = std::process::id() as i32;
    Ok(ShimRecord {
        version: RECORD_VERSION,
        boot_id: boot_id()?,
        shim_pid,
        shim_start_ticks: start_ticks(shim_pid)?,
        container_pid,
        container_start_ticks: start_ticks(container_pid)?,
        protocol: HIGHEST,
    })
}

fn invalid(message: &str) -> StartFailure {
    StartFailure::new(FailureKind::InvalidSpec, message)
}

fn cgroup_failure(error: RuntimeError) -> StartFailure {
    StartFailure::new(FailureKind::Cgroup, error.to_string())
}

fn io_failure<E: std::fmt::Display>(operation: &str) -> impl FnOnce(E) -> StartFailure {
    move |error| StartFailure::new(FailureKind::Other, format!("{operation}: {error}"))
}
