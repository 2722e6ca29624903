//! What the front door takes from a stranger, at most.

use std::time::Duration;

use outport_aws_wire::ServiceModel;

const MIB: usize = 1024 * 1024;

/// Limits of the listener. The defaults are the promise; tests make them small.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; further ones wait in the listen queue.
    pub connections_max: usize,
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// For a TLS handshake in whole.
    pub handshake_timeout: Duration,
    /// Handshakes that are computed at one time; further ones wait.
    pub handshakes_max: usize,
    /// Requests of one HTTP/2 connection at one time.
    pub streams_max: u32,
    /// Bytes of one HTTP/2 request's body that may be on their way.
    pub stream_window_bytes: u32,
    /// The same of all requests of a connection.
    pub connection_window_bytes: u32,
    /// Bytes of one HTTP/2 answer that wait to be sent.
    pub send_buffer_bytes: usize,
    /// Requests of one HTTP/2 connection that were reset and not yet forgotten; a connection that makes more is ended.
    pub pending_resets_max: usize,
    /// How often a silent HTTP/2 connection is asked whether it is still there.
    pub ping_interval: Duration,
    /// How long it may take to answer that.
    pub ping_timeout: Duration,
    /// Bytes of a request line with its headers. hyper answers 431 above; it looks after each read, so that a head of up
    /// to twice this size may pass.
    pub head_bytes_max: usize,
    /// Headers of a request. hyper answers 431 above.
    pub headers_max: usize,
    /// From the first moment of a connection, or the end of a reply, to the end of the next head.
    pub head_timeout: Duration,
    /// For the whole body of an AWS request.
    pub body_timeout: Duration,
    /// Between two pieces of a body that is streamed (registry, node link).
    pub streamed_body_idle_timeout: Duration,
    /// Bytes of all bodies that are buffered at one time.
    pub buffered_bytes_max: usize,
    /// Operations that run at one time; further ones wait.
    pub operations_max: usize,
    /// How long a request waits for its turn before it is told to try again.
    pub turn_timeout: Duration,
    /// Bytes of an unsigned form that are read to find out what it wants.
    pub unsigned_form_bytes_max: usize,
    /// Bytes of a refused body that are still read, so that the client reads the answer.
    pub discarded_bytes_max: usize,
    /// Time for the same.
    pub discard_timeout: Duration,
    /// How long open connections may go on after the shutdown began.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 1024,
            first_byte_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 64,
            streams_max: 256,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 1024 * 1024,
            send_buffer_bytes: 64 * 1024,
            pending_resets_max: 20,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            head_bytes_max: 64 * 1024,
            headers_max: 100,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            streamed_body_idle_timeout: Duration::from_secs(120),
            buffered_bytes_max: 128 * MIB,
            operations_max: 256,
            turn_timeout: Duration::from_secs(10),
            unsigned_form_bytes_max: 64 * 1024,
            discarded_bytes_max: 16 * MIB,
            discard_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Bytes of a request body, as sent and after decompression. `operation` is empty while the form that names it has not
/// been read.
///
/// 1 MiB, as AWS's JSON services take it; more where one request carries a batch of 1 MiB (PutLogEvents, PutMetricData),
/// an image manifest of up to 4 MiB, or a layer part of 20 MiB in base64.
pub fn body_bytes_max(model: &ServiceModel, operation: &str) -> usize {
    match (model.name, operation) {
        ("logs" | "cloudwatch", _) => 2 * MIB,
        ("ecr", "PutImage") => 6 * MIB,
        ("ecr", "UploadLayerPart") => 28 * MIB,
        _ => MIB,
    }
}
