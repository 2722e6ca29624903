//! What a connection speaks below HTTP, and what it proves by that.
//!
//! One port answers TLS and plain HTTP. The first byte tells them apart: a TLS record of a handshake begins with 0x16
//! (RFC 8446, 5.1), no HTTP request does.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::ClientHello;

/// The first byte of a TLS connection.
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// The application protocols that a [`ServerConfig`] of the listener must offer, best first.
pub const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Chooses what to answer a TLS client with. Asked for each handshake, so that a certificate may change at any time.
pub trait TlsSettings: Send + Sync {
    /// The configuration for a client: its certificate, whether it asks for the client's, and
    /// [`ALPN_PROTOCOLS`]. A client certificate that this configuration accepts becomes the
    /// request's [`PeerCertificate`].
    fn server_config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig>;

    /// Whether the client asks for the name by which nodes come: what breaks such a handshake is said in the log.
    fn is_node_link(&self, hello: &ClientHello<'_>) -> bool;

    /// Whether a connection with such a certificate is one of a node that is believed now. Asked after the handshake and
    /// for each request: what has run out or was revoked is a stranger's, which may still ask for another.
    fn is_node(&self, certificate: &PeerCertificate) -> bool;
}

impl TlsSettings for Arc<ServerConfig> {
    fn server_config(&self, _: &ClientHello<'_>) -> Arc<ServerConfig> {
        Arc::clone(self)
    }

    fn is_node_link(&self, _: &ClientHello<'_>) -> bool {
        true
    }

    fn is_node(&self, _: &PeerCertificate) -> bool {
        true
    }
}

/// Who is answered without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Peers on this host: nobody else can listen in.
    #[default]
    Loopback,
    Everyone,
    Nobody,
}

impl PlainHttp {
    pub(crate) fn is_for(self, peer: IpAddr) -> bool {
        match self {
            PlainHttp::Loopback => peer.to_canonical().is_loopback(),
            PlainHttp::Everyone => true,
            PlainHttp::Nobody => false,
        }
    }
}

/// Whether a request came over TLS: an extension of every request, and `aws:SecureTransport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureTransport(pub bool);

/// The certificate whose key the peer has proven to hold, and which the configuration of [`TlsSettings`] accepted: an
/// extension of the requests of such a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub CertificateDer<'static>);

/// What a connection brings to each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub secure: SecureTransport,
    pub certificate: Option<PeerCertificate>,
}

impl Transport {
    pub const PLAIN: Transport = Transport { secure: SecureTransport(false), certificate: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_whom_it_is_meant() {
        let check = |plain: PlainHttp, peer: &str, expected: bool| {
            assert_eq!(plain.is_for(peer.parse().unwrap()), expected, "{plain:?} {peer}");
        };
        for (peer, is_loopback) in [
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
        ] {
            check(PlainHttp::Loopback, peer, is_loopback);
            check(PlainHttp::Everyone, peer, true);
            check(PlainHttp::Nobody, peer, false);
        }
    }
}
