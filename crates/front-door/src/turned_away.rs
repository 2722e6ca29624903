//! What the log says of connections that come to nothing before a request: a node that breaks the handshake off, or whose
//! certificate is not good, and plain HTTP where only TLS is answered.
//!
//! **Invariant:** a stranger cannot fill the log: of one peer and reason there is a line a minute, and of all not many, see
//! [`RareLines`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use outport_model::rare_lines::{RareLines, one_peer};

pub(crate) struct TurnedAway {
    /// Times are counted from here.
    begun: Instant,
    lines: Mutex<RareLines<(IpAddr, &'static str)>>,
}

impl TurnedAway {
    pub fn new() -> Self {
        Self { begun: Instant::now(), lines: Mutex::default() }
    }

    pub fn plain_http(&self, peer: SocketAddr) {
        if let Some(unsaid) = self.due(peer, "plain HTTP") {
            tracing::warn!(
                event = "plain_http_refused",
                %peer,
                unsaid,
                "a peer speaks plain HTTP, which is not answered to it: it is told to use https://"
            );
        }
    }

    /// Of a peer that asked for the server name of the node link.
    pub fn node_handshake(&self, peer: SocketAddr, error: &io::Error) {
        let (kind, advice) = meaning(error);
        if let Some(unsaid) = self.due(peer, kind) {
            tracing::warn!(
                event = "node_handshake_failed",
                %peer,
                %error,
                advice,
                unsaid,
                "the TLS handshake of a node failed"
            );
        }
    }

    fn due(&self, peer: SocketAddr, kind: &'static str) -> Option<u64> {
        let now_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.due((one_peer(peer.ip()), kind), now_ms)
    }
}

/// Which end found what, and what to do.
fn meaning(error: &io::Error) -> (&'static str, &'static str) {
    let tls = error.get_ref().and_then(|held| held.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(_)) => (
            "it does not believe us",
            "the node does not take this server's certificate: its join token is of another installation, or of before \
             this server got a new authority; give it the file join-token of this server",
        ),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::PeerMisbehaved(_)) => (
            "we do not believe it",
            "the node's certificate is damaged or of another installation: see the file identity.pem of the node",
        ),
        Some(_) => ("no TLS", "the peer does not speak TLS as a node does: find out what it is"),
        None => ("broken off", "the connection ended in the handshake: see the log of the node"),
    }
}
