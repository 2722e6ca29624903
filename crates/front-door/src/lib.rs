//! The front door: listens, recognises what a request wants, proves who sent it, hands it to the
//! service that it is for, and renders the answer in the caller's protocol.
//!
//! | module | |
//! |---|---|
//! | `server` | listens, until when |
//! | `connection` | one connection: TLS or plain, HTTP/1.1 or HTTP/2 |
//! | `transport` | what a connection speaks below HTTP, and what it proves by that |
//! | `slots`, `standing` | how many connections, of whom, and whose turn it is to leave |
//! | `pace` | how long a peer may keep us waiting |
//! | `front_door` | one request to one answer; the reserved paths |
//! | `recognition` | service, protocol, operation |
//! | `authentication` | the signature |
//! | `exchange` | the order of it all, up to the call of the service |
//! | `audit` | what is told of a call that has ended |
//! | `body`, `stranger_bodies` | bytes that come, bounded |
//! | `unread` | bytes that nobody wants, read or refused |
//! | `answers` | bytes that go, bounded |
//! | `memory` | gives back what a flood took |
//! | `socket` | what the kernel keeps of unread answers |
//!
//! # What keeps it out
//!
//! | somebody | is kept out by | of [`Limits`], by default |
//! |---|---|---|
//! | opens connections and says nothing | `slots`: strangers displace each other, of the peer that has most the first | `strangers_max` 512, `strangers_per_peer_max` 128 (not on loopback), `first_byte_timeout` 10 s |
//! | comes faster than others can be put out | waits in the system's queue | `leaving_max` 64 |
//! | begins a TLS handshake | the same | `handshakes_max` 128, `handshake_timeout` 10 s |
//! | sends half a head, drips it, or makes it endless | a deadline from its first byte; `max_buf_size` | `head_timeout` 5 s, `head_bytes_max` 16 KiB, `headers_max` 100 |
//! | keeps a connection for later | `slots` | `stranger_idle_timeout` 15 s, `idle_timeout` 120 s, `callers_max` 1,024 |
//! | asks over and over and proves nothing | turns of its connection | `stranger_requests_at_once` 8, then one every `stranger_request_interval` 250 ms |
//! | sends a body slowly | `pace` | `body_pace`: 8 KiB/s after 10 s of patience; `streamed_body_pace`: 1 KiB/s after 60 s |
//! | sends bodies and proves nothing | `stranger_bodies`: a memory of their own, the greediest peer's oldest loses | `stranger_bodies_bytes_max` 16 MiB, `unsigned_form_bytes_max` 64 KiB; of refused ones 2 MiB and 1 s of 16 at one time are still read |
//! | sends bodies and is proven | `body` | `buffered_bytes_max` 128 MiB, [`body_bytes_max`], `node_bodies_bytes_max` 64 MiB |
//! | says that it is a node | the handshake: a certificate of the installation, asked for again at every call of the node link before its body is read | 8 KiB for the one call that comes before a certificate |
//! | does not read its answers | `answers`, `pace` | `answer_bytes_max` 32 MiB, `answer_patience` 1 s, `answer_pace`: 4 KiB/s after 20 s |
//! | resets HTTP/2 streams (CVE-2023-44487), sends heads without end (CVE-2024-27316) | the `h2` crate, told how many | `http2_strangers_max` 64; [`Http2Limits`]: 32 streams, 20 resets, a window of 64 KiB; of nodes 1,024 streams and 4 MiB |
//! | keeps many upgraded connections | `slots`: a further upgrade is answered 503 | `upgraded_max` 1,024 |
//! | uses up the descriptors | `server`: an idle stranger is let go, the queue waits | |
//! | makes a handler or a connection panic | each is caught; acceptors begin anew | |
//! | asks for more than there are hands | turns | `operations_max` 256, `turn_timeout` 10 s |
//! | reads on the line | TLS; plain HTTP is for this host | [`PlainHttp`] |
//!
//! Why it is so: `docs/design/0007-one-listener-many-kinds-of-talk.md`.
//!
//! **Invariant**: the only place that knows HTTP status codes, headers and request ids. Nothing of a
//! request is acted on before its signature is proven, but for the operations that AWS's models say need
//! none, which are performed as nobody's; and no input takes more memory or time than [`Limits`] grants.

mod access_log;
mod answers;
mod arrival;
mod audit;
mod authentication;
mod aws_service;
mod body;
mod connection;
mod exchange;
mod front_door;
mod limits;
mod memory;
mod metrics;
mod pace;
mod recognition;
mod rendering;
mod server;
mod slots;
mod socket;
mod standing;
mod stranger_bodies;
mod transport;
mod turned_away;
mod unread;
mod watched_stream;

pub use audit::{AuditSink, EndedCall};
pub use aws_service::{AwsService, BoxFuture};
pub use front_door::{AmbiguousServices, Clock, FrontDoor, FrontDoorBuilder};
pub use limits::{Http2Limits, Limits, body_bytes_max};
pub use pace::PaceLimit;
pub use standing::Standing;
pub use transport::{ALPN_PROTOCOLS, PeerCertificate, PlainHttp, SecureTransport, TlsSettings};
