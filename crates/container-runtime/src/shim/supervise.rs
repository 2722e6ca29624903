//! The shim's event loop: one thread, one `poll`, from the waiting process to its end.
//!
//! | phase | moves on when | to |
//! |---|---|---|
//! | Created | an agent says `start` | Starting |
//! | Starting | the exec's pipe ends, or tells a failure | Running |
//! | any | the first process is reaped | Ended |
//! | Ended | the outputs are at their end, or the drain deadline is over | finish |
//!
//! **Invariant:** nothing an agent sends or leaves unread stops the loop.

mod requests;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen, socket,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::allowance::Allowance;
use super::checks::Checks;
use super::driver::{Gate, discard, read_failure};
use super::outputs::Output;
use super::{Made, detach, finish, mounts};
use crate::cgroup::{Cgroup, Hierarchies, LiftedQuota};
use crate::error::{FailureKind, StartFailure};
use crate::fail_point;
use crate::layout::{INTENT_FILE, LOCK_FILE, PID_FILE, SOCKET_FILE};
use crate::lock;
use crate::log::{LogStream, LogWriter};
use crate::private;
use crate::protocol::{LOWEST, Response};
use crate::record::{ShimRecord, write_whole};
use crate::runtime::Intent;

/// Connections at a time; an agent uses one per wait, and one per call.
const CLIENTS_MAX: usize = 64;
/// How long output may come from elsewhere after the container is over.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// How often a full log is looked at again.
const FULL_LOG_POLL: Duration = Duration::from_millis(10);
/// A start that was not asked for within this time is not under way.
const IDLE: Duration = Duration::from_secs(1);
/// The highest signal number.
pub(super) const SIGNAL_MAX: i32 = 64;

pub(super) struct Supervisor {
    pub intent: Intent,
    pub hierarchies: Hierarchies,
    pub log: LogWriter,
    pub clients: Vec<Client>,
    pub phase: Phase,
    pub kill_requested: bool,
    pub started_at_ms: Option<u64>,
    pub start_failure: Option<StartFailure>,
    /// While a container of many processes dies.
    hurried: Option<LiftedQuota>,
    checks: Option<Checks>,
    init: Pid,
    outputs: Vec<Output>,
    allowance: Allowance,
    listener: OwnedFd,
    signals: SignalFd,
    record: ShimRecord,
    /// The host's mount namespace, until this process is back in it.
    host_mounts: Option<OwnedFd>,
    /// Held until the process ends.
    lock: File,
}

pub(super) struct Client {
    pub connection: OwnedFd,
    /// In which it asked last.
    pub version: u8,
    pub expects: Expects,
}

/// What a client has asked for and not got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    Nothing,
    Start,
    Exit,
    /// The health after so many changes.
    Health(u64),
}

pub(super) enum Phase {
    Created(Gate),
    Starting(File),
    Running,
    Ended { status: WaitStatus, drain_until: Instant },
}

/// What `poll` watches, in the order in which it is asked.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Exec,
    Output(usize),
    Check,
    Client(usize),
}

impl Supervisor {
    pub fn new(
        intent: Intent,
        hierarchies: Hierarchies,
        made: Made,
        host_mounts: OwnedFd,
        lock: File,
    ) -> io::Result<Supervisor> {
        let Made { created, record, log, checks } = made;
        let opened = || -> io::Result<(OwnedFd, SignalFd)> {
            fail_point::reach("shim.listen")?;
            let listener = listener()?;
            let handled = SigSet::from_iter(detach::HANDLED);
            let signals =
                SignalFd::with_flags(&handled, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
            Ok((listener, signals))
        };
        let (listener, signals) = opened().inspect_err(|_| discard(&created))?;
        let line = intent.spec.log.line_bytes_max;
        Ok(Supervisor {
            outputs: vec![
                Output::new(created.stdout, LogStream::Stdout, line),
                Output::new(created.stderr, LogStream::Stderr, line),
            ],
            allowance: Allowance::new(Instant::now()),
            init: created.init,
            phase: Phase::Created(created.gate),
            intent,
            hierarchies,
            log,
            clients: Vec::new(),
            kill_requested: false,
            started_at_ms: None,
            start_failure: None,
            hurried: None,
            checks,
            listener,
            signals,
            record,
            host_mounts: Some(host_mounts),
            lock,
        })
    }

    pub fn record(&self) -> &ShimRecord {
        &self.record
    }

    /// Runs until the container is over and recorded; gives the shim's own exit status.
    pub fn run(mut self) -> i32 {
        // A file that cannot be let go costs a descriptor and nothing else.
        let _ = detach::silence_errors();
        while !self.is_over() {
            match self.ready() {
                Ok(sources) => {
                    let idle = sources.is_empty();
                    sources.into_iter().for_each(|source| self.handle(source));
                    self.look_after();
                    self.leave_own_mounts(idle);
                }
                // Without `poll` only the end can be waited for.
                Err(_) => self.reap(None),
            }
        }
        for output in &mut self.outputs {
            output.finish(&mut self.log);
        }
        finish::finish(self)
    }

    /// Once the container has its own mounts this process needs no private copy of the host's, which would
    /// keep every file system busy that the host unmounts. Not between its report and the start, for which
    /// somebody waits.
    fn leave_own_mounts(&mut self, idle: bool) {
        let is_starting = matches!(self.phase, Phase::Created(_)) && !idle;
        if is_starting || matches!(self.phase, Phase::Starting(_)) {
            return;
        }
        if let Some(host) = self.host_mounts.take() {
            // Where it stays as it is, mounts of the host are let go with the container, as before.
            let _ = mounts::return_to(&host, &self.intent.run_dir);
        }
    }

    fn is_over(&self) -> bool {
        match &self.phase {
            Phase::Ended { drain_until, .. } => {
                self.outputs.is_empty() || Instant::now() >= *drain_until
            }
            _ => false,
        }
    }

    fn ready(&mut self) -> io::Result<Vec<Source>> {
        let ended = matches!(self.phase, Phase::Ended { .. });
        // The end of a container is not held up by a log that nobody ships.
        let full = !ended && self.log.is_full();
        let overdrawn = self.allowance.wait(Instant::now());
        let is_read = !full && overdrawn.is_zero();
        let mut sources = vec![Source::Signals, Source::Listener];
        let mut polled = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        if let Phase::Starting(failures) = &self.phase {
            sources.push(Source::Exec);
            polled.push(PollFd::new(failures.as_fd(), PollFlags::POLLIN));
        }
        for (index, output) in self.outputs.iter().enumerate().filter(|_| is_read) {
            sources.push(Source::Output(index));
            polled.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        let checks = self.checks.as_ref().filter(|_| matches!(self.phase, Phase::Running));
        if let Some(output) = checks.and_then(Checks::output).filter(|_| overdrawn.is_zero()) {
            sources.push(Source::Check);
            polled.push(PollFd::new(output, PollFlags::POLLIN));
        }
        for (index, client) in self.clients.iter().enumerate() {
            sources.push(Source::Client(index));
            polled.push(PollFd::new(client.connection.as_fd(), PollFlags::POLLIN));
        }
        let longest = match &self.phase {
            Phase::Ended { drain_until, .. } => {
                Some(drain_until.saturating_duration_since(Instant::now()))
            }
            _ if full => Some(FULL_LOG_POLL),
            _ => self.host_mounts.is_some().then_some(IDLE),
        };
        let longest = match overdrawn {
            Duration::ZERO => longest,
            wait => Some(longest.map_or(wait, |longest| longest.min(wait))),
        };
        let due = checks.filter(|_| !self.kill_requested).and_then(Checks::due);
        let due = due.map(|due| due.saturating_duration_since(Instant::now()));
        let longest = longest.into_iter().chain(due).min();
        // Rounded up: to look a part of a millisecond too early would be to look in vain, again and again.
        let timeout = longest.map_or(PollTimeout::NONE, |longest| {
            let whole = longest.as_nanos().div_ceil(1_000_000);
            PollTimeout::from(u16::try_from(whole).unwrap_or(u16::MAX))
        });
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_news =
            |polled: &PollFd<'_>| polled.revents().is_some_and(|flags| !flags.is_empty());
        let ready = sources.iter().zip(&polled).filter(|(_, polled)| has_news(polled));
        // From the back, so that removing one does not move those still to come.
        Ok(ready.map(|(source, _)| *source).rev().collect())
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Signals => {
                let mut hang_up = false;
                while let Ok(Some(signal)) = self.signals.read_signal() {
                    hang_up |= signal.ssi_signo == Signal::SIGHUP as u32;
                }
                self.reap(Some(WaitPidFlag::WNOHANG));
                // An agent that cannot find the socket says so.
                if hang_up && !self.is_reachable() {
                    // What is still missing the next hang-up brings.
                    let _ = self.listen_again();
                }
            }
            Source::Listener => self.accept(),
            Source::Exec => self.exec_result(),
            Source::Output(index) => {
                if !self.outputs[index].pump(&mut self.log, &mut self.allowance) {
                    self.outputs.remove(index);
                }
            }
            Source::Check => {
                if let Some(checks) = &mut self.checks {
                    checks.read(&mut self.allowance);
                }
            }
            Source::Client(index) => self.converse(index),
        }
    }

    /// Does what is due of the checks, but for a container that is not yet, or on its way out.
    fn look_after(&mut self) {
        let Some(checks) = &mut self.checks else { return };
        if matches!(self.phase, Phase::Running) && !self.kill_requested {
            checks.act(&self.intent, &self.hierarchies, self.init, Instant::now());
            self.tell_health();
        }
    }

    /// Whether the socket in the run directory is there, and the directory still this one.
    fn is_reachable(&self) -> bool {
        let same = || -> io::Result<bool> {
            let (here, named) = (fs::metadata(".")?, fs::metadata(&self.intent.run_dir)?);
            fs::symlink_metadata(SOCKET_FILE)?;
            Ok((here.dev(), here.ino()) == (named.dev(), named.ino()))
        };
        same().unwrap_or(false)
    }

    /// Makes the run directory with all that an agent looks for in it, after somebody has removed it.
    fn listen_again(&mut self) -> io::Result<()> {
        let run_dir = &self.intent.run_dir;
        private::make_directories(run_dir)?;
        std::env::set_current_dir(run_dir)?;
        write_whole(Path::new(INTENT_FILE), &self.intent)?;
        write_whole(Path::new(PID_FILE), &self.record)?;
        // Not opened again if it is there: closing a second descriptor would drop the lock.
        let (held, named) = (self.lock.metadata()?, fs::metadata(LOCK_FILE));
        if !named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
            self.lock = lock::hold(Path::new(LOCK_FILE))?;
        }
        match fs::remove_file(SOCKET_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.listener = listener()?;
        Ok(())
    }

    fn accept(&mut self) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        while let Ok(accepted) = accept4(self.listener.as_raw_fd(), flags) {
            use std::os::fd::FromRawFd;
            // SAFETY: just accepted, owned by nobody else.
            #[allow(unsafe_code)]
            let connection = unsafe { OwnedFd::from_raw_fd(accepted) };
            // One too many is closed: its owner sees the end of the connection.
            if self.clients.len() < CLIENTS_MAX {
                let (version, expects) = (LOWEST, Expects::Nothing);
                self.clients.push(Client { connection, version, expects });
            }
        }
    }

    /// Takes every child that is dead: the container's first process, and orphans.
    fn reap(&mut self, flags: Option<WaitPidFlag>) {
        loop {
            let status = match waitpid(None, flags) {
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(status) => status,
            };
            let is_end = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
            if is_end && status.pid() == Some(self.init) {
                self.end(status);
                return;
            }
            if let Some(checks) = &mut self.checks {
                checks.reaped(status, &mut self.allowance, Instant::now());
            }
        }
    }

    fn end(&mut self, status: WaitStatus) {
        if let Phase::Starting(_) = self.phase {
            self.exec_result();
        }
        // In a pid namespace of its own the kernel has killed the rest; in a shared one we do. What
        // does not die is found by the agent's removal.
        let _ = self.cgroup().kill();
        self.hurried = None;
        let drain_until = Instant::now() + DRAIN_DEADLINE;
        self.phase = Phase::Ended { status, drain_until };
    }

    fn exec_result(&mut self) {
        let Phase::Starting(failures) = &mut self.phase else { return };
        let answer = match read_failure(failures) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(None) | Err(_) => Response::Done,
            Ok(Some(failure)) => {
                self.start_failure = Some(failure.clone());
                self.started_at_ms = None;
                Response::Failed(failure)
            }
        };
        self.phase = Phase::Running;
        if let (Some(checks), None) = (&mut self.checks, &self.start_failure) {
            checks.begin(Instant::now());
        }
        self.answer_all(Expects::Start, &answer);
    }

    pub fn cgroup(&self) -> Cgroup<'_> {
        Cgroup::new(&self.hierarchies, &self.intent.cgroup)
    }
}

/// A socket in the working directory.
fn listener() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(SOCKET_FILE)?)?;
    listen(&listener, Backlog::new(CLIENTS_MAX as i32)?)?;
    Ok(listener)
}

pub(super) fn never_started() -> StartFailure {
    StartFailure::new(FailureKind::Killed, "the container was stopped before it was started")
}
