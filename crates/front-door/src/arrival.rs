//! What a request says of its way here, read in one place for all doors.

use std::net::SocketAddr;

use http::request::Parts;
use http::uri::Authority;
use outport_identity::{Arrival, RequestId};

use crate::SecureTransport;

/// Reads it off the head of a request.
pub(crate) fn arrival(
    head: &Parts,
    peer: SocketAddr,
    request_id: RequestId,
    now_ms: i64,
) -> Arrival {
    let text = |name| head.headers.get(name).map(http::HeaderValue::as_bytes);
    let secure = head.extensions.get::<SecureTransport>();
    // Of HTTP/2 it stands in the address.
    let host = head.headers.get("host").and_then(|host| host.to_str().ok());
    let host = host.or(head.uri.authority().map(Authority::as_str));
    Arrival {
        request_id,
        now_ms,
        source_ip: peer.ip(),
        user_agent: text("user-agent").map(|text| String::from_utf8_lossy(text).into_owned()),
        secure_transport: secure.is_some_and(|secure| secure.0),
        host: host.map(str::to_owned),
    }
}
