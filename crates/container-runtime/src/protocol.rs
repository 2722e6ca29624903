//! What agent and shim say to each other over the shim's socket.
//!
//! One message is one packet (`SOCK_SEQPACKET`): a version byte, then JSON. A shim outlives the agent that started it: a
//! later agent may be newer than the shim, and after a downgrade older.
//!
//! - *A field is added* with a default, to requests and responses, within a version: who does not know it passes over it.
//! - *A request or a response is added* with a new version. A shim says in its record which is the highest that it
//!   speaks; an agent speaks with it the highest that both do, and does without requests of later ones. A shim answers
//!   in the version in which it is asked, with what that version has.
//! - *A version goes* only when no shim can be left that speaks nothing later: not before the hosts were booted.
//!
//! **Invariant:** a message that is too long, of another version or not understood ends the
//! connection, never the container. Every shim speaks the lowest version.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StartFailure;
use crate::health::Health;
use crate::record::{ExitRecord, ShimRecord};

/// The versions that this build speaks; one of them is the first byte of every message.
pub(crate) const LOWEST: u8 = 1;
pub(crate) const HIGHEST: u8 = 2;
/// The first that has [`Request::Health`].
pub(crate) const WITH_HEALTH: u8 = 2;

const MESSAGE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    State,
    /// Lets the waiting process run.
    Start,
    Signal {
        number: i32,
    },
    /// SIGKILL to everything in the container.
    Kill,
    /// A descriptor of the container's first process.
    PidFd,
    /// Answered when the exit record is on disk.
    Wait,
    /// Of version 2: answered when the health has changed more often than `seen` times.
    Health {
        seen: u64,
    },
}

impl Request {
    /// Whether a version has it.
    pub fn is_of(&self, version: u8) -> bool {
        version >= if matches!(self, Request::Health { .. }) { WITH_HEALTH } else { LOWEST }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    State {
        running: bool,
        record: ShimRecord,
    },
    Done,
    PidFd,
    Exited(ExitRecord),
    /// Of version 2.
    Health(Health),
    Failed(StartFailure),
    /// Not possible in the container's present state.
    Refused {
        reason: String,
    },
}

/// The one line that a new shim writes to its standard output before it lets go of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Created(ShimRecord),
    Failed(StartFailure),
}

/// The version in which to speak with a shim that speaks none above `highest`; `None` when there is none.
pub(crate) fn common_version(highest: u8) -> Option<u8> {
    let version = highest.min(HIGHEST);
    (version >= LOWEST).then_some(version)
}

/// Sends one message in a version, with a descriptor if given.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    version: u8,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut bytes = vec![version];
    serde_json::to_writer(&mut bytes, message).map_err(io::Error::other)?;
    let raw: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None)?;
    Ok(())
}

/// A message, the version in which it came, and the descriptor that came with it.
pub(crate) struct Received<T> {
    pub message: T,
    pub version: u8,
    pub descriptor: Option<OwnedFd>,
}

/// Receives one message; `None` at the end of the connection.
///
/// # Errors
/// `InvalidData` for what is not understood; `WouldBlock` when nothing is there or in time.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<Received<T>>> {
    let mut bytes = vec![0_u8; MESSAGE_BYTES_MAX];
    let mut control = cmsg_space!(RawFd);
    let (length, descriptor, cut) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let mut descriptor = None;
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = part {
                // SAFETY: the kernel made these descriptors for this process with this message.
                #[allow(unsafe_code)]
                raw.iter().for_each(|raw| descriptor = Some(unsafe { OwnedFd::from_raw_fd(*raw) }));
            }
        }
        (message.bytes, descriptor, message.flags.contains(MsgFlags::MSG_TRUNC))
    };
    if length == 0 {
        return Ok(None);
    }
    let invalid = |detail: String| io::Error::new(io::ErrorKind::InvalidData, detail);
    if cut {
        return Err(invalid(format!("a message of more than {MESSAGE_BYTES_MAX} bytes")));
    }
    let version = bytes[0];
    if !(LOWEST..=HIGHEST).contains(&version) {
        return Err(invalid(format!(
            "it is of version {version} of the protocol, this one speaks {LOWEST} to {HIGHEST}"
        )));
    }
    let message =
        serde_json::from_slice(&bytes[1..length]).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(Received { message, version, descriptor }))
}

/// Whether `socket` has its end: data or hang-up, within `timeout_ms` (-1: for ever).
pub(crate) fn wait_readable(socket: BorrowedFd<'_>, timeout_ms: i32) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let timeout = PollTimeout::try_from(timeout_ms).unwrap_or(PollTimeout::MAX);
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut polled, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            done => return Ok(done? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FailureKind;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    #[track_caller]
    fn check<T>(json: &str, message: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), message);
        assert_eq!(serde_json::to_string(message).unwrap(), json);
    }

    /// As version 1 wrote it before shims said which versions they speak, and as it does now.
    const RECORD_FIRST: &str = r#"{"version":1,"boot_id":"b","shim_pid":7,"shim_start_ticks":8,"container_pid":9,"container_start_ticks":10}"#;
    const RECORD: &str = r#"{"version":1,"boot_id":"b","shim_pid":7,"shim_start_ticks":8,"container_pid":9,"container_start_ticks":10,"protocol":1}"#;
    const EXIT: &str = r#"{"version":1,"exit_code":3,"signal":null,"oom_killed":false,"oom_kill_count":0,"kill_requested":false,"started_at_ms":1,"finished_at_ms":2,"start_failure":null,"dropped_log_lines":0}"#;

    #[test]
    fn requests_of_version_1() {
        check(r#""state""#, &Request::State);
        check(r#""start""#, &Request::Start);
        check(r#"{"signal":{"number":15}}"#, &Request::Signal { number: 15 });
        check(r#""kill""#, &Request::Kill);
        check(r#""pid_fd""#, &Request::PidFd);
        check(r#""wait""#, &Request::Wait);
        // A field of the future is passed over.
        let read: Request = serde_json::from_str(r#"{"signal":{"number":9,"to":"all"}}"#).unwrap();
        assert_eq!(read, Request::Signal { number: 9 });
    }

    #[test]
    fn responses_and_reports_of_version_1() {
        let record: ShimRecord = serde_json::from_str(RECORD).unwrap();
        assert_eq!(serde_json::from_str::<ShimRecord>(RECORD_FIRST).unwrap(), record);
        let exit: ExitRecord = serde_json::from_str(EXIT).unwrap();
        let failure = StartFailure::new(FailureKind::ExecutableNotFound, "no such file");
        let state = Response::State { running: true, record: record.clone() };
        check(&format!(r#"{{"state":{{"running":true,"record":{RECORD}}}}}"#), &state);
        check(r#""done""#, &Response::Done);
        check(r#""pid_fd""#, &Response::PidFd);
        check(&format!(r#"{{"exited":{EXIT}}}"#), &Response::Exited(exit));
        let failed = r#"{"failed":{"kind":"executable_not_found","message":"no such file"}}"#;
        check(failed, &Response::Failed(failure.clone()));
        check(r#"{"refused":{"reason":"r"}}"#, &Response::Refused { reason: "r".into() });
        check(&format!(r#"{{"created":{RECORD}}}"#), &Report::Created(record));
        check(failed, &Report::Failed(failure));
    }

    #[test]
    fn what_version_2_adds() {
        check(r#"{"health":{"seen":3}}"#, &Request::Health { seen: 3 });
        let health = r#"{"status":"UNHEALTHY","changes":2,"since_ms":5,"failures":3,"last":{"exit_code":1,"output":"o"}}"#;
        let read: Health = serde_json::from_str(health).unwrap();
        check(&format!(r#"{{"health":{health}}}"#), &Response::Health(read));
        let first: Health = serde_json::from_str(r#"{"status":"UNKNOWN","changes":0}"#).unwrap();
        assert_eq!(first, Health::default());
    }

    #[test]
    fn agent_and_shim_speak_the_highest_version_of_both() {
        assert_eq!([0, 1, 2, 9].map(common_version), [None, Some(1), Some(2), Some(2)]);
    }

    #[test]
    fn a_strange_message_is_an_error_and_not_a_panic() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, two) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        for bytes in
            [&b"\x03\"state\""[..], b"\x00\"state\"", b"\x01", b"\x01{", b"\x01{\"signal\":{}}"]
        {
            nix::unistd::write(&one, bytes).unwrap();
            let error = receive::<Request>(two.as_fd()).err().expect("it is refused");
            let is_of_versions = bytes[0] != 1;
            let told = error.to_string().contains("speaks 1 to 2");
            assert_eq!(told, is_of_versions, "{bytes:?} {error}");
        }
        send(one.as_fd(), 1, &Request::PidFd, Some(two.as_fd())).unwrap();
        let received = receive::<Request>(two.as_fd()).unwrap().unwrap();
        assert_eq!((received.message, received.version), (Request::PidFd, 1));
        assert!(received.descriptor.is_some());
        drop(one);
        assert!(receive::<Request>(two.as_fd()).unwrap().is_none());
    }
}
