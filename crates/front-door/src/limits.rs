//! What the front door takes from a stranger, at most.

use std::time::Duration;

use outport_aws_wire::ServiceModel;

use crate::PaceLimit;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

/// Limits of the listener. The defaults are the promise; tests make them small. [The crate](crate) says in a table which
/// of them keeps what out.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections that have proven nothing.
    pub strangers_max: usize,
    /// Of these, those of one peer that is not on this host: an IPv4 address or an IPv6 /64.
    pub strangers_per_peer_max: usize,
    /// Of these, those that speak HTTP/2, which makes each of them many.
    pub http2_strangers_max: usize,
    /// Requests of a connection that has proven nothing that are answered at once.
    pub stranger_requests_at_once: u32,
    /// One more of it is answered in each such time, until one of them proves who sent it.
    pub stranger_request_interval: Duration,
    /// Connections that have shown a valid signature or password.
    pub callers_max: usize,
    /// Connections of nodes.
    pub nodes_max: usize,
    /// Connections that have been upgraded to something else than HTTP.
    pub upgraded_max: usize,
    /// Connections that were told to end and are not gone yet, before nobody new is taken in.
    pub leaving_max: usize,
    /// TLS handshakes under way; for one more, the peer that has most loses its first.
    pub handshakes_max: usize,
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// For a TLS handshake in whole.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// Between an answer and the next request, for a connection that has proven nothing.
    pub stranger_idle_timeout: Duration,
    /// The same for the others.
    pub idle_timeout: Duration,
    /// What an answer must be read with.
    pub answer_pace: PaceLimit,
    /// What a body must come with that is read as a whole.
    pub body_pace: PaceLimit,
    /// What a body must come with that is streamed (registry).
    pub streamed_body_pace: PaceLimit,
    /// Bytes of a request line with its headers. hyper answers 431 above; it looks after each read, so that a head of up
    /// to twice this size may pass.
    pub head_bytes_max: usize,
    /// Headers of a request. hyper answers 431 above.
    pub headers_max: usize,
    /// Bytes of the bodies of proven callers that are buffered at one time.
    pub buffered_bytes_max: usize,
    /// The same of those who have proven nothing.
    pub stranger_bodies_bytes_max: usize,
    /// The same of nodes.
    pub node_bodies_bytes_max: usize,
    /// Bytes of answers that have not been read yet.
    pub answer_bytes_max: usize,
    /// How long a peer may leave an answer unread when half of these are taken.
    pub answer_patience: Duration,
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
    /// The same of a stranger, for so many of them at one time; of others nothing is read.
    pub stranger_discards_max: usize,
    pub stranger_discarded_bytes_max: usize,
    pub stranger_discard_timeout: Duration,
    /// How long open connections may go on after the shutdown began.
    pub shutdown_timeout: Duration,
    /// HTTP/2 of who has shown no client certificate.
    pub http2: Http2Limits,
    /// HTTP/2 of nodes.
    pub node_http2: Http2Limits,
}

/// Limits of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Http2Limits {
    /// Requests at one time.
    pub streams_max: u32,
    /// Bytes of one request's body that may be on their way.
    pub stream_window_bytes: u32,
    /// The same of all requests together.
    pub connection_window_bytes: u32,
    /// Bytes of one answer that wait to be sent.
    pub send_buffer_bytes: usize,
    /// Requests that were reset and not yet forgotten; a connection that makes more is ended.
    pub pending_resets_max: usize,
    /// How often a silent connection is asked whether it is still there.
    pub ping_interval: Duration,
    /// How long it may take to answer that.
    pub ping_timeout: Duration,
}

impl Limits {
    /// Connections of all standings, and as many more as may be on their way out.
    pub(crate) fn connections_max(&self) -> usize {
        let places = self.strangers_max + self.callers_max + self.nodes_max + self.upgraded_max;
        places + self.leaving_max
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Http2Limits {
            streams_max: 32,
            stream_window_bytes: 32 * 1024,
            connection_window_bytes: 64 * 1024,
            send_buffer_bytes: 16 * KIB,
            pending_resets_max: 20,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

impl Http2Limits {
    /// A node has one connection for all its containers: each may send logs, and batches are large.
    fn of_nodes() -> Self {
        Http2Limits {
            streams_max: 1024,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            send_buffer_bytes: 64 * KIB,
            ..Http2Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            strangers_max: 512,
            strangers_per_peer_max: 128,
            http2_strangers_max: 64,
            stranger_requests_at_once: 8,
            stranger_request_interval: Duration::from_millis(250),
            callers_max: 1024,
            nodes_max: 1024,
            upgraded_max: 1024,
            leaving_max: 64,
            handshakes_max: 128,
            first_byte_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(5),
            stranger_idle_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(120),
            answer_pace: PaceLimit {
                grace: Duration::from_secs(20),
                bytes_per_second_min: 4 * 1024,
            },
            body_pace: PaceLimit { grace: Duration::from_secs(10), bytes_per_second_min: 8 * 1024 },
            streamed_body_pace: PaceLimit {
                grace: Duration::from_secs(60),
                bytes_per_second_min: 1024,
            },
            head_bytes_max: 16 * KIB,
            headers_max: 100,
            buffered_bytes_max: 128 * MIB,
            stranger_bodies_bytes_max: 16 * MIB,
            node_bodies_bytes_max: 64 * MIB,
            answer_bytes_max: 32 * MIB,
            answer_patience: Duration::from_secs(1),
            operations_max: 256,
            turn_timeout: Duration::from_secs(10),
            unsigned_form_bytes_max: 64 * KIB,
            discarded_bytes_max: 16 * MIB,
            discard_timeout: Duration::from_secs(5),
            stranger_discards_max: 16,
            stranger_discarded_bytes_max: 2 * MIB,
            stranger_discard_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(10),
            http2: Http2Limits::default(),
            node_http2: Http2Limits::of_nodes(),
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
