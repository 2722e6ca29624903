//! The five calls over HTTP. Who mounts the router has verified the signature and says whose it is.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use outport_model::NodeId;
use outport_node_protocol::{
    AssignmentRequest, CredentialRequest, LogBatch, PATH_PREFIX, POLL_MS_MAX, Registration, Report,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{LinkError, NodeLink};

/// A batch of 10,000 log events, each byte escaped in JSON at worst, stays below.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Whose signature the request carries. Whoever mounts the router puts it into the request's
/// extensions after verifying it; without it every call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedNode(pub NodeId);

/// The calls, at their full paths under [`PATH_PREFIX`]. Once `stopping` is true no call waits any more.
pub fn router(link: NodeLink, stopping: watch::Receiver<bool>) -> Router {
    let at = |call: &str| format!("{PATH_PREFIX}/{call}");
    Router::new()
        .route(&at("register"), post(register))
        .route(&at("assignment"), post(assignment))
        .route(&at("report"), post(report))
        .route(&at("logs"), post(logs))
        .route(&at("registry-credential"), post(registry_credential))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(Extension(stopping))
        .with_state(link)
}

type Caller = Option<Extension<AuthenticatedNode>>;
type Answer = Result<Response, LinkError>;

async fn register(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: Registration = read(&body)?;
    of_caller(caller.as_ref(), &message.node)?;
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
    of_caller(caller.as_ref(), &message.node)?;
    let deadline = tokio::time::sleep(Duration::from_millis(POLL_MS_MAX));
    tokio::pin!(deadline);
    let mut commits = link.store().watch();
    loop {
        commits.version();
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
    of_caller(caller.as_ref(), &message.node)?;
    link.report(&message).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn logs(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: LogBatch = read(&body)?;
    of_caller(caller.as_ref(), &message.node)?;
    json(&link.logs(message).await?)
}

async fn registry_credential(State(link): State<NodeLink>, caller: Caller, body: Bytes) -> Answer {
    let message: CredentialRequest = read(&body)?;
    of_caller(caller.as_ref(), &message.node)?;
    json(&link.registry_credential(&message).await?)
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, LinkError> {
    serde_json::from_slice(body).map_err(|error| LinkError::Malformed(error.to_string()))
}

fn of_caller(
    caller: Option<&Extension<AuthenticatedNode>>,
    node: &NodeId,
) -> Result<(), LinkError> {
    match caller {
        Some(Extension(AuthenticatedNode(signer))) if signer == node => Ok(()),
        _ => Err(LinkError::OtherNode(node.clone())),
    }
}

fn json<T: Serialize>(answer: &T) -> Answer {
    let body = serde_json::to_vec(answer)
        .map_err(|error| LinkError::Unavailable(format!("an answer cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl IntoResponse for LinkError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::OtherNode(_) => StatusCode::FORBIDDEN,
            Self::ClusterNotFound(_) | Self::UnknownTask(_) => StatusCode::NOT_FOUND,
            Self::NotRegistered(_) => StatusCode::CONFLICT,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}
