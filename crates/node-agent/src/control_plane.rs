//! The node's side of the node link: signed JSON over HTTP.
//!
//! **Invariant:** no call is retried in here. Who calls knows whether a repeat is worth it; every
//! call of the protocol may be repeated without harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use nix::time::{ClockId, clock_gettime};
use outport_identity::node_signer;
use outport_identity::sigv4::{RequestHead, Signer, sha256_hex};
use outport_model::NodeId;
use outport_model::clock::Reading;
use outport_node_protocol::{
    Assignment, AssignmentRequest, CredentialRequest, LogBatch, LogCursor, PATH_PREFIX,
    POLL_MS_MAX, Registered, Registration, RegistryCredential, Report,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nodes sign for this region whatever the installation's is: the link is not a regional service.
pub const LINK_REGION: &str = "local";
/// An assignment of a full node is far below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long any call but the long poll may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than the control plane's own limit the node waits for a poll.
const POLL_GRACE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the address of the control plane is not valid: {0}")]
    Address(String),
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    #[error("the control plane did not answer in time")]
    Timeout,
    #[error(
        "the control plane does not let this node in: give it the join token of that server's data \
         directory, and look at the clocks of both: {message}"
    )]
    Refused { message: String },
    #[error("the control plane answered {status}: {message}")]
    Status { status: StatusCode, message: String },
    #[error("the control plane's answer cannot be read: {0}")]
    Malformed(String),
}

impl LinkError {
    /// Whether another try may help without anybody doing something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Address(_) | Self::Refused { .. } | Self::Malformed(_) => false,
        }
    }
}

/// A connection pool to one control plane, signing as one node.
pub struct ControlPlane {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Such as `http://127.0.0.1:4566`, without a slash at the end.
    base: String,
    authority: String,
    signer: Signer,
    node: NodeId,
}

impl ControlPlane {
    /// Makes no connection yet.
    pub fn new(url: &str, join_token: &str, node: NodeId) -> Result<Self, LinkError> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| LinkError::Address(base.clone()))?;
        if uri.scheme_str() != Some("http") {
            return Err(LinkError::Address(format!("{base} (it must begin with http://)")));
        }
        let authority =
            uri.authority().ok_or_else(|| LinkError::Address(base.clone()))?.to_string();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let signer = node_signer(join_token, &node, LINK_REGION);
        Ok(Self { client, base, authority, signer, node })
    }

    pub fn node(&self) -> &NodeId {
        &self.node
    }

    pub async fn register(&self, registration: &Registration) -> Result<Registered, LinkError> {
        self.call("register", registration, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    /// Waits for an assignment newer than the known one; `None` when there was none for a while.
    pub async fn assignment(&self, known_generation: u64) -> Result<Option<Assignment>, LinkError> {
        let request = AssignmentRequest { node: self.node.clone(), known_generation };
        self.call("assignment", &request, Duration::from_millis(POLL_MS_MAX) + POLL_GRACE).await
    }

    pub async fn report(&self, report: &Report) -> Result<(), LinkError> {
        self.call::<_, serde_json::Value>("report", report, CALL_TIMEOUT).await.map(drop)
    }

    /// Answers the cursor up to which the log is on the control plane's disk.
    pub async fn logs(&self, batch: &LogBatch) -> Result<LogCursor, LinkError> {
        self.call("logs", batch, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    pub async fn registry_credential(
        &self,
        request: &CredentialRequest,
    ) -> Result<RegistryCredential, LinkError> {
        self.call("registry-credential", request, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        name: &str,
        question: &Q,
        timeout: Duration,
    ) -> Result<Option<A>, LinkError> {
        let request = self.request(name, question)?;
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| LinkError::Unreachable(with_causes(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| LinkError::Unreachable(error.to_string()))?
                .to_bytes();
            read_answer(status, &body)
        };
        tokio::time::timeout(timeout, exchange).await.map_err(|_| LinkError::Timeout)?
    }

    fn request<Q: Serialize>(
        &self,
        name: &str,
        question: &Q,
    ) -> Result<Request<Full<Bytes>>, LinkError> {
        let malformed = |error: &dyn std::fmt::Display| LinkError::Malformed(error.to_string());
        let body = serde_json::to_vec(question).map_err(|error| malformed(&error))?;
        let path = format!("{PATH_PREFIX}/{name}");
        // Announced, so that the control plane knows who sends before it takes in what is sent.
        let sha256 = sha256_hex(&body);
        let headers: [(&str, &[u8]); 3] = [
            ("host", self.authority.as_bytes()),
            ("content-type", b"application/json"),
            ("x-amz-content-sha256", sha256.as_bytes()),
        ];
        let head = RequestHead { method: "POST", path: &path, query: "", headers: &headers };
        let signature =
            self.signer.sign(&head, &body, now_ms()).map_err(|error| malformed(&error))?;
        let mut request = Request::post(format!("{}{path}", self.base))
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("x-amz-content-sha256", &sha256);
        for (name, value) in signature {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| malformed(&error))
    }
}

fn read_answer<A: DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
) -> Result<Option<A>, LinkError> {
    const MESSAGE_BYTES_MAX: usize = 500;
    let message = || {
        let text = String::from_utf8_lossy(&body[..body.len().min(MESSAGE_BYTES_MAX)]);
        text.trim().to_owned()
    };
    match status {
        StatusCode::NO_CONTENT => Ok(None),
        StatusCode::OK => serde_json::from_slice(body)
            .map(Some)
            .map_err(|error| LinkError::Malformed(error.to_string())),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(LinkError::Refused { message: message() })
        }
        status => Err(LinkError::Status { status, message: message() }),
    }
}

fn empty() -> LinkError {
    LinkError::Malformed("it is empty".to_owned())
}

/// An error of the HTTP client says little without what is behind it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The wall clock, and the one that never steps and counts while the machine sleeps.
pub(crate) fn read_clocks() -> Reading {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME);
    let time = time.expect("Linux since 2.6.39 always has CLOCK_BOOTTIME");
    let steady_ms = time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000;
    Reading { wall_ms: now_ms(), steady_ms }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
