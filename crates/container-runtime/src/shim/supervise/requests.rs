//! What an agent asks for, and the answers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Client, Expects, Phase, SIGNAL_MAX, Supervisor, never_started};
use crate::protocol::{Received, Request, Response, receive, send};
use crate::record::{ExitRecord, now_ms};
use crate::shim::checks::Checks;

impl Supervisor {
    pub(super) fn converse(&mut self, index: usize) {
        let request = match receive::<Request>(self.clients[index].connection.as_fd()) {
            Ok(Some(Received { message, version, .. })) if message.is_of(version) => {
                self.clients[index].version = version;
                message
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // Its end, or what this version does not understand.
            Ok(_) | Err(_) => {
                self.clients.remove(index);
                return;
            }
        };
        let answer = match request {
            Request::State => {
                let running = matches!(self.phase, Phase::Running | Phase::Starting(_));
                Response::State { running, record: self.record.clone() }
            }
            Request::Start => match self.start() {
                Some(answer) => answer,
                None => {
                    self.clients[index].expects = Expects::Start;
                    return;
                }
            },
            Request::Signal { number } => self.signal(number),
            Request::Kill => self.kill(),
            Request::PidFd => return self.give_pid_fd(index),
            Request::Wait => {
                self.clients[index].expects = Expects::Exit;
                return;
            }
            Request::Health { seen } => {
                if self.checks.is_some() {
                    self.clients[index].expects = Expects::Health(seen);
                    return self.tell_health();
                }
                let reason = "the container has no health check".to_owned();
                Response::Refused { reason }
            }
        };
        self.clients[index].answer(&answer, None);
    }

    /// `None`: the answer comes when the exec has happened.
    fn start(&mut self) -> Option<Response> {
        let gate = match std::mem::replace(&mut self.phase, Phase::Running) {
            Phase::Created(gate) => gate,
            Phase::Starting(failures) => {
                self.phase = Phase::Starting(failures);
                return None;
            }
            Phase::Running => {
                return Some(self.start_failure.clone().map_or(Response::Done, Response::Failed));
            }
            ended @ Phase::Ended { .. } => {
                self.phase = ended;
                return Some(Response::Failed(never_started()));
            }
        };
        self.started_at_ms = Some(now_ms());
        match gate.open() {
            Ok(Some(failures)) => {
                self.phase = Phase::Starting(failures);
                None
            }
            Ok(None) => Some(Response::Done),
            Err(failure) => {
                self.started_at_ms = None;
                self.start_failure = Some(failure.clone());
                self.kill_all();
                Some(Response::Failed(failure))
            }
        }
    }

    fn signal(&mut self, number: i32) -> Response {
        if !(1..=SIGNAL_MAX).contains(&number) {
            return Response::Refused { reason: format!("invalid signal {number}") };
        }
        match self.phase {
            Phase::Created(_) => {
                return Response::Refused { reason: "the container is not started".to_owned() };
            }
            Phase::Ended { .. } => return Response::Done,
            Phase::Starting(_) | Phase::Running => {}
        }
        if number == Signal::SIGKILL as i32 {
            self.kill_requested = true;
        }
        // The process is not reaped yet, so the pid is still its own; real-time numbers have no name.
        // SAFETY: a plain system call.
        #[allow(unsafe_code)]
        let sent = unsafe { libc::kill(self.init.as_raw(), number) };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Response::Done,
            Err(error) => Response::Refused { reason: format!("kill: {error}") },
        }
    }

    fn kill(&mut self) -> Response {
        self.kill_requested = true;
        if self.hurried.is_none() {
            self.hurried = self.cgroup().hurry();
        }
        self.kill_all();
        Response::Done
    }

    pub(super) fn kill_all(&self) {
        if !matches!(self.phase, Phase::Ended { .. }) {
            // Not reaped yet, see `signal`; gone already is as good.
            let _ = kill(self.init, Signal::SIGKILL);
        }
        self.cgroup().kill_once();
    }

    fn give_pid_fd(&mut self, index: usize) {
        let opened = rustix::process::Pid::from_raw(self.init.as_raw())
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|init| pidfd_open(init, PidfdFlags::empty()));
        match opened {
            Ok(pid_fd) => self.clients[index].answer(&Response::PidFd, Some(&pid_fd)),
            Err(error) => {
                let reason = format!("pidfd_open: {error}");
                self.clients[index].answer(&Response::Refused { reason }, None);
            }
        }
    }

    pub(super) fn answer_all(&mut self, expects: Expects, answer: &Response) {
        for client in self.clients.iter_mut().filter(|client| client.expects == expects) {
            client.expects = Expects::Nothing;
            client.answer(answer, None);
        }
    }

    /// Tells those who wait for a change that was.
    pub(super) fn tell_health(&mut self) {
        let Some(health) = self.checks.as_ref().map(Checks::health) else { return };
        for client in &mut self.clients {
            if matches!(client.expects, Expects::Health(seen) if seen < health.changes) {
                client.expects = Expects::Nothing;
                client.answer(&Response::Health(health.clone()), None);
            }
        }
    }

    /// Tells everybody who waits, for the start or for the end, how it ended.
    pub fn tell_end(&mut self, record: &ExitRecord) {
        let failure = record.start_failure.clone().unwrap_or_else(never_started);
        self.answer_all(Expects::Start, &Response::Failed(failure));
        self.answer_all(Expects::Exit, &Response::Exited(record.clone()));
    }
}

impl Client {
    fn answer(&self, answer: &Response, descriptor: Option<&OwnedFd>) {
        // A client that does not read loses its answer, not the container.
        let _ = send(self.connection.as_fd(), self.version, answer, descriptor.map(AsFd::as_fd));
    }
}
