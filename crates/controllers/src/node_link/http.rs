//! The calls over HTTP. Who mounts the router has seen the node's certificate in the handshake and says
//! whose it is.
//!
//! **Invariant:** nothing of a body is read before its sender is believed; but for `join`, whose body is
//! small, and whose proof is in it. And no node keeps another waiting: what bodies may take of the memory
//! is shared out by what each says that it is long, to one node a quarter at most, and not to calls that only
//! wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use outport_model::NodeId;
use outport_model::node::Node;
use outport_node_protocol::{
    Assignment, AssignmentRequest, AssignmentRequestV1, CertificateRequest, CredentialRequest,
    DOOR_VERSION, JoinRequest, LogBatch, POLL_MS_MAX, ProtocolVersions, Refusal, RefusalCode,
    Registration, Report, Reported, SECTIONS_VERSION, call_path,
};
use outport_planner::node_admission::ProvenNode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};

use super::bounds;
use super::refusals::{Claimed, Refusals, Refused, said};
use super::{LinkError, NodeLink, poll_metrics};

/// A batch of 10,000 log events, each byte escaped in JSON at worst, stays below, and so does a report
/// of a full node.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Of all calls at one time, in KiB; further ones wait.
const BODIES_KIB_MAX: usize = 64 << 10;
/// Of all calls of one node: the longest body.
const BODIES_OF_A_NODE_KIB_MAX: usize = BODIES_KIB_MAX / 4;
/// From a body's turn to its last byte: one that drips keeps nobody's share longer.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Of the calls that say a few words.
const SHORT_BODY_BYTES_MAX: usize = 64 << 10;
/// Of a call's name, in an answer.
const CALL_CHARS_SHOWN_MAX: usize = 64;
/// Of the one call that anybody may make.
const JOIN_BODY_BYTES_MAX: usize = 8 << 10;

/// The calls, at their full paths, see [`call_path`]. Whoever mounts it puts a [`ProvenNode`] into the
/// extensions of requests whose connection has shown a certificate of this installation, a [`WithoutTls`](super::WithoutTls)
/// into those that did not come over TLS, and the peer's address as `ConnectInfo` into all. Once `stopping` is true no
/// call waits any more.
pub fn router(link: NodeLink, stopping: watch::Receiver<bool>) -> Router {
    let door = |call: &str| call_path(DOOR_VERSION, call);
    let (mut long, mut short) = (Router::new(), Router::new());
    for version in ProtocolVersions::SPOKEN.lowest..=ProtocolVersions::SPOKEN.highest {
        let at = |call: &str| call_path(version, call);
        let assignment = match version < SECTIONS_VERSION {
            true => post(assignment_v1),
            false => post(assignment),
        };
        long = long.route(&at("report"), post(report)).route(&at("logs"), post(logs));
        short = short
            .route(&at("assignment"), assignment)
            .route(&at("registry-credential"), post(registry_credential))
            .route(&at("task-credentials"), post(task_credentials))
            .route(&at("task-secrets"), post(task_secrets))
            .route(&at("task-tags"), post(task_tags));
    }
    let long = long.layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let short = short
        .route(&door("certificate"), post(certificate))
        .route(&door("register"), post(register))
        .layer(DefaultBodyLimit::max(SHORT_BODY_BYTES_MAX));
    let bodies = Arc::new(Bodies::default());
    let gate = |bytes_max| Gate { link: link.clone(), bodies: bodies.clone(), bytes_max };
    let long = long.layer(from_fn_with_state(gate(BODY_BYTES_MAX), believed));
    let short = short.layer(from_fn_with_state(gate(SHORT_BODY_BYTES_MAX), believed));
    let proven = long.merge(short);
    let join = Router::new()
        .route(&door("join"), post(join))
        .layer(DefaultBodyLimit::max(JOIN_BODY_BYTES_MAX));
    let other = Router::new().route("/_outport/node/{version}/{call}", any(not_known));
    let refusals = Refusals::new(link.clone());
    let calls = proven.merge(join).merge(other).layer(Extension(stopping)).with_state(link);
    calls.layer(from_fn_with_state(refusals, said))
}

type Caller = Extension<ProvenNode>;
type Answer = Result<Response, LinkError>;

/// What stands before the calls of some routes.
#[derive(Clone)]
struct Gate {
    link: NodeLink,
    bodies: Arc<Bodies>,
    /// Of a body on these routes.
    bytes_max: usize,
}

/// What bodies take of the memory, in KiB.
struct Bodies {
    all: Arc<Semaphore>,
    /// Of nodes that were believed: there are no more than `LinkConfig::nodes_max`.
    of_nodes: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(BODIES_KIB_MAX)), of_nodes: Mutex::default() }
    }
}

impl Bodies {
    /// Waits for room: first for the node's own, so that in the queue for everybody's stands no more of one
    /// node than it may have.
    async fn take(
        &self,
        node: &NodeId,
        bytes: usize,
    ) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let own = {
            let mut of_nodes = self.of_nodes.lock().unwrap_or_else(PoisonError::into_inner);
            let made = || Arc::new(Semaphore::new(BODIES_OF_A_NODE_KIB_MAX));
            of_nodes.entry(node.clone()).or_insert_with(made).clone()
        };
        let of_node = own.acquire_many_owned(kib).await?;
        Ok([of_node, self.all.clone().acquire_many_owned(kib).await?])
    }
}

/// Lets through who is believed, with what it says, as soon as there is memory for that.
async fn believed(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let proven = request.extensions().get::<ProvenNode>().cloned();
    let believed = match &proven {
        Some(proven) => gate.link.believe(proven).map(|()| proven),
        None => Err(LinkError::Disbelieved {
            code: RefusalCode::NoCertificate,
            message: "this call needs a node's certificate, over TLS".to_owned(),
        }),
    };
    match believed {
        Ok(proven) => {
            gate.link.settle(proven).await;
            gate.pass(&proven.node, request, next).await
        }
        Err(error) => error.into_response(),
    }
}

impl Gate {
    async fn pass(&self, node: &NodeId, request: Request, next: Next) -> Response {
        let Some(length) = body_bytes(&request) else {
            return (StatusCode::LENGTH_REQUIRED, "a call says how long it is").into_response();
        };
        if length > self.bytes_max {
            let most = format!("this call takes {} bytes", self.bytes_max);
            return (StatusCode::PAYLOAD_TOO_LARGE, most).into_response();
        }
        let share = match self.bodies.take(node, length).await {
            Ok(share) => share,
            Err(closed) => return LinkError::Unavailable(closed.to_string()).into_response(),
        };
        let (parts, body) = request.into_parts();
        let body = match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, length)).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return LinkError::Malformed(error.to_string()).into_response(),
            Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
        };
        // A few words are not counted while their call waits for news; reports and logs are as long as they
        // are in memory.
        let share = (self.bytes_max > SHORT_BODY_BYTES_MAX).then_some(share);
        let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
        drop(share);
        answer
    }
}

/// What a body takes, as its head says.
fn body_bytes(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn join(State(link): State<NodeLink>, body: Bytes) -> Answer {
    let message: JoinRequest = read(&body)?;
    bounds::check_node_id(&message.node)?;
    match link.join(&message).await {
        Ok(issued) => {
            tracing::info!(
                event = "node_certificate_issued",
                node = %message.node,
                "a machine that has the join token got the certificate of a node"
            );
            json(&issued)
        }
        Err(error) => Ok((Extension(Claimed(message.node)), error).into_response()),
    }
}

async fn certificate(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CertificateRequest = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.renew(&caller, &message).await?)
}

/// A call of another version. Nothing of it is read.
async fn not_known(Path((version, call)): Path<(String, String)>) -> Response {
    let asked = version.strip_prefix('v').and_then(|digits| digits.parse().ok());
    match asked {
        Some(asked) if !ProtocolVersions::SPOKEN.include(asked) => {
            let theirs = ProtocolVersions { lowest: asked, highest: asked };
            LinkError::NoCommonVersion { node: "by its call".to_owned(), theirs }.into_response()
        }
        _ => {
            let call: String = call.chars().take(CALL_CHARS_SHOWN_MAX).collect();
            let text = format!("outport {} has no call {call:?}", env!("CARGO_PKG_VERSION"));
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

async fn register(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: Registration = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.register(message).await?)
}

async fn assignment(
    State(link): State<NodeLink>,
    Extension(stopping): Extension<watch::Receiver<bool>>,
    caller: Caller,
    body: Bytes,
) -> Answer {
    let message: AssignmentRequest = read(&body)?;
    match news(&link, stopping, &caller, &message).await? {
        Some(assignment) => json(&assignment),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Of the version that knows the tasks only.
async fn assignment_v1(
    State(link): State<NodeLink>,
    Extension(stopping): Extension<watch::Receiver<bool>>,
    caller: Caller,
    body: Bytes,
) -> Answer {
    let message: AssignmentRequest = read::<AssignmentRequestV1>(&body)?.into();
    match news(&link, stopping, &caller, &message).await?.and_then(|news| news.tasks) {
        Some(tasks) => json(tasks.as_ref()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Comes back when there is something new, and with nothing after `POLL_MS_MAX` or when the control plane stops.
async fn news(
    link: &NodeLink,
    mut stopping: watch::Receiver<bool>,
    caller: &Caller,
    message: &AssignmentRequest,
) -> Result<Option<Assignment>, LinkError> {
    of_caller(link, caller, &message.node)?;
    let _standing = poll_metrics::StandingPoll::begin();
    let answer = poll(link, &mut stopping, caller, message).await;
    poll_metrics::answered(&answer);
    answer
}

/// `None` when there is nothing new.
async fn poll(
    link: &NodeLink,
    stopping: &mut watch::Receiver<bool>,
    caller: &ProvenNode,
    message: &AssignmentRequest,
) -> Result<Option<Assignment>, LinkError> {
    let deadline = tokio::time::sleep(Duration::from_millis(POLL_MS_MAX));
    tokio::pin!(deadline);
    let mut news = link.store().watch_row::<Node>(&message.node);
    loop {
        news.mark_seen();
        // It may be deregistered while it waits.
        link.believe(caller)?;
        if let Some(assignment) = link.assignment(message).await? {
            return Ok(Some(assignment));
        }
        tokio::select! {
            () = &mut deadline => return Ok(None),
            // A sender that is gone means the same.
            _ = stopping.wait_for(|stop| *stop) => return Ok(None),
            outcome = news.changed() => if outcome.is_err() {
                return Ok(None);
            }
        }
    }
}

async fn report(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: Report = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    match link.report(&message).await? {
        answer if answer == Reported::default() => Ok(StatusCode::NO_CONTENT.into_response()),
        answer => json(&answer),
    }
}

async fn logs(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: LogBatch = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.logs(message).await?)
}

async fn registry_credential(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.registry_credential(&message).await?)
}

async fn task_credentials(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.task_credentials(&message).await?)
}

async fn task_secrets(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.task_secrets(&message).await?)
}

async fn task_tags(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(&link, &caller, &message.node)?;
    json(&link.task_tags(&message)?)
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, LinkError> {
    serde_json::from_slice(body).map_err(|error| LinkError::Malformed(error.to_string()))
}

/// A node can act only for itself, and only while it is believed: a body may take its time.
fn of_caller(link: &NodeLink, caller: &ProvenNode, node: &NodeId) -> Result<(), LinkError> {
    if caller.node == *node {
        return link.believe(caller);
    }
    Err(LinkError::Disbelieved {
        code: RefusalCode::OtherNode,
        message: format!(
            "the certificate is for node {}, the message names another node",
            caller.node
        ),
    })
}

fn json<T: Serialize>(answer: &T) -> Answer {
    let body = serde_json::to_vec(answer)
        .map_err(|error| LinkError::Unavailable(format!("an answer cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl IntoResponse for LinkError {
    fn into_response(self) -> Response {
        let mut response = self.answer();
        let said = Refused { kind: self.kind(), reason: self.to_string() };
        response.extensions_mut().insert(said);
        response
    }
}

impl LinkError {
    fn answer(&self) -> Response {
        let status = match self {
            Self::Disbelieved { code, message } => return refused(*code, message),
            Self::NoCommonVersion { .. } => {
                return refused(RefusalCode::NoCommonVersion, &self.to_string());
            }
            Self::Unacceptable(message) => return refused(RefusalCode::UnacceptableLogs, message),
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::ClusterNotFound(_) | Self::UnknownTask(_) => StatusCode::NOT_FOUND,
            Self::NotRegistered(_) | Self::OtherBoot(_) => StatusCode::CONFLICT,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}

fn refused(code: RefusalCode, message: &str) -> Response {
    let status = match code {
        RefusalCode::NoCertificate => StatusCode::UNAUTHORIZED,
        RefusalCode::UnacceptableLogs => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::FORBIDDEN,
    };
    let refusal = Refusal { code, message: message.to_owned() };
    match json(&refusal) {
        Ok(mut response) => {
            *response.status_mut() = status;
            response
        }
        Err(_) => status.into_response(),
    }
}
