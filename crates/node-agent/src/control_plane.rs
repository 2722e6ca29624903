//! The node's side of the node link: JSON over HTTP/2 over TLS, all calls over one connection.
//!
//! The connection is to whoever shows the certificate of the control plane: signed, for the node link's
//! name, by the authority that the join token pins. It is proven with the node's own certificate, which
//! is got once with the join token and renewed over the proven connection.
//!
//! **Invariant:** nothing that is answered is believed but from the authority of the join token. No call
//! is retried in here but one that was refused for want of a good certificate, once, after the node
//! joined again. Who calls knows whether a repeat is worth it; every call of the protocol may be repeated
//! without harm.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use nix::time::{ClockId, clock_gettime};
use outport_certificates::{
    HandshakeTrouble, IdentitySlot, JoinToken, NODE_LINK_NAME, NodeIdentity, NodeKey, Validity,
    handshake_trouble, is_due, node_client,
};
use outport_model::NodeId;
use outport_model::clock::Reading;
use outport_node_protocol::{
    Assignment, AssignmentRequest, AssignmentRequestV1, CertificateRequest, CredentialRequest,
    DOOR_VERSION, IssuedCertificate, JoinRequest, KnownGenerations, LogBatch, LogCursor,
    POLL_MS_MAX, ProtocolVersions, Refusal, RefusalCode, Registered, Registration,
    RegistryCredential, Report, Reported, SECTIONS_VERSION, TaskCredentials, TaskSecrets,
    TaskSection, TaskTags, call_path,
};
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::{IdentityFile, Stored};
use crate::link_error::LinkError;

/// An assignment of a full node is far below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long any call but the long poll may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than the control plane's own limit the node waits for a poll.
const POLL_GRACE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that carries calls is asked this often whether it is still there, so that a network that
/// swallows packets costs one of these and not every call's own timeout.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two certificates that are asked for before the last has run out: a clock that is ahead finds each one due.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_secs(6 * 3600);

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The connection to one control plane, as one node.
pub struct ControlPlane {
    /// Such as `https://127.0.0.1:4566`, without a slash at the end.
    base: String,
    authority: String,
    node: NodeId,
    token: JoinToken,
    file: IdentityFile,
    slot: Arc<IdentitySlot>,
    tls: rustls::ClientConfig,
    stranger_tls: Arc<rustls::ClientConfig>,
    link: RwLock<Arc<Link>>,
    /// What both speak, as the last registration said.
    version: AtomicU32,
    /// As the last registration said.
    takes_report_changes: AtomicBool,
    /// One attempt to get a certificate at a time; when the last was renewed, on the clock that never steps.
    joining: tokio::sync::Mutex<Option<i64>>,
}

/// Replaced with each certificate: a connection shows the one that it began with.
struct Link {
    client: HttpsClient,
    known: Known,
}

enum Known {
    Key(NodeKey),
    Identity(NodeIdentity),
}

impl ControlPlane {
    /// Makes no connection yet. `directory` keeps the node's identity.
    ///
    /// # Errors
    /// When the address is none, or says `http://`: the link is always TLS. When the identity cannot be used.
    pub fn new(
        url: &str,
        token: JoinToken,
        node: NodeId,
        directory: &Path,
    ) -> Result<Self, LinkError> {
        let authority = authority_of(url)?;
        let slot = Arc::new(IdentitySlot::default());
        let tls = node_client(token.pin(), slot.clone())?;
        let stranger_tls = Arc::new(node_client(token.pin(), Arc::default())?);
        let file = IdentityFile::in_directory(directory);
        let known = match file.open(&node, token.pin())? {
            Stored::Key(key) => Known::Key(key),
            Stored::Identity(identity) => {
                slot.show(&identity)?;
                Known::Identity(identity)
            }
        };
        let link = RwLock::new(Arc::new(Link { client: client(&tls), known }));
        let base = format!("https://{authority}");
        let joining = tokio::sync::Mutex::new(None);
        let version = AtomicU32::new(DOOR_VERSION);
        let takes_report_changes = AtomicBool::new(false);
        Ok(Self {
            base,
            authority,
            node,
            token,
            file,
            slot,
            tls,
            stranger_tls,
            link,
            version,
            takes_report_changes,
            joining,
        })
    }

    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Host and port by which this node reaches its control plane, and with it the registry.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How to connect to anything at that address.
    pub fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    /// Believes the same control plane, and does not say which node it is: for what others send through this node.
    pub fn stranger_tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.stranger_tls)
    }

    pub async fn register(&self, registration: &Registration) -> Result<Registered, LinkError> {
        let registered: Option<Registered> =
            self.call("register", registration, CALL_TIMEOUT).await?;
        let registered = registered.ok_or_else(empty)?;
        let version = registered.protocol_version;
        if !ProtocolVersions::SPOKEN.include(version) {
            return Err(LinkError::NoCommonVersion { theirs: version });
        }
        self.version.store(version, Ordering::Release);
        self.takes_report_changes.store(registered.takes_report_changes, Ordering::Release);
        Ok(registered)
    }

    /// Waits for sections newer than the known ones; `None` when there were none for a while.
    pub async fn assignment(
        &self,
        known: KnownGenerations,
        boot_id: &str,
    ) -> Result<Option<Assignment>, LinkError> {
        let request = AssignmentRequest {
            node: self.node.clone(),
            known,
            takes_changes: true,
            takes_secrets: true,
            boot_id: Some(boot_id.to_owned()),
        };
        let timeout = Duration::from_millis(POLL_MS_MAX) + POLL_GRACE;
        if self.version.load(Ordering::Acquire) >= SECTIONS_VERSION {
            return self.call("assignment", &request, timeout).await;
        }
        let request = AssignmentRequestV1::from(request);
        let tasks: Option<Arc<TaskSection>> = self.call("assignment", &request, timeout).await?;
        Ok(tasks.map(|tasks| Assignment { tasks: Some(tasks) }))
    }

    /// Whether a report may say only what changed.
    pub fn takes_report_changes(&self) -> bool {
        self.takes_report_changes.load(Ordering::Acquire)
    }

    pub async fn report(&self, report: &Report) -> Result<Reported, LinkError> {
        self.call("report", report, CALL_TIMEOUT).await.map(Option::unwrap_or_default)
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

    pub async fn task_credentials(
        &self,
        request: &CredentialRequest,
    ) -> Result<TaskCredentials, LinkError> {
        self.call("task-credentials", request, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    pub async fn task_secrets(
        &self,
        request: &CredentialRequest,
    ) -> Result<TaskSecrets, LinkError> {
        self.call("task-secrets", request, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    /// A control plane of an earlier version does not know the call.
    pub async fn task_tags(&self, request: &CredentialRequest) -> Result<TaskTags, LinkError> {
        self.call("task-tags", request, CALL_TIMEOUT).await?.ok_or_else(empty)
    }

    /// Gets the next certificate, with a new key, when half of the life of this one is over.
    pub async fn keep_certificate(&self) -> Result<(), LinkError> {
        let mut renewed_ms = self.joining.lock().await;
        let link = self.link();
        let Known::Identity(identity) = &link.known else { return Ok(()) };
        let now = read_clocks();
        if !may_renew(identity.certificate().validity, *renewed_ms, now) {
            return Ok(());
        }
        let key = NodeKey::generate()?;
        let (certificate_request, _) = key.request(&self.node)?;
        let request = CertificateRequest { node: self.node.clone(), certificate_request };
        let issued: Option<IssuedCertificate> =
            self.exchange(&link.client, "certificate", &request, CALL_TIMEOUT).await?;
        self.take(&key, &issued.ok_or_else(empty)?)?;
        *renewed_ms = Some(now.steady_ms);
        tracing::info!(event = "node_certificate_renewed", "this node has its next certificate");
        Ok(())
    }

    /// Makes the call; joins before it if there is no certificate, and again if there is none that is good.
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        name: &str,
        question: &Q,
        timeout: Duration,
    ) -> Result<Option<A>, LinkError> {
        let mut link = self.link();
        if matches!(link.known, Known::Key(_)) {
            link = self.join(&link).await?;
        }
        match self.exchange(&link.client, name, question, timeout).await {
            Err(error) if error.wants_joining() => {
                tracing::warn!(
                    event = "node_joins_again",
                    %error,
                    "the control plane refuses this node's certificate: it joins again"
                );
                let link = self.join(&link).await?;
                self.exchange(&link.client, name, question, timeout).await
            }
            answer => answer,
        }
    }

    /// Gets a certificate with the join token, for the key that there is. `before` is the link that would not
    /// do; another one that is there meanwhile may.
    async fn join(&self, before: &Arc<Link>) -> Result<Arc<Link>, LinkError> {
        let _one = self.joining.lock().await;
        let link = self.link();
        if !Arc::ptr_eq(&link, before) {
            return Ok(link);
        }
        let key = match &link.known {
            Known::Key(key) => NodeKey::read(&key.pem())?,
            Known::Identity(identity) => NodeKey::read(&identity.file())?,
        };
        let (certificate_request, der) = key.request(&self.node)?;
        let proof = self.token.proof(&self.node, &der);
        let request = JoinRequest { node: self.node.clone(), certificate_request, proof };
        let issued: Option<IssuedCertificate> =
            self.exchange(&link.client, "join", &request, CALL_TIMEOUT).await?;
        self.take(&key, &issued.ok_or_else(empty)?)?;
        Ok(self.link())
    }

    /// Stores a certificate and goes on with it, over a new connection.
    fn take(&self, key: &NodeKey, issued: &IssuedCertificate) -> Result<(), LinkError> {
        let identity = NodeIdentity::new(key, &issued.certificate_chain)?;
        if identity.certificate().node != self.node {
            return Err(LinkError::Malformed("it is the certificate of another node".to_owned()));
        }
        self.file.store(&identity)?;
        self.slot.show(&identity)?;
        let link = Link { client: client(&self.tls), known: Known::Identity(identity) };
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(link);
        Ok(())
    }

    fn link(&self) -> Arc<Link> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange<Q: Serialize, A: DeserializeOwned>(
        &self,
        client: &HttpsClient,
        name: &str,
        question: &Q,
        timeout: Duration,
    ) -> Result<Option<A>, LinkError> {
        let malformed = |error: &dyn std::fmt::Display| LinkError::Malformed(error.to_string());
        let body = serde_json::to_vec(question).map_err(|error| malformed(&error))?;
        let version = match name {
            "join" | "certificate" | "register" => DOOR_VERSION,
            _ => self.version.load(Ordering::Acquire),
        };
        let request = Request::post(format!("{}{}", self.base, call_path(version, name)))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| malformed(&error))?;
        let exchange = async {
            let answer = client.request(request).await;
            let answer = answer.map_err(|error| unreachable(&error, self.file.path()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| LinkError::Unreachable(error.to_string()))?
                .to_bytes();
            read_answer(status, &body).map_err(|error| error.about(self.file.path()))
        };
        tokio::time::timeout(timeout, exchange).await.map_err(|_| LinkError::Timeout)?
    }
}

fn authority_of(url: &str) -> Result<String, LinkError> {
    let uri: Uri =
        url.trim_end_matches('/').parse().map_err(|_| LinkError::Address(url.to_owned()))?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), Some(authority)) if is_bare => Ok(authority.to_string()),
        (Some("http"), Some(authority)) if is_bare => Err(LinkError::Address(format!(
            "{url} says plain HTTP, and nodes talk to their control plane over TLS only: write https://{authority}"
        ))),
        _ => Err(LinkError::Address(format!("{url} (it is like https://10.0.0.1:4566)"))),
    }
}

fn client(tls: &rustls::ClientConfig) -> HttpsClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(link_name()))
        .enable_http2()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Whether the next certificate is to be asked for.
fn may_renew(validity: Validity, renewed_ms: Option<i64>, now: Reading) -> bool {
    let rested = |last_ms| now.steady_ms - last_ms >= RENEWAL_INTERVAL_MIN.as_millis() as i64;
    is_due(validity, now.wall_ms) && renewed_ms.is_none_or(rested)
}

/// What is asked for in every handshake, whatever the address is.
pub(crate) fn link_name() -> ServerName<'static> {
    ServerName::try_from(NODE_LINK_NAME).expect("a host name")
}

fn unreachable(error: &(dyn std::error::Error + 'static), identity: &Path) -> LinkError {
    match handshake_trouble(error) {
        Some(HandshakeTrouble::OtherAuthority(text)) => LinkError::Stranger(text),
        Some(HandshakeTrouble::OwnCertificate(alert)) => {
            LinkError::OwnCertificate { file: identity.to_owned(), alert }
        }
        Some(HandshakeTrouble::Other(text)) => LinkError::Unreachable(text),
        None => LinkError::Unreachable(with_causes(error)),
    }
}

fn read_answer<A: DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
) -> Result<Option<A>, LinkError> {
    const MESSAGE_BYTES_MAX: usize = 1000;
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
            let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
            let (code, message) = refusal.map_or_else(
                || (RefusalCode::Unknown, message()),
                |refusal| (refusal.code, refusal.message),
            );
            Err(LinkError::Refused { code, message })
        }
        StatusCode::UNPROCESSABLE_ENTITY => match serde_json::from_slice::<Refusal>(body) {
            Ok(Refusal { code: RefusalCode::UnacceptableLogs, message }) => {
                Err(LinkError::Unacceptable(message))
            }
            _ => Err(LinkError::Status { status, message: message() }),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane_test::{House, report};

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        assert_eq!(authority_of(url).ok().as_deref(), expected, "{url}");
    }

    #[test]
    fn a_clock_that_is_a_year_off_asks_for_no_certificate_all_the_time() {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let validity = Validity { not_before_ms: 1000 * DAY_MS, not_after_ms: 1030 * DAY_MS };
        let check = |day: i64, renewed_hours_ago: Option<i64>, expected: bool| {
            let now = Reading { wall_ms: day * DAY_MS, steady_ms: 50 * DAY_MS };
            let renewed_ms = renewed_hours_ago.map(|hours| now.steady_ms - hours * 3600 * 1000);
            assert_eq!(
                may_renew(validity, renewed_ms, now),
                expected,
                "{day} {renewed_hours_ago:?}"
            );
        };
        check(1001, None, false);
        check(1016, None, true);
        check(1016, Some(15 * 24), true);
        check(1000 + 365, None, true);
        check(1000 + 365, Some(1), false);
        check(1000 + 365, Some(7), true);
        // It runs out by the server's clock, and then the node joins again.
        check(1000 - 365, None, false);
    }

    /// What no look at the file can find: the server alone sees it, after the client's handshake is over.
    #[tokio::test]
    async fn a_certificate_that_the_server_does_not_take_is_named_by_its_file() {
        let (house, other) = (House::start().await, House::start().await);
        let [own, foreign] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (node, stranger) = (house.node(own.path()), other.node(foreign.path()));
        node.report(&report(0)).await.unwrap();
        stranger.report(&report(0)).await.unwrap();
        let foreign = NodeIdentity::read(
            &std::fs::read_to_string(foreign.path().join("identity.pem")).unwrap(),
        );
        node.slot.show(&foreign.unwrap()).unwrap();
        let client = client(&node.tls);
        let refused: Result<Option<()>, _> =
            node.exchange(&client, "report", &report(1), CALL_TIMEOUT).await;
        let error = refused.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, LinkError::OwnCertificate { .. }), "{error:?}");
        let file = own.path().join("identity.pem").display().to_string();
        assert!(text.contains(&file) && text.contains("no other try will help"), "{text}");
        assert!(!error.is_passing());
    }

    #[test]
    fn only_logs_that_are_never_taken_are_unacceptable() {
        let read = |status: StatusCode, body: &str| {
            let error = read_answer::<()>(status, body.as_bytes()).unwrap_err();
            matches!(error, LinkError::Unacceptable(_))
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        assert!(read(status, r#"{"code":"unacceptable-logs","message":"too long"}"#));
        assert!(!read(status, r#"{"code":"of-tomorrow","message":"m"}"#));
        assert!(!read(
            status,
            "ResourceNotFoundException: The specified log group does not exist."
        ));
        assert!(!read(StatusCode::BAD_REQUEST, r#"{"code":"unacceptable-logs","message":"m"}"#));
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        check("https://10.0.0.1:4566", Some("10.0.0.1:4566"));
        check("https://ecs.example.org/", Some("ecs.example.org"));
        check("https://[::1]:4566", Some("[::1]:4566"));
        let plain = authority_of("http://[::1]:4566/").unwrap_err().to_string();
        assert!(plain.contains("over TLS only: write https://[::1]:4566"), "{plain}");
        for url in
            ["10.0.0.1:4566", "http://10.0.0.1:4566", "ftp://a", "https://a/b", "https://", ""]
        {
            check(url, None);
        }
    }
}
