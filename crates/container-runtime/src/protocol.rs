//! What agent and shim say to each other over the shim's socket.
//!
//! One message is one packet (`SOCK_SEQPACKET`): a version byte, then JSON. A shim outlives the agent
//! that started it, so a later agent speaks the version that the shim answers with.
//!
//! **Invariant:** a message that is too long, of another version or not understood ends the
//! connection, never the container.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StartFailure;
use crate::record::{ExitRecord, ShimRecord};

/// First byte of every message.
pub(crate) const PROTOCOL_VERSION: u8 = 1;

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

/// Sends one message, with a descriptor if given.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut bytes = vec![PROTOCOL_VERSION];
    serde_json::to_writer(&mut bytes, message).map_err(io::Error::other)?;
    let raw: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None)?;
    Ok(())
}

/// Receives one message; `None` at the end of the connection.
///
/// # Errors
/// `InvalidData` for what is not understood; `WouldBlock` when nothing is there or in time.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
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
    if bytes[0] != PROTOCOL_VERSION {
        return Err(invalid(format!("protocol version {}", bytes[0])));
    }
    let message =
        serde_json::from_slice(&bytes[1..length]).map_err(|error| invalid(error.to_string()))?;
    Ok(Some((message, descriptor)))
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
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    #[test]
    fn messages_of_version_1() {
        let check = |json: &str, message: Request| {
            assert_eq!(serde_json::from_str::<Request>(json).unwrap(), message);
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
        };
        check(r#""state""#, Request::State);
        check(r#""start""#, Request::Start);
        check(r#"{"signal":{"number":15}}"#, Request::Signal { number: 15 });
        check(r#""kill""#, Request::Kill);
        check(r#""pid_fd""#, Request::PidFd);
        check(r#""wait""#, Request::Wait);
    }

    #[test]
    fn a_strange_message_is_an_error_and_not_a_panic() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, two) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        for bytes in [&b"\x02{}"[..], b"\x01", b"\x01{", b"\x01{\"signal\":{}}"] {
            nix::unistd::write(&one, bytes).unwrap();
            assert!(receive::<Request>(two.as_fd()).is_err(), "{bytes:?}");
        }
        send(one.as_fd(), &Request::PidFd, Some(two.as_fd())).unwrap();
        let (message, descriptor) = receive::<Request>(two.as_fd()).unwrap().unwrap();
        assert!(message == Request::PidFd && descriptor.is_some());
        drop(one);
        assert!(receive::<Request>(two.as_fd()).unwrap().is_none());
    }
}
