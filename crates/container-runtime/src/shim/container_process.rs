//! What the container's first process does with itself, from its birth to the exec.
//!
//! **Invariant:** nothing of the host stays within reach: the old root is unmounted, and every
//! descriptor but 0 to 2 and the two that the exec closes is closed before the working directory, which
//! the task definition chooses, is entered.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use nix::unistd::{
    Gid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getcwd, setgroups, sethostname,
    setresgid, setresuid, setsid,
};

use super::bundle::{self, Device};
use super::capabilities::Capabilities;
use super::detach::close_range;
use super::exec_plan::ExecPlan;
use super::executor::hold_only;
use super::ids::Ids;
use super::root::{self, MountStep};
use super::user::User;
use super::{cgroup_failure, io_failure};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::error::{FailureKind, StartFailure};
use crate::fail_point;
use crate::private;
use crate::spec::{ContainerSpec, Namespace};

/// Everything the process is made from.
pub(super) struct Process<'a> {
    pub spec: &'a ContainerSpec,
    pub ids: &'a Ids,
    pub cgroup: &'a Path,
    pub hierarchies: &'a Hierarchies,
    pub rootfs: &'a Path,
    pub kernel_mounts: Vec<MountStep>,
    /// What the task asks for, in its order.
    pub mounts: Vec<MountStep>,
    pub devices: &'a [Device],
    /// Where a network namespace of the container's own is pinned.
    pub own_network: Option<PathBuf>,
    pub user: &'a User,
    pub bounding: Capabilities,
    pub plan: ExecPlan,
}

/// The child's whole life. `foreign` is the shim's end of the socket.
pub(super) fn run(
    process: &Process<'_>,
    outputs: [OwnedFd; 2],
    gate: UnixStream,
    foreign: RawFd,
    in_cgroup: bool,
) -> ! {
    private::set_container_umask();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let became = close_range(foreign as u32, foreign as u32)
            .map_err(io_failure("close a descriptor"))
            .and_then(|()| become_container(process, &outputs, gate, in_cgroup));
        if let Err(failure) = became {
            process.plan.tell(&failure);
        }
    }));
    let status = if lived.is_ok() { 1 } else { 101 };
    // SAFETY: ends the process without running what is the shim's.
    #[allow(unsafe_code)]
    unsafe {
        libc::_exit(status)
    }
}

fn become_container(
    process: &Process<'_>,
    outputs: &[OwnedFd; 2],
    mut gate: UnixStream,
    in_cgroup: bool,
) -> Result<(), StartFailure> {
    let spec = process.spec;
    setsid().map_err(io_failure("make a session"))?;
    leave_session_keyring().map_err(io_failure("make a session keyring"))?;
    dup2_stdout(&outputs[0]).map_err(io_failure("take the output"))?;
    dup2_stderr(&outputs[1]).map_err(io_failure("take the output"))?;
    let cgroup = Cgroup::new(process.hierarchies, process.cgroup);
    cgroup.join(in_cgroup).map_err(cgroup_failure)?;
    if spec.kept_from_metadata && !in_cgroup {
        cgroup.join_version_2().map_err(cgroup_failure)?;
    }
    fail_point::reach("shim.namespaces").map_err(io_failure("join a namespace"))?;
    enter_namespaces(process)?;
    fail_point::reach("shim.root").map_err(io_failure("prepare the root"))?;
    let as_root = process.ids.make_as_root().map_err(io_failure("become its root"))?;
    let null = root::prepare(process)?;
    dup2_stdin(&null).map_err(io_failure("open /dev/null"))?;
    drop(null);
    set_limits(spec)?;
    drop(as_root);
    // The last that needs the host's root is done.
    process.ids.enter().map_err(io_failure("enter the user namespace"))?;
    close_all_but([process.plan.failures, gate.as_raw_fd()])?;
    enter_directory(spec, || become_user(spec, process.user, process.bounding, &process.plan))?;
    fail_point::reach("shim.ready").map_err(io_failure("find the program"))?;
    process.plan.find_program()?;
    gate.write_all(&[1]).map_err(io_failure("tell the shim"))?;
    let mut go = [0];
    if gate.read_exact(&mut go).is_err() {
        // The shim is gone, or wants no start.
        return Ok(());
    }
    drop(gate);
    let Err(failure) = process.plan.become_container();
    Err(failure)
}

/// Enters the working directory around becoming its user.
pub(super) fn enter_directory(
    spec: &ContainerSpec,
    become_user: impl FnOnce() -> Result<(), StartFailure>,
) -> Result<(), StartFailure> {
    let directory = if spec.working_directory.is_empty() { "/" } else { &spec.working_directory };
    let entered = chdir(directory);
    become_user()?;
    match entered {
        // A directory that root without its capabilities on this file system may not enter.
        Err(Errno::EPERM | Errno::EACCES) => chdir(directory).map_err(no_entry(directory))?,
        entered => entered.map_err(no_entry(directory))?,
    }
    match getcwd().is_ok_and(|path| path.is_absolute()) {
        true => Ok(()),
        false => Err(no_entry(directory)(Errno::ENOENT)),
    }
}

/// Who holds a key of the agent's session could use it, wherever the key lies.
pub(super) fn leave_session_keyring() -> Result<(), Errno> {
    let new = std::ptr::null::<libc::c_char>();
    // SAFETY: a plain system call.
    #[allow(unsafe_code)]
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, new) };
    match Errno::result(joined) {
        // A kernel without keys, or a filter around the agent that keeps everybody from them.
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        done => done.map(|_| ()),
    }
}

fn enter_namespaces(process: &Process<'_>) -> Result<(), StartFailure> {
    let wanted = &process.spec.namespaces;
    let network = match (&wanted.network, &process.own_network) {
        (Namespace::Path(path), _) | (Namespace::New, Some(path)) => Some(path),
        (Namespace::New, None) => {
            unshare(CloneFlags::CLONE_NEWNET).map_err(io_failure("make a network namespace"))?;
            None
        }
        (Namespace::Host, _) => None,
    };
    let path_of = |namespace: &'_ Namespace| match namespace {
        Namespace::Path(path) => Some(path.clone()),
        Namespace::New | Namespace::Host => None,
    };
    for (path, flag) in [
        (network.cloned(), CloneFlags::CLONE_NEWNET),
        (path_of(&wanted.ipc), CloneFlags::CLONE_NEWIPC),
        (path_of(&wanted.uts), CloneFlags::CLONE_NEWUTS),
    ] {
        let Some(path) = path else { continue };
        let opened = File::open(&path).map_err(io_failure("open a namespace"))?;
        setns(opened, flag).map_err(io_failure("join a namespace"))?;
    }
    // Its root is the cgroup in which the process is by now.
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io_failure("make a cgroup namespace"))?;
    if let (Some(hostname), Namespace::New) = (&process.spec.hostname, &wanted.uts) {
        sethostname(hostname).map_err(io_failure("set the host name"))?;
    }
    Ok(())
}

pub(super) fn set_limits(spec: &ContainerSpec) -> Result<(), StartFailure> {
    for ulimit in &spec.resource_limits() {
        let resource = bundle::resource(&ulimit.name)?;
        setrlimit(resource, ulimit.soft, ulimit.hard)
            .map_err(io_failure("set a resource limit"))?;
    }
    Ok(())
}

pub(super) fn close_all_but(mut kept: [RawFd; 2]) -> Result<(), StartFailure> {
    kept.sort_unstable();
    let [low, high] = kept.map(|one| one as u32);
    for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
        if first <= last {
            close_range(first, last).map_err(io_failure("close descriptors"))?;
        }
    }
    Ok(())
}

/// Who the container's user is, with the container's bounding set. One capability more is held until
/// the exec: loading a seccomp program takes it.
pub(super) fn become_user(
    spec: &ContainerSpec,
    user: &User,
    bounding: Capabilities,
    plan: &ExecPlan,
) -> Result<(), StartFailure> {
    drop_bounding(bounding).map_err(io_failure("drop capabilities"))?;
    prctl::set_keepcaps(true).map_err(io_failure("keep capabilities"))?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let gids: Vec<Gid> = user.gids.iter().copied().map(Gid::from_raw).collect();
    setgroups(&gids).map_err(io_failure("set the groups"))?;
    setresgid(gid, gid, gid).map_err(io_failure("set the group"))?;
    setresuid(uid, uid, uid).map_err(io_failure("set the user"))?;
    prctl::set_keepcaps(false).map_err(io_failure("keep no capabilities"))?;
    // A change of user sets it anew, by a parameter of the host's.
    prctl::set_dumpable(false).map_err(io_failure("protect the process"))?;
    if spec.no_new_privileges {
        prctl::set_no_new_privs().map_err(io_failure("forbid new privileges"))?;
    }
    let held = plan.capabilities.with("SYS_ADMIN");
    hold_only(held).map_err(io_failure("drop capabilities"))
}

fn drop_bounding(kept: Capabilities) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        if kept.0 >> number & 1 == 1 {
            continue;
        }
        // SAFETY: a plain system call.
        #[allow(unsafe_code)]
        let dropped =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        match Errno::result(dropped) {
            // Behind the last that this kernel knows.
            Err(Errno::EINVAL) => return Ok(()),
            done => done?,
        };
    }
    Ok(())
}

fn no_entry(directory: &str) -> impl FnOnce(Errno) -> StartFailure {
    let message = format!("chdir to cwd ({directory:?}) set in config.json failed");
    move |error| {
        let message = format!("{message}: {}", error.desc().to_lowercase());
        StartFailure::new(FailureKind::WorkingDirectory, message)
    }
}

/// A path of what is open, for calls that take none but paths: it is what was opened, whatever its name means by now.
pub(super) fn place(opened: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd())
}
