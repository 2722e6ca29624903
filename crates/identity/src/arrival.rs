//! What is known of a request before it is known who sent it.

use std::net::IpAddr;

use crate::RequestId;

/// Made once for each request, by whoever answers the connection; every door that asks for permission takes it from
/// there, so that one policy is answered alike at all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub request_id: RequestId,
    /// When the request was received, unix milliseconds.
    pub now_ms: i64,
    pub source_ip: IpAddr,
    pub user_agent: Option<String>,
    /// Whether the request came over TLS.
    pub secure_transport: bool,
    /// Host and port by which the client came.
    pub host: Option<String>,
}
