//! The agent's hold on one running shim.
//!
//! **Invariant:** a handle owns no process and no connection: dropping it changes nothing, and two
//! agents with one handle each cannot disturb each other.
//!
//! A shim may be stopped, wedged, of a version that cannot be spoken with, or out of reach because somebody cleaned `/run`. Nothing that ends a
//! container depends on it: what the shim does not do in time is done without it, on the processes and the
//! control group themselves, see [`ShimHandle::signal`], [`ShimHandle::kill`] and [`ShimHandle::conclude`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::cgroup::{Cgroup, Hierarchies};
use crate::container_key::ContainerKey;
use crate::discovery::{has_children, is_told};
use crate::error::{RuntimeError, is_shortage};
use crate::health::HealthWait;
use crate::layout::SOCKET_FILE;
use crate::process::Process;
use crate::protocol::{
    HIGHEST, LOWEST, Received, Request, Response, WITH_HEALTH, common_version, receive, send,
    wait_readable,
};
use crate::record::{ExitRecord, RECORD_VERSION, ShimRecord, now_ms, read_exit, write_exit};

/// A shim answers from memory: one that takes longer is stopped, or its host is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Only `start` waits, for an exec.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a shim may take to listen again after its directory was taken from it.
const RETURN_DEADLINE: Duration = Duration::from_secs(2);
const RETURN_POLL: Duration = Duration::from_millis(2);
/// How long a shim may take to write down the end of a container that it has seen.
const FINISH_DEADLINE: Duration = Duration::from_secs(30);
/// How long a killed shim may take to go.
const SHIM_END_DEADLINE: Duration = Duration::from_secs(5);

/// What a container that is not over is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Everything is ready, the process waits for `start`.
    Created,
    Running,
}

/// A running shim and its container.
#[derive(Debug, Clone)]
pub struct ShimHandle {
    pub(crate) key: ContainerKey,
    pub(crate) run_dir: PathBuf,
    pub(crate) container_dir: PathBuf,
    pub(crate) cgroup: PathBuf,
    pub(crate) hierarchies: Arc<Hierarchies>,
    pub(crate) record: ShimRecord,
}

impl ShimHandle {
    pub fn key(&self) -> &ContainerKey {
        &self.key
    }

    /// The first process of the container, as the host numbers it. For showing; to act on the
    /// container use this handle.
    pub fn pid(&self) -> i32 {
        self.record.container_pid
    }

    pub fn shim_pid(&self) -> i32 {
        self.record.shim_pid
    }

    /// Lets the process run.
    ///
    /// # Errors
    /// [`RuntimeError::Start`] when the program could not be executed; the container is over then.
    pub fn start(&self) -> Result<(), RuntimeError> {
        self.done(&Request::Start)
    }

    /// Sends a signal to the first process: by the shim, and if that does not answer within
    /// 5 seconds, without it. A container that is over is no error.
    ///
    /// # Errors
    /// When shim or kernel refuses the number.
    pub fn signal(&self, number: i32) -> Result<(), RuntimeError> {
        match self.done(&Request::Signal { number }) {
            Err(RuntimeError::ShimGone { .. }) => self.signal_first(number),
            done => done,
        }
    }

    /// SIGKILL to everything in the container: by the shim, which then knows that it was asked for, and if
    /// that does not answer within 5 seconds, without it. A container that is over is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<(), RuntimeError> {
        match self.done(&Request::Kill) {
            Err(RuntimeError::ShimGone { .. }) => {
                self.signal_first(libc::SIGKILL)?;
                self.group().kill_once();
                Ok(())
            }
            done => done,
        }
    }

    /// A descriptor of the container's first process, as [`ShimHandle::pid_fd`], without asking the shim;
    /// `None` when the process is gone.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn first_process(&self) -> Result<Option<OwnedFd>, RuntimeError> {
        let opened = Process::container(&self.record).map_err(|error| self.unheld(error))?;
        Ok(opened.map(Process::into_descriptor))
    }

    /// Ends what is left of a container whose shim is gone or does not do its work, shim included, and
    /// gives its record: the shim's own if it wrote one, or what the kernel still knows of the end. That
    /// record is kept as a shim's is.
    ///
    /// # Errors
    /// When a process does not go.
    pub fn conclude(&self) -> Result<ExitRecord, RuntimeError> {
        let shim = Process::shim(&self.record).map_err(|error| self.unheld(error))?;
        let first = Process::container(&self.record).map_err(|error| self.unheld(error))?;
        // A shim that has reaped the process is at its work, on a slow disk or a busy host.
        if let (None, Some(shim)) = (&first, &shim) {
            shim.wait(FINISH_DEADLINE).map_err(|error| self.unheld(error))?;
        }
        // Before the shim goes: the process that takes over its children asks them at once.
        let ended_itself = first.as_ref().and_then(Process::unreaped_status);
        self.signal_first(libc::SIGKILL)?;
        self.group().kill()?;
        let end = match (ended_itself, &first) {
            (None, Some(first)) => {
                first.wait(SHIM_END_DEADLINE).map_err(|error| self.unheld(error))?;
                first.unreaped_status()
            }
            (status, _) => status,
        };
        let oom_kill_count = self.group().oom_kills();
        if let Some(shim) = shim {
            shim.signal(libc::SIGKILL).map_err(|error| self.unheld(error))?;
            if !shim.wait(SHIM_END_DEADLINE).map_err(|error| self.unheld(error))? {
                let what = format!("the shim of {}", self.key);
                let waited_ms = SHIM_END_DEADLINE.as_millis() as u64;
                return Err(RuntimeError::Timeout { what, waited_ms });
            }
        }
        if let Some(record) = self.exit()? {
            return Ok(record);
        }
        let record = unattended(end, ended_itself.is_none(), oom_kill_count);
        // Where neither takes it, who asked knows it all the same, and a later agent finds nothing alive.
        let _ = write_exit(&self.container_dir, &self.run_dir, &record);
        Ok(record)
    }

    /// What the shim says, or, of a shim that does not answer within 5 seconds, what its container's first
    /// process looks like.
    ///
    /// # Errors
    /// When the shim is gone: then the container is over, see [`crate::Runtime::adopt`].
    pub fn state(&self) -> Result<ContainerState, RuntimeError> {
        match self.ask(&Request::State) {
            Ok((Response::State { running: true, .. }, _)) => Ok(ContainerState::Running),
            Ok((Response::State { running: false, .. }, _)) => Ok(ContainerState::Created),
            Ok((other, _)) => Err(self.unexpected(&other)),
            Err(error @ RuntimeError::ShimGone { .. }) => self.seen_state().ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// A process that waits for its start is a copy of its shim, without children.
    fn seen_state(&self) -> Option<ContainerState> {
        Process::shim(&self.record).ok()??;
        let first = self.record.container_pid;
        let waits = is_told(first, &self.run_dir) && !has_children(first);
        Some(if waits { ContainerState::Created } else { ContainerState::Running })
    }

    /// A descriptor of the container's first process: safe against reuse of the pid, readable when
    /// the process is gone. It may end before the exit record is written.
    ///
    /// # Errors
    /// When the shim is gone.
    pub fn pid_fd(&self) -> Result<OwnedFd, RuntimeError> {
        match self.ask(&Request::PidFd)? {
            (Response::PidFd, Some(descriptor)) => Ok(descriptor),
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    /// The exit record if the container is over, without asking the shim.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn exit(&self) -> Result<Option<ExitRecord>, RuntimeError> {
        read_exit(&self.container_dir, &self.run_dir)
            .map_err(RuntimeError::io("read the exit record of", &self.container_dir))
    }

    /// Asks to be told of the end. The descriptor is for an event loop.
    ///
    /// # Errors
    /// When the shim is gone and left no exit record.
    pub fn exit_wait(&self) -> Result<ExitWait, RuntimeError> {
        let ask = |version| {
            let connection = self.connect(ANSWER_TIMEOUT)?;
            let sent = send(connection.as_fd(), version, &Request::Wait, None);
            sent.map(|()| connection).map_err(|error| self.gone(&error))
        };
        let asked = self.version().and_then(ask);
        let error = match asked {
            Ok(connection) => {
                return Ok(ExitWait { handle: self.clone(), told_by: connection, record: None });
            }
            Err(error) => error,
        };
        if let Some(record) = self.exit()? {
            return ExitWait::over(self.clone(), record);
        }
        // It cannot be asked, and goes when it has written its record.
        let shim = Process::shim(&self.record).map_err(|error| self.unheld(error))?;
        let told_by = shim.ok_or(error)?.into_descriptor();
        Ok(ExitWait { handle: self.clone(), told_by, record: None })
    }

    /// Asks to be told of a change of its health after as many as `seen`; 0 has it told what it is by now, once that is
    /// known. The descriptor is for an event loop. `None` of a shim that is too old to know of health checks.
    ///
    /// # Errors
    /// When the shim is gone.
    pub fn health_wait(&self, seen: u64) -> Result<Option<HealthWait>, RuntimeError> {
        let version = self.version()?;
        if version < WITH_HEALTH {
            return Ok(None);
        }
        let connection = self.connect(ANSWER_TIMEOUT)?;
        let asked = send(connection.as_fd(), version, &Request::Health { seen }, None);
        asked.map_err(|error| self.gone(&error))?;
        Ok(Some(HealthWait { handle: self.clone(), told_by: connection }))
    }

    /// Blocks until the container is over or `timeout` is.
    ///
    /// # Errors
    /// When the shim died without a record.
    pub fn wait(&self, timeout: Duration) -> Result<Option<ExitRecord>, RuntimeError> {
        let wait = self.exit_wait()?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        match wait_readable(wait.as_fd(), timeout_ms) {
            Ok(true) => wait.take().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(self.gone(&error)),
        }
    }

    fn done(&self, request: &Request) -> Result<(), RuntimeError> {
        let answer = match self.ask(request) {
            Ok((answer, _)) => answer,
            Err(error) => return self.done_if_over(request, error),
        };
        match answer {
            Response::Done => Ok(()),
            Response::Failed(failure) => Err(RuntimeError::Start(failure)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The shim goes when the container is over: what was to end it is done then.
    fn done_if_over(&self, request: &Request, error: RuntimeError) -> Result<(), RuntimeError> {
        match (self.exit()?, request) {
            (Some(ExitRecord { start_failure: Some(failure), .. }), Request::Start) => {
                Err(RuntimeError::Start(failure))
            }
            (Some(_), Request::Signal { .. } | Request::Kill) => Ok(()),
            _ => Err(error),
        }
    }

    fn ask(&self, request: &Request) -> Result<(Response, Option<OwnedFd>), RuntimeError> {
        let timeout = if *request == Request::Start { START_TIMEOUT } else { ANSWER_TIMEOUT };
        let version = self.version()?;
        let connection = self.connect(timeout)?;
        send(connection.as_fd(), version, request, None).map_err(|error| self.gone(&error))?;
        match receive(connection.as_fd()) {
            Ok(Some(Received { message, descriptor, .. })) => Ok((message, descriptor)),
            Ok(None) => Err(self.ended("the connection ended")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.ended(&format!("its answer is not understood: {error}")))
            }
            Err(error) => Err(self.gone(&error)),
        }
    }

    /// In which to speak with the shim. One that cannot be spoken with is done without, as one that does not answer.
    fn version(&self) -> Result<u8, RuntimeError> {
        let highest = self.record.protocol;
        common_version(highest).ok_or_else(|| {
            self.ended(&format!(
                "it speaks up to version {highest} of the protocol, this one {LOWEST} to {HIGHEST}"
            ))
        })
    }

    /// A shim whose directory somebody has removed makes it again when it is told to.
    fn connect(&self, timeout: Duration) -> Result<OwnedFd, RuntimeError> {
        let error = match self.connect_once(timeout) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            connected => return connected.map_err(|error| self.gone(&error)),
        };
        let Ok(Some(shim)) = Process::shim(&self.record) else { return Err(self.gone(&error)) };
        shim.signal(libc::SIGHUP).map_err(|error| self.gone(&error))?;
        let begun = Instant::now();
        loop {
            match self.connect_once(timeout) {
                Err(_) if begun.elapsed() < RETURN_DEADLINE => {
                    // It may end meanwhile; otherwise this is the pause between two looks.
                    if shim.wait(RETURN_POLL).map_err(|error| self.gone(&error))? {
                        return Err(self.ended("it has ended"));
                    }
                }
                connected => return connected.map_err(|error| self.gone(&error)),
            }
        }
    }

    /// Paths of sockets may have 107 bytes; a descriptor of the directory makes any path short.
    fn connect_once(&self, timeout: Duration) -> io::Result<OwnedFd> {
        let directory = File::open(&self.run_dir)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
        let flags = SockFlag::SOCK_CLOEXEC;
        let connection = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        let timeout = TimeVal::seconds(timeout.as_secs() as i64);
        setsockopt(&connection, sockopt::ReceiveTimeout, &timeout)?;
        setsockopt(&connection, sockopt::SendTimeout, &timeout)?;
        connect(connection.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
        Ok(connection)
    }

    /// A process that is gone is signalled well enough.
    fn signal_first(&self, number: i32) -> Result<(), RuntimeError> {
        let first = Process::container(&self.record).map_err(|error| self.unheld(error))?;
        first
            .map_or(Ok(()), |first| first.signal(number))
            .map_err(RuntimeError::io("signal the container of", &self.container_dir))
    }

    fn group(&self) -> Cgroup<'_> {
        Cgroup::new(&self.hierarchies, &self.cgroup)
    }

    fn unheld(&self, source: io::Error) -> RuntimeError {
        RuntimeError::io("hold the processes of", &self.container_dir)(source)
    }

    pub(crate) fn gone(&self, error: &io::Error) -> RuntimeError {
        let (key, detail) = (self.key.to_string(), error.to_string());
        RuntimeError::ShimGone { key, detail, is_shortage: is_shortage(error) }
    }

    pub(crate) fn ended(&self, detail: &str) -> RuntimeError {
        let (key, detail) = (self.key.to_string(), detail.to_owned());
        RuntimeError::ShimGone { key, detail, is_shortage: false }
    }

    pub(crate) fn unexpected(&self, response: &Response) -> RuntimeError {
        let detail = match response {
            Response::Refused { reason } => reason.clone(),
            other => format!("{other:?}"),
        };
        RuntimeError::Protocol { key: self.key.to_string(), detail }
    }
}

/// A wait for the end of a container: its descriptor becomes readable once.
#[derive(Debug)]
pub struct ExitWait {
    handle: ShimHandle,
    /// The connection on which the shim tells, or the shim's process.
    told_by: OwnedFd,
    record: Option<ExitRecord>,
}

impl ExitWait {
    /// A wait that is over: its descriptor is at the end of its input.
    fn over(handle: ShimHandle, record: ExitRecord) -> Result<ExitWait, RuntimeError> {
        let null = File::open("/dev/null").map_err(RuntimeError::io("open", "/dev/null"))?;
        Ok(ExitWait { handle, told_by: null.into(), record: Some(record) })
    }

    /// The record, once the descriptor is readable; before that it blocks.
    ///
    /// # Errors
    /// [`RuntimeError::ShimGone`] when the shim died without writing one.
    pub fn take(self) -> Result<ExitRecord, RuntimeError> {
        if let Some(record) = self.record {
            return Ok(record);
        }
        wait_readable(self.told_by.as_fd(), -1).map_err(|error| self.handle.gone(&error))?;
        match receive(self.told_by.as_fd()) {
            Ok(Some(Received { message: Response::Exited(record), .. })) => Ok(record),
            // A process says nothing, and a shim may have ended between our connecting and its
            // listening.
            _ => self.handle.exit()?.ok_or_else(|| self.handle.ended("it left no exit record")),
        }
    }
}

impl AsFd for ExitWait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told_by.as_fd()
    }
}

impl AsRawFd for ExitWait {
    fn as_raw_fd(&self) -> i32 {
        self.told_by.as_raw_fd()
    }
}

/// The record of a container whose shim told nothing. `status`: as `wait` tells it, if anybody knows;
/// `killed`: it was alive until it was killed for this.
fn unattended(status: Option<i32>, killed: bool, oom_kill_count: u64) -> ExitRecord {
    let signal = status.filter(|status| libc::WIFSIGNALED(*status)).map(|one| libc::WTERMSIG(one));
    let code = status.filter(|status| libc::WIFEXITED(*status)).map(|one| libc::WEXITSTATUS(one));
    let exit_code = code.or(signal.map(|signal| 128 + signal));
    ExitRecord {
        version: RECORD_VERSION,
        exit_code,
        signal,
        oom_killed: exit_code == Some(128 + libc::SIGKILL) && oom_kill_count > 0 && !killed,
        oom_kill_count,
        kill_requested: killed,
        started_at_ms: None,
        finished_at_ms: now_ms(),
        start_failure: None,
        dropped_log_lines: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_knows_of_an_end_is_reported() {
        let check = |status, killed, ooms, expected: (Option<i32>, bool)| {
            let record = unattended(status, killed, ooms);
            assert_eq!((record.exit_code, record.oom_killed), expected, "{status:?} {ooms}");
        };
        check(Some(3 << 8), false, 0, (Some(3), false));
        check(Some(libc::SIGKILL), true, 0, (Some(137), false));
        check(Some(libc::SIGKILL), true, 1, (Some(137), false));
        check(Some(libc::SIGKILL), false, 1, (Some(137), true));
        check(Some(libc::SIGTERM), false, 0, (Some(143), false));
        check(None, true, 0, (None, false));
    }
}
