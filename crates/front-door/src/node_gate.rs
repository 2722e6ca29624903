//! Lets in only nodes that hold the join token: for the routes of the node link.
//!
//! **Invariant**: of a node's message no byte is read before the node is proven, up to [`STRANGER_BYTES_MAX`] where it
//! does not announce the hash of its body.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use outport_identity::sigv4::{
    PresentedSignature, SKEW_MAX_MS, SignatureExpectation, SignatureStyle, SigningKey,
};
use outport_identity::{NODE_SERVICE, SignatureError, node_secret};
use outport_model::NodeId;

use crate::authentication::with_head;
use crate::body::{BodyBudget, BodyError, Sender};
use crate::{Clock, Standing};

/// Bytes of a message that are read before its sender is proven.
const STRANGER_BYTES_MAX: usize = 64 * 1024;

/// The node that signed a request: an extension of every request that the gate lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedNode(pub NodeId);

/// What the gate must know.
#[derive(Clone)]
pub struct NodeGate {
    /// The secret that every node was given.
    pub join_token: Arc<str>,
    /// The region of the scope that nodes sign for: a name that both sides share, no place.
    pub region: String,
    pub clock: Clock,
    /// Bytes of a message. It comes whole or not at all, so it is buffered; above 64 KiB it must announce its hash in
    /// `x-amz-content-sha256`.
    pub body_bytes_max: usize,
}

impl NodeGate {
    /// The router behind the gate. A handler takes
    /// `Extension(AuthenticatedNode(node)): Extension<AuthenticatedNode>`.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), pass))
    }

    async fn admit(&self, request: Request) -> Result<Request, (StatusCode, String)> {
        let (mut head, mut body) = request.into_parts();
        let refuse = |error: SignatureError| (StatusCode::UNAUTHORIZED, format!("{error}\n"));
        let presented = with_head(&head, PresentedSignature::parse)
            .and_then(|presented| presented.ok_or(SignatureError::MissingAuthenticationToken))
            .map_err(refuse)?;
        let node = node_id(presented.access_key_id.as_str()).map_err(refuse)?;
        let regions = [self.region.as_str()];
        let expected = SignatureExpectation {
            now_ms: (self.clock)(),
            skew_max_ms: SKEW_MAX_MS,
            service: NODE_SERVICE,
            regions: &regions,
            style: SignatureStyle::STANDARD,
        };
        let checked = with_head(&head, |head| presented.check(head, &expected)).map_err(refuse)?;
        let key = SigningKey::derive(&node_secret(&self.join_token, &node), checked.scope());
        let verify = |head: &Parts, sha256: &str| {
            with_head(head, |head| checked.verify(head, sha256, &key)).map_err(refuse)
        };
        let announced =
            with_head(&head, |head| checked.announced_body_sha256(head).map(str::to_owned));
        let (sender, bytes_max) = match announced {
            Some(sha256) => {
                verify(&head, &sha256)?;
                (Sender::Node, self.body_bytes_max)
            }
            None => {
                let stranger = Standing::stranger(&head.extensions);
                (stranger, self.body_bytes_max.min(STRANGER_BYTES_MAX))
            }
        };
        let no_door = || (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n".to_owned());
        let budget = head.extensions.get::<BodyBudget>().cloned().ok_or_else(no_door)?;
        let body = budget.read(&mut body, bytes_max, sender).await;
        let mut body = body.map_err(|error| body_refusal(error, bytes_max))?;
        verify(&head, &body.sha256)?;
        if let Some(standing) = head.extensions.get::<Standing>() {
            standing.prove_node();
        }
        let bytes = std::mem::take(&mut body.bytes);
        head.extensions.insert(AuthenticatedNode(node));
        // Its share of the memory is held for as long as the request is.
        head.extensions.insert(Arc::new(body));
        Ok(Request::from_parts(head, Body::from(bytes)))
    }
}

fn body_refusal(error: BodyError, bytes_max: usize) -> (StatusCode, String) {
    let (status, text) = match error {
        BodyError::TooLarge => {
            let text = format!(
                "The message is larger than {bytes_max} bytes, or larger than {STRANGER_BYTES_MAX} \
                 without x-amz-content-sha256\n"
            );
            return (StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The message came too slowly\n"),
        BodyError::NoMemory => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many messages are being received\n")
        }
        BodyError::Broken | BodyError::NotGzip => {
            (StatusCode::BAD_REQUEST, "The message was cut off\n")
        }
    };
    (status, text.to_owned())
}

async fn pass(State(gate): State<Arc<NodeGate>>, request: Request, next: Next) -> Response {
    match gate.admit(request).await {
        Ok(request) => next.run(request).await,
        Err((status, text)) => {
            tracing::warn!(%status, reason = text.trim_end(), "a node was not let in");
            (status, text).into_response()
        }
    }
}

/// A node id is 32 lower-case hexadecimal digits.
fn node_id(text: &str) -> Result<NodeId, SignatureError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 32 && text.bytes().all(is_digit) {
        Ok(NodeId::new(text))
    } else {
        Err(SignatureError::UnknownAccessKey)
    }
}
