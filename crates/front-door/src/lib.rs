//! The front door: listens, recognises what a request wants, proves who sent it, hands it to the
//! service that it is for, and renders the answer in the caller's protocol.
//!
//! | module | |
//! |---|---|
//! | `server` | listens, until when |
//! | `connection` | one connection: TLS or plain, HTTP/1.1 or HTTP/2 |
//! | `transport` | what a connection speaks below HTTP, and what it proves by that |
//! | `front_door` | one request to one answer; the reserved paths |
//! | `recognition` | service, protocol, operation |
//! | `authentication` | the signature |
//! | `exchange` | the order of it all, up to the call of the service |
//! | `body` | bytes, bounded |
//! | `node_gate` | the same for nodes on their own routes |
//!
//! **Invariant**: the only place that knows HTTP status codes, headers and request ids. Nothing of a
//! request is acted on before its signature is proven, and no input takes more memory or time than
//! [`Limits`] grants.

mod access_log;
mod authentication;
mod aws_service;
mod body;
mod connection;
mod exchange;
mod front_door;
mod limits;
mod metrics;
mod node_gate;
mod recognition;
mod rendering;
mod server;
mod transport;

pub use aws_service::{AwsService, BoxFuture};
pub use front_door::{AmbiguousServices, Clock, FrontDoor, FrontDoorBuilder};
pub use limits::{Limits, body_bytes_max};
pub use metrics::Metrics;
pub use node_gate::{AuthenticatedNode, NodeGate};
pub use transport::{ALPN_PROTOCOLS, PeerCertificate, PlainHttp, SecureTransport, TlsSettings};
