//! Lets in only nodes that hold the join token: for the routes of the node link.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use outport_identity::sigv4::{
    PresentedSignature, SKEW_MAX_MS, SignatureExpectation, SignatureStyle, SigningKey, sha256_hex,
};
use outport_identity::{NODE_SERVICE, SignatureError, node_secret};
use outport_model::NodeId;

use crate::Clock;
use crate::authentication::with_head;

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
    /// Bytes of a message: it is signed, so it is buffered.
    pub body_bytes_max: usize,
}

impl NodeGate {
    /// The router behind the gate. A handler takes
    /// `Extension(AuthenticatedNode(node)): Extension<AuthenticatedNode>`.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), pass))
    }

    async fn admit(&self, request: Request) -> Result<Request, (StatusCode, String)> {
        let (mut head, body) = request.into_parts();
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
        let bytes = axum::body::to_bytes(body, self.body_bytes_max)
            .await
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
        let key = SigningKey::derive(&node_secret(&self.join_token, &node), checked.scope());
        with_head(&head, |head| checked.verify(head, &sha256_hex(&bytes), &key)).map_err(refuse)?;
        head.extensions.insert(AuthenticatedNode(node));
        Ok(Request::from_parts(head, Body::from(bytes)))
    }
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
