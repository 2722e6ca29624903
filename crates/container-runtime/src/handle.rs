//! The agent's hold on one running shim.
//!
//! **Invariant:** a handle owns no process and no connection: dropping it changes nothing, and two
//! agents with one handle each cannot disturb each other.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::container_key::ContainerKey;
use crate::error::RuntimeError;
use crate::layout::{EXIT_FILE, SOCKET_FILE};
use crate::protocol::{Request, Response, receive, send, wait_readable};
use crate::record::{ExitRecord, ShimRecord, read_whole};

/// A shim answers from memory; only `start` waits, for an exec.
const ANSWER_TIMEOUT_S: i64 = 30;

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

    /// Sends a signal to the first process. A container that is over is no error.
    ///
    /// # Errors
    /// When the shim refuses the number, or is gone without a record.
    pub fn signal(&self, number: i32) -> Result<(), RuntimeError> {
        self.done(&Request::Signal { number })
    }

    /// SIGKILL to everything in the container. A container that is over is no error.
    ///
    /// # Errors
    /// When the shim is gone without a record.
    pub fn kill(&self) -> Result<(), RuntimeError> {
        self.done(&Request::Kill)
    }

    /// # Errors
    /// When the shim is gone: then the container is over, see [`crate::Runtime::adopt`].
    pub fn state(&self) -> Result<ContainerState, RuntimeError> {
        match self.ask(&Request::State)?.0 {
            Response::State { running: true, .. } => Ok(ContainerState::Running),
            Response::State { running: false, .. } => Ok(ContainerState::Created),
            other => Err(self.unexpected(&other)),
        }
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
        let path = self.container_dir.join(EXIT_FILE);
        read_whole(&path).map_err(RuntimeError::io("read", path))
    }

    /// Asks to be told of the end. The descriptor is for an event loop.
    ///
    /// # Errors
    /// When the shim is gone and left no exit record.
    pub fn exit_wait(&self) -> Result<ExitWait, RuntimeError> {
        let connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) => {
                let record = self.exit()?.ok_or(error)?;
                return ExitWait::over(self.clone(), record);
            }
        };
        let sent = send(connection.as_fd(), &Request::Wait, None);
        if let (Err(error), None) = (sent, self.exit()?) {
            return Err(self.gone(&error));
        }
        Ok(ExitWait { handle: self.clone(), connection, record: None })
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
        let connection = self.connect()?;
        send(connection.as_fd(), request, None).map_err(|error| self.gone(&error))?;
        match receive(connection.as_fd()) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.gone(&"the connection ended")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let detail = error.to_string();
                Err(RuntimeError::Protocol { key: self.key.to_string(), detail })
            }
            Err(error) => Err(self.gone(&error)),
        }
    }

    /// Paths of sockets may have 107 bytes; a descriptor of the directory makes any path short.
    fn connect(&self) -> Result<OwnedFd, RuntimeError> {
        let connected = || -> io::Result<OwnedFd> {
            let directory = File::open(&self.run_dir)?;
            let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
            let flags = SockFlag::SOCK_CLOEXEC;
            let connection = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
            let timeout = TimeVal::seconds(ANSWER_TIMEOUT_S);
            setsockopt(&connection, sockopt::ReceiveTimeout, &timeout)?;
            setsockopt(&connection, sockopt::SendTimeout, &timeout)?;
            connect(connection.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
            Ok(connection)
        };
        connected().map_err(|error| self.gone(&error))
    }

    fn gone(&self, detail: &dyn std::fmt::Display) -> RuntimeError {
        RuntimeError::ShimGone { key: self.key.to_string(), detail: detail.to_string() }
    }

    fn unexpected(&self, response: &Response) -> RuntimeError {
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
    connection: OwnedFd,
    record: Option<ExitRecord>,
}

impl ExitWait {
    /// A wait that is over: its descriptor is at the end of its input.
    fn over(handle: ShimHandle, record: ExitRecord) -> Result<ExitWait, RuntimeError> {
        let null = File::open("/dev/null").map_err(RuntimeError::io("open", "/dev/null"))?;
        Ok(ExitWait { handle, connection: null.into(), record: Some(record) })
    }

    /// The record, once the descriptor is readable; before that it blocks.
    ///
    /// # Errors
    /// [`RuntimeError::ShimGone`] when the shim died without writing one.
    pub fn take(self) -> Result<ExitRecord, RuntimeError> {
        if let Some(record) = self.record {
            return Ok(record);
        }
        wait_readable(self.connection.as_fd(), -1).map_err(|error| self.handle.gone(&error))?;
        match receive(self.connection.as_fd()) {
            Ok(Some((Response::Exited(record), _))) => Ok(record),
            // The shim may have ended between our connecting and its listening.
            _ => self.handle.exit()?.ok_or_else(|| self.handle.gone(&"it left no exit record")),
        }
    }
}

impl AsFd for ExitWait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl AsRawFd for ExitWait {
    fn as_raw_fd(&self) -> i32 {
        self.connection.as_raw_fd()
    }
}
