//! The API at the endpoint's address, for tasks that ask for it: `http://169.254.170.2`, wherever the control plane is.
//!
//! A container asks with the Docker label `outport.endpoint-url`, and has the address in `AWS_ENDPOINT_URL` then. From the
//! node on it goes over TLS to the control plane, whose authority the node knows; nothing of it is read here, and requests
//! are signed as everywhere.
//!
//! **Invariant:** the control plane takes such a connection for a stranger's: the node does not show its certificate for it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use outport_node_protocol::{ContainerAssignment, TaskAssignment};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::TaskEndpoint;
use crate::control_plane::link_name;

/// Docker label of a container: `true` gives it `AWS_ENDPOINT_URL`.
const LABEL: &str = "outport.endpoint-url";
pub const VARIABLE: &str = "AWS_ENDPOINT_URL";
/// Bytes of a request line that are waited for to know whom it is for.
const BEGINNING_BYTES: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may last; SDKs open another one.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(3600);

pub fn is_asked_by(container: &ContainerAssignment) -> bool {
    let labels = &container.definition.docker_labels;
    labels.iter().any(|(name, value)| name == LABEL && value == "true")
}

fn is_asked_in(task: &TaskAssignment) -> bool {
    task.containers.iter().any(is_asked_by)
}

/// Whether a request that begins so is one of the API: those of its services that a task calls are at the root. `None`: that is not
/// known yet.
pub fn is_for_the_api(beginning: &[u8]) -> Option<bool> {
    let mut words = beginning.split(|byte| *byte == b' ');
    let (method, path) = (words.next()?, words.next());
    match path {
        Some(path) if words.next().is_some() || path.starts_with(b"/?") => {
            Some(path == b"/" || path.starts_with(b"/?"))
        }
        // A path that is longer than that is none of the API's.
        Some(path) if path.len() > 1 => Some(false),
        _ if method.len() > BEGINNING_BYTES => Some(false),
        _ if beginning.len() >= BEGINNING_BYTES => Some(false),
        _ => None,
    }
}

/// Looks at how the first request begins, and leaves it where it is.
///
/// # Errors
/// When the connection ends before that is known.
pub async fn asks_for_the_api(stream: &TcpStream) -> io::Result<bool> {
    let mut beginning = [0; BEGINNING_BYTES];
    let mut seen = 0;
    loop {
        let length = stream.peek(&mut beginning).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(answer) = is_for_the_api(&beginning[..length]) {
            return Ok(answer);
        }
        if length == seen {
            // What is there stays there: a look at it comes back at once.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        seen = length;
    }
}

impl TaskEndpoint {
    /// Whether the address is of a task that has asked for the API.
    pub(super) fn may_call(&self, peer: IpAddr) -> bool {
        self.known().values().any(|entry| {
            let asked = entry.assignment.as_deref().is_some_and(is_asked_in);
            asked && entry.file.may_ask(peer)
        })
    }

    /// Carries a connection to the control plane and back until one of them ends it.
    pub(super) async fn carry(&self, mut stream: TcpStream) -> io::Result<()> {
        let connect = async {
            let upstream = TcpStream::connect(self.control_plane.authority()).await?;
            upstream.set_nodelay(true)?;
            TlsConnector::from(self.control_plane.stranger_tls())
                .connect(link_name(), upstream)
                .await
        };
        let mut upstream = tokio::time::timeout(CONNECT_TIMEOUT, connect).await??;
        let carried = copy_bidirectional(&mut stream, &mut upstream);
        tokio::time::timeout(CONNECTION_TIME_MAX, carried).await?.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(beginning: &str, expected: Option<bool>) {
        assert_eq!(is_for_the_api(beginning.as_bytes()), expected, "{beginning}");
        // However few bytes come at once, no other answer comes first.
        for length in 0..beginning.len().min(BEGINNING_BYTES) {
            let early = is_for_the_api(&beginning.as_bytes()[..length]);
            assert!(early.is_none() || early == expected, "{:?}", &beginning[..length]);
        }
    }

    #[test]
    fn what_is_at_the_root_is_the_apis() {
        check("POST / HTTP/1.1\r\n", Some(true));
        check("GET /?Action=GetCallerIdentity&V", Some(true));
        check("GET /v4/c/task HTTP/1.1\r\n", Some(false));
        check("GET /v2/credentials/abcdefghijk", Some(false));
        check("PUT /latest/api/token HTTP/1.1\r", Some(false));
        check("GET /", None);
        check("POST /", None);
        check("POS", None);
        check("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", Some(false));
    }
}
