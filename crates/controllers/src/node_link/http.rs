//! The calls over HTTP. Who mounts the router has seen the node's certificate in the handshake and says
//! whose it is.
//!
//! **Invariant:** nothing of a body is read before its sender is believed; but for `join`, whose body is
//! small, and whose proof is in it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use outport_model::NodeId;
use outport_node_protocol::{
    AssignmentRequest, CertificateRequest, CredentialRequest, JoinRequest, LogBatch, PATH_PREFIX,
    POLL_MS_MAX, Refusal, RefusalCode, Registration, Report,
};
use outport_planner::node_admission::ProvenNode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use super::{LinkError, NodeLink};

/// A batch of 10,000 log events, each byte escaped in JSON at worst, stays below, and so does a report
/// of a full node.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Of all calls at one time, in KiB; further ones wait.
const BODIES_KIB_MAX: usize = 64 << 10;
/// Of the calls that say a few words.
const SHORT_BODY_BYTES_MAX: usize = 64 << 10;
/// Of the one call that anybody may make.
const JOIN_BODY_BYTES_MAX: usize = 8 << 10;

/// The calls, at their full paths under [`PATH_PREFIX`]. Whoever mounts it puts a [`ProvenNode`] into the
/// extensions of requests whose connection has shown a certificate of this installation. Once `stopping`
/// is true no call waits any more.
pub fn router(link: NodeLink, stopping: watch::Receiver<bool>) -> Router {
    let at = |call: &str| format!("{PATH_PREFIX}/{call}");
    let long = Router::new()
        .route(&at("report"), post(report))
        .route(&at("logs"), post(logs))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let short = Router::new()
        .route(&at("certificate"), post(certificate))
        .route(&at("register"), post(register))
        .route(&at("assignment"), post(assignment))
        .route(&at("registry-credential"), post(registry_credential))
        .layer(DefaultBodyLimit::max(SHORT_BODY_BYTES_MAX));
    let bodies = Arc::new(Semaphore::new(BODIES_KIB_MAX));
    let proven = long.merge(short).layer(from_fn_with_state((link.clone(), bodies), believed));
    let join = Router::new()
        .route(&at("join"), post(join))
        .layer(DefaultBodyLimit::max(JOIN_BODY_BYTES_MAX));
    proven.merge(join).layer(Extension(stopping)).with_state(link)
}

type Caller = Extension<ProvenNode>;
type Answer = Result<Response, LinkError>;

/// Lets through who is believed, as soon as there is memory for what it says.
async fn believed(
    State((link, bodies)): State<(NodeLink, Arc<Semaphore>)>,
    request: Request,
    next: Next,
) -> Response {
    let believed = match request.extensions().get::<ProvenNode>() {
        Some(proven) => link.believe(proven),
        None => Err(LinkError::Disbelieved {
            code: RefusalCode::NoCertificate,
            message: "this call needs a node's certificate, over TLS".to_owned(),
        }),
    };
    match believed {
        Ok(()) => match bodies.acquire_many(body_kib(&request)).await {
            Ok(_share) => next.run(request).await,
            Err(closed) => LinkError::Unavailable(closed.to_string()).into_response(),
        },
        Err(error) => {
            tracing::warn!(%error, "a node was not let in");
            error.into_response()
        }
    }
}

/// What a body may take, in KiB: what its length says, the most if it says none.
fn body_kib(request: &Request) -> u32 {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let bytes = length.map_or(BODY_BYTES_MAX, |length| length.min(BODY_BYTES_MAX));
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

async fn join(State(link): State<NodeLink>, body: Bytes) -> Answer {
    let message: JoinRequest = read(&body)?;
    match link.join(&message).await {
        Ok(issued) => {
            tracing::info!(node = %message.node, "a node joined");
            json(&issued)
        }
        Err(error) => {
            tracing::warn!(%error, "a node could not join");
            Err(error)
        }
    }
}

async fn certificate(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CertificateRequest = read(&body)?;
    of_caller(&caller, &message.node)?;
    json(&link.renew(&caller, &message).await?)
}

async fn register(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: Registration = read(&body)?;
    of_caller(&caller, &message.node)?;
    json(&link.register(message).await?)
}

/// Answers when there is something new, or with 204 after `POLL_MS_MAX` or when the control plane stops.
async fn assignment(
    State(link): State<NodeLink>,
    Extension(mut stopping): Extension<watch::Receiver<bool>>,
    caller: Caller,
    body: Bytes,
) -> Answer {
    let message: AssignmentRequest = read(&body)?;
    of_caller(&caller, &message.node)?;
    let deadline = tokio::time::sleep(Duration::from_millis(POLL_MS_MAX));
    tokio::pin!(deadline);
    let mut commits = link.store().watch();
    loop {
        commits.version();
        // It may be deregistered while it waits.
        link.believe(&caller)?;
        if let Some(assignment) = link.assignment(&message).await? {
            return json(assignment.as_ref());
        }
        tokio::select! {
            () = &mut deadline => return Ok(StatusCode::NO_CONTENT.into_response()),
            // A sender that is gone means the same.
            _ = stopping.wait_for(|stop| *stop) => return Ok(StatusCode::NO_CONTENT.into_response()),
            outcome = commits.changed() => if outcome.is_err() {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
        }
    }
}

async fn report(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: Report = read(&body)?;
    of_caller(&caller, &message.node)?;
    link.report(&message).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn logs(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: LogBatch = read(&body)?;
    of_caller(&caller, &message.node)?;
    json(&link.logs(message).await?)
}

async fn registry_credential(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(&caller, &message.node)?;
    json(&link.registry_credential(&message).await?)
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, LinkError> {
    serde_json::from_slice(body).map_err(|error| LinkError::Malformed(error.to_string()))
}

/// A node can act only for itself.
fn of_caller(caller: &ProvenNode, node: &NodeId) -> Result<(), LinkError> {
    if caller.node == *node {
        return Ok(());
    }
    let error = LinkError::Disbelieved {
        code: RefusalCode::OtherNode,
        message: format!("the certificate is of node {}, the message is of another", caller.node),
    };
    tracing::warn!(%error, "a node was not let in");
    Err(error)
}

fn json<T: Serialize>(answer: &T) -> Answer {
    let body = serde_json::to_vec(answer)
        .map_err(|error| LinkError::Unavailable(format!("an answer cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl IntoResponse for LinkError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Disbelieved { code, message } => return refused(*code, message),
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::ClusterNotFound(_) | Self::UnknownTask(_) => StatusCode::NOT_FOUND,
            Self::NotRegistered(_) => StatusCode::CONFLICT,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}

fn refused(code: RefusalCode, message: &str) -> Response {
    let status = match code {
        RefusalCode::NoCertificate => StatusCode::UNAUTHORIZED,
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
