//! What the log says of calls that are refused: who called, what for, and why not.
//!
//! **Invariant:** a stranger cannot fill the log: of one peer and reason there is a line a minute, and of all not many, see
//! [`RareLines`].

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use outport_model::NodeId;
use outport_model::rare_lines::{RareLines, one_peer};
use outport_node_protocol::RefusalCode;
use outport_planner::node_admission::ProvenNode;

use super::{LinkError, NodeLink};

/// Of a reason, in the log: it may be in the caller's words.
const REASON_CHARS_MAX: usize = 300;
/// Of a path, in the log.
const PATH_CHARS_MAX: usize = 100;

/// That a request did not come over TLS. Whoever mounts the router puts it into the extensions of such requests; none
/// of them is a call.
#[derive(Clone, Copy, Debug)]
pub struct WithoutTls;

/// Why a call was refused; an extension of its answer.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// One of few: a line is due by it.
    pub kind: &'static str,
    pub reason: String,
}

/// Whom the sender of an answered `join` claims to be; an extension of the answer.
#[derive(Clone, Debug)]
pub(super) struct Claimed(pub NodeId);

/// A peer, the node that it has proven to be, and a reason.
type Kind = (Option<IpAddr>, Option<NodeId>, &'static str);

#[derive(Clone)]
pub(super) struct Refusals {
    link: NodeLink,
    lines: Arc<Mutex<RareLines<Kind>>>,
}

impl Refusals {
    pub fn new(link: NodeLink) -> Self {
        Self { link, lines: Arc::default() }
    }
}

/// Stands before every call, and says what is refused.
pub(super) async fn said(
    State(refusals): State<Refusals>,
    request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let proven = extensions.get::<ProvenNode>().map(|proven| proven.node.clone());
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let response = match extensions.get::<WithoutTls>() {
        Some(WithoutTls) => LinkError::Disbelieved {
            code: RefusalCode::NoCertificate,
            message: "nodes talk to their control plane over TLS".to_owned(),
        }
        .into_response(),
        None => next.run(request).await,
    };
    if let Some(refused) = refusal(&response) {
        let kind = (peer.map(|peer| one_peer(peer.ip())), proven.clone(), refused.kind);
        let now_ms = refusals.link.store().now().steady_ms;
        let mut lines = refusals.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let due = lines.due(kind, now_ms);
        drop(lines);
        if let Some(unsaid) = due {
            let claimed = response.extensions().get::<Claimed>().map(|Claimed(node)| node.clone());
            let call = Call { peer, node: proven.or(claimed), path, status: response.status() };
            call.say(&refused, unsaid);
        }
    }
    response
}

/// `None`: it is no refusal, or one for a fault of ours, which is said where it happens.
fn refusal(response: &Response) -> Option<Refused> {
    let status = response.status();
    let is_said = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
    let said = || response.extensions().get::<Refused>().cloned();
    is_said.then(said).map(|said| {
        said.unwrap_or_else(|| {
            let kind = status.canonical_reason().unwrap_or("refused");
            Refused { kind, reason: kind.to_owned() }
        })
    })
}

struct Call {
    peer: Option<SocketAddr>,
    node: Option<NodeId>,
    path: String,
    status: StatusCode,
}

impl Call {
    fn say(&self, refused: &Refused, unsaid: u64) {
        let peer = self.peer.map(|peer| peer.to_string());
        let (peer, node) = (peer.as_deref(), self.node.as_ref().map(NodeId::as_str));
        let (path, status) = (self.path.as_str(), self.status.as_u16());
        let reason: String = refused.reason.chars().take(REASON_CHARS_MAX).collect();
        let reason = reason.as_str();
        match refused.kind {
            LinkError::NO_COMMON_VERSION => tracing::error!(
                event = "node_version_refused",
                peer,
                node,
                path,
                status,
                reason,
                unsaid,
                "the node and this control plane have no protocol version in common"
            ),
            _ if path.ends_with("/join") => tracing::warn!(
                event = "node_join_refused",
                peer,
                node,
                path,
                status,
                reason,
                unsaid,
                "a node's request to join is refused"
            ),
            _ => tracing::warn!(
                event = "node_refused",
                peer,
                node,
                path,
                status,
                reason,
                unsaid,
                "a node's call is refused"
            ),
        }
    }
}
