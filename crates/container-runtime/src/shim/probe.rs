//! The process of a health check: one that joins the container it is of.
//!
//! ```text
//! shim                                    child
//! clone into the container's pid namespace →  control group below the container's, namespaces, user, capabilities
//! reads what it writes, reaps it          ←─  seccomp, exec, end
//! ```
//!
//! It gets what the container's first process has: namespaces, root, limits, user, capabilities, filter, environment and
//! working directory. What keeps the container from this program keeps the check from it, too, see `container_process`.
//!
//! A container that may trace all processes of its namespace, and has the host's ids, could take the child over while that is
//! root of the host: such a container has no health check unless its node gives it power anyway, see
//! `ContainerSpec::asked_of_the_host`.
//!
//! **Invariant:** the child never returns into the shim's code. Nothing of the host is open in it at the exec, nor in
//! reach from the moment it has the container's user.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_dumpable;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid, write};

use super::capabilities::Capabilities;
use super::clone::{Cloned, clone};
use super::container_process::{
    become_user, close_all_but, enter_directory, leave_session_keyring, set_limits,
};
use super::exec_plan::ExecPlan;
use super::ids::Ids;
use super::user::User;
use super::{cgroup_failure, detach, driver, io_failure, seccomp};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::error::{FailureKind, StartFailure};
use crate::health::HealthCheck;
use crate::private;
use crate::runtime::Intent;
use crate::spec::{ContainerSpec, Driver};

/// Of a check whose program is not there, and of one that could not be run otherwise; as shells have it.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

/// The control group of the checks, below their container's: what they use the container uses. All that is in it ends with
/// each check, and it with the container.
const GROUP: &str = "outport-health-check";

/// In the order in which they are joined: the last takes this program's view of the others away.
const NAMESPACES: [(&str, CloneFlags); 5] = [
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Everything that a check is made from, but for the container's first process.
pub(super) struct Probe {
    plan: ExecPlan,
    user: User,
    ids: Ids,
    bounding: Capabilities,
}

impl Probe {
    pub fn new(
        intent: &Intent,
        check: &HealthCheck,
        user: &User,
        ids: &Ids,
    ) -> Result<Probe, StartFailure> {
        let spec = &intent.spec;
        let invalid = |message: &str| StartFailure::new(FailureKind::InvalidSpec, message);
        if check.command.is_empty() {
            return Err(invalid("no command specified for the health check"));
        }
        if spec.driver != Driver::BuiltIn {
            return Err(invalid("health checks and another OCI runtime exclude each other"));
        }
        let bounding = Capabilities::of(spec)?;
        let program = seccomp::program(spec, bounding, &intent.seccomp_dir)?;
        // Nobody waits for its exec: what goes wrong it says where its own words would go.
        let mut plan = ExecPlan::new(spec, user, bounding, program, libc::STDERR_FILENO)?;
        let c_string = |text: &String| CString::new(text.as_str());
        let args: Result<_, _> = check.command.iter().map(c_string).collect();
        plan.args = args.map_err(|_| invalid("a NUL byte in the command of the health check"))?;
        // What it leaves is killed with its group.
        plan.with_init = false;
        let ids = ids.try_clone().map_err(io_failure("keep the user namespace"))?;
        Ok(Probe { plan, user: user.clone(), ids, bounding })
    }

    /// The control group of the checks of a container, whether it is there or not.
    pub fn group<'h>(intent: &Intent, hierarchies: &'h Hierarchies) -> Cgroup<'h> {
        Cgroup::new(hierarchies, intent.cgroup.join(GROUP))
    }

    /// Makes the process, and gives where it writes.
    pub fn launch(
        &self,
        intent: &Intent,
        hierarchies: &Hierarchies,
        init: Pid,
    ) -> Result<(Pid, File), StartFailure> {
        let group = Probe::group(intent, hierarchies);
        // Made once: in each of a dozen hierarchies that would cost more than all else of a check.
        if !group.exists() {
            let container = Cgroup::new(hierarchies, &intent.cgroup);
            container.create_below(GROUP).map_err(cgroup_failure)?;
        }
        let (output, output_write) = driver::output_pipe(&self.user, &self.ids)?;
        // Its input is at its end at once; a device would be the host's or the container's to change.
        let (input, _) = pipe2(OFlag::O_CLOEXEC).map_err(io_failure("make an input pipe"))?;
        // In there, others see it before it has left the host's files: without SYS_PTRACE over it they may not look in.
        set_dumpable(false).map_err(io_failure("protect the process"))?;
        let own = File::open("/proc/self/ns/pid").map_err(io_failure("open the pid namespace"))?;
        let pid_namespace = File::open(format!("/proc/{init}/ns/pid"));
        let pid_namespace = pid_namespace.map_err(io_failure("open a pid namespace"))?;
        setns(pid_namespace, CloneFlags::CLONE_NEWPID)
            .map_err(io_failure("join a pid namespace"))?;
        let cloned = clone(CloneFlags::empty(), group.in_version_2().as_deref());
        let back = setns(own, CloneFlags::CLONE_NEWPID);
        let Cloned { child, in_cgroup } = cloned.map_err(io_failure("make a process"))?;
        let Some(child) = child else {
            self.run(&intent.spec, init, &group, in_cgroup, [&input, &output_write]);
        };
        if let Err(error) = back {
            // Gone already is as good.
            let _ = kill(child, Signal::SIGKILL);
            return Err(io_failure("return to the pid namespace")(error));
        }
        Ok((child, output))
    }

    /// The child's whole life.
    fn run(
        &self,
        spec: &ContainerSpec,
        init: Pid,
        group: &Cgroup<'_>,
        in_cgroup: bool,
        [input, output]: [&OwnedFd; 2],
    ) -> ! {
        private::set_container_umask();
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let taken = dup2_stdin(input)
                .and_then(|()| dup2_stdout(output))
                .and_then(|()| dup2_stderr(output));
            let became = taken.map_err(io_failure("take the output"));
            let became = became.and_then(|()| self.become_check(spec, init, group, in_cgroup));
            let Err(failure) = became;
            // Without a reader there is nobody to tell.
            let _ = write(io::stderr(), failure.message.as_bytes());
            match failure.kind {
                FailureKind::ExecutableNotFound => NOT_FOUND,
                _ => NOT_RUN,
            }
        }));
        // SAFETY: ends the process without running what is the shim's.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(lived.unwrap_or(NOT_RUN))
        }
    }

    fn become_check(
        &self,
        spec: &ContainerSpec,
        init: Pid,
        group: &Cgroup<'_>,
        in_cgroup: bool,
    ) -> Result<std::convert::Infallible, StartFailure> {
        setsid().map_err(io_failure("make a session"))?;
        leave_session_keyring().map_err(io_failure("make a session keyring"))?;
        detach::oom_score(0).map_err(io_failure("set the OOM score"))?;
        group.join_below(in_cgroup).map_err(cgroup_failure)?;
        let open = |(name, flag): (&str, CloneFlags)| {
            File::open(format!("/proc/{init}/ns/{name}")).map(|opened| (opened, flag))
        };
        let opened: io::Result<Vec<_>> = NAMESPACES.into_iter().map(open).collect();
        for (namespace, flag) in opened.map_err(io_failure("open a namespace"))? {
            setns(namespace, flag).map_err(io_failure("join a namespace"))?;
        }
        set_limits(spec)?;
        // Whoever comes to see into it from here on finds nothing of the host in it.
        if let Some(user) = self.ids.namespace() {
            close_all_but([user.as_raw_fd(); 2])?;
            self.ids.enter().map_err(io_failure("enter the user namespace"))?;
            set_dumpable(false).map_err(io_failure("protect the process"))?;
        }
        detach::close_from(3).map_err(io_failure("close descriptors"))?;
        enter_directory(spec, || become_user(spec, &self.user, self.bounding, &self.plan))?;
        self.plan.become_container()
    }
}
