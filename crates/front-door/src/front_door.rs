//! The front door itself: from a request to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use outport_aws_wire::{Protocol, ServiceModel};
use outport_identity::sigv4::{SKEW_MAX_MS, SigningKeyCache};
use outport_identity::{AccountRoots, Arrival, CredentialSource, PermissionSource, RequestId};
use outport_model::Regions;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::Instrument;

use crate::access_log::{self, AccessRecord};
use crate::answers::Answers;
use crate::arrival::arrival;
use crate::audit::AuditSink;
use crate::body::{BodyBudget, PacedBody, Sender};
use crate::exchange::{AwsRequest, Outcome};
use crate::metrics::Requests;
use crate::recognition::Services;
use crate::slots::Slots;
use crate::turned_away::TurnedAway;
use crate::unread::{Discards, lend};
use crate::{AwsService, Limits, PlainHttp, Standing, TlsSettings, rendering};

/// Unix milliseconds, by whoever has a clock.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct FrontDoor {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub services: Services,
    pub credentials: Arc<dyn CredentialSource>,
    pub permissions: Arc<dyn PermissionSource>,
    pub regions: Regions,
    pub reserved: Router,
    pub limits: Limits,
    pub requests: Requests,
    pub clock: Clock,
    pub skew_max_ms: i64,
    pub keys: SigningKeyCache,
    pub budget: BodyBudget,
    pub discards: Discards,
    pub turns: Arc<Semaphore>,
    /// Without: TLS is not spoken.
    pub tls: Option<Arc<dyn TlsSettings>>,
    pub plain_http: PlainHttp,
    pub slots: Arc<Slots>,
    pub answers: Arc<Answers>,
    pub turned_away: TurnedAway,
    /// Without: nobody writes down what was called.
    pub audit: Option<Arc<dyn AuditSink>>,
}

/// Collects the parts of a front door.
pub struct FrontDoorBuilder {
    services: Services,
    credentials: Arc<dyn CredentialSource>,
    permissions: Arc<dyn PermissionSource>,
    regions: Regions,
    reserved: Router,
    limits: Limits,
    clock: Clock,
    skew_max_ms: i64,
    tls: Option<Arc<dyn TlsSettings>>,
    plain_http: PlainHttp,
    body_memory: Option<Arc<Semaphore>>,
    audit: Option<Arc<dyn AuditSink>>,
}

/// Two services that no request could tell apart.
#[derive(Debug, thiserror::Error)]
#[error("the services {first} and {second} answer to the same {sign}")]
pub struct AmbiguousServices {
    pub first: &'static str,
    pub second: &'static str,
    pub sign: &'static str,
}

impl FrontDoor {
    /// A front door of these regions that believes the keys of `credentials`.
    pub fn builder(
        regions: impl Into<Regions>,
        credentials: Arc<dyn CredentialSource>,
    ) -> FrontDoorBuilder {
        FrontDoorBuilder {
            services: Services::default(),
            credentials,
            permissions: Arc::new(AccountRoots),
            regions: regions.into(),
            reserved: Router::new(),
            limits: Limits::default(),
            clock: Arc::new(system_clock),
            skew_max_ms: SKEW_MAX_MS,
            tls: None,
            plain_http: PlainHttp::default(),
            body_memory: None,
            audit: None,
        }
    }

    /// Answers one request. Never fails and never panics: whatever goes wrong is an answer.
    pub async fn answer(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let started = Instant::now();
        let inner = &self.inner;
        let _in_flight = inner.requests.in_flight();
        let request_id = RequestId::new(uuid::Uuid::new_v4().to_string());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let is_reserved = is_reserved(&path) || is_look(&request);
        let is_http2 = request.version() == Version::HTTP_2;
        let awaits_word = request.headers().contains_key(header::EXPECT);
        let standing = request.extensions().get::<Standing>().cloned();
        let (head, body) = request.into_parts();
        let (body, rest) = lend(body);
        let arrival = arrival(&head, peer, request_id.clone(), (inner.clock)());
        let request = Request::from_parts(head, body);

        let (mut response, summary) = if is_reserved {
            self.answer_reserved(request, peer, arrival).await
        } else {
            self.answer_aws(request, &arrival).await
        };
        let is_proven = standing.is_some_and(|standing| standing.is_proven());
        let goes_on = inner.discards.discard(rest, awaits_word, is_proven).await;
        if !goes_on && !is_http2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = started.elapsed();
        inner.requests.answered(summary.service, summary.operation, &summary.code, took);
        access_log::write(&AccessRecord {
            request_id: request_id.as_str(),
            peer,
            method: method.as_str(),
            path: &path,
            summary: &summary,
            status: response.status().as_u16(),
            took,
        });
        if method == http::Method::HEAD { rendering::without_body(response) } else { response }
    }

    /// Open connections, those included that are about to end.
    pub fn connections(&self) -> usize {
        self.inner.slots.kinds().iter().map(|(_, count)| count).sum()
    }

    async fn answer_reserved(
        &self,
        request: Request<Body>,
        peer: SocketAddr,
        arrival: Arrival,
    ) -> (Response<Body>, Summary) {
        let inner = &self.inner;
        let pace = inner.limits.streamed_body_pace;
        let service = if request.uri().path().starts_with("/v2") { "registry" } else { "outport" };
        let span = access_log::reserved_span(service, &arrival);
        let mut request = request.map(|body| Body::new(PacedBody::new(body, pace)));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(arrival);
        request.extensions_mut().insert(inner.budget.clone());
        let answering = inner.reserved.clone().oneshot(request).instrument(span.clone());
        let response = match std::panic::AssertUnwindSafe(answering).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => {
                span.in_scope(|| access_log::panicked(service, "", &*panic));
                let mut response = Response::new(Body::from("Internal Server Error\n"));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        let code = response.status().as_str().to_owned();
        (response, Summary { service, operation: "", code, access_key_id: None })
    }

    async fn answer_aws(
        &self,
        request: Request<Body>,
        arrival: &Arrival,
    ) -> (Response<Body>, Summary) {
        let inner = &self.inner;
        let (head, body) = request.into_parts();
        let sender = Standing::sender(&head.extensions);
        let mut aws = AwsRequest { inner, head: &head, body, arrival, sender };
        let outcome = aws.outcome().await;
        let is_proven = !matches!(aws.sender, Sender::Stranger(_));
        let (reply, summary) = outcome.into_reply(&arrival.request_id, is_proven);
        (rendering::response(reply), summary)
    }
}

/// What the log and the metrics keep of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Short name; empty when no service was recognised.
    pub service: &'static str,
    /// Empty when the model has no such operation.
    pub operation: &'static str,
    /// `200`, or the error code.
    pub code: String,
    pub access_key_id: Option<String>,
}

impl FrontDoorBuilder {
    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Arc<dyn AwsService>) -> Self {
        self.services.0.push(service);
        self
    }

    /// Answers `/v2`, `/v2/…` (registry) and `/_outport/…` (health, metrics, node link), and `/` to who asks for it without
    /// a signature. What these routes let in is their own affair: no AWS signature is asked for.
    #[must_use]
    pub fn reserved(mut self, router: Router) -> Self {
        self.reserved = router;
        self
    }

    /// Instead of [`AccountRoots`]: what the callers of services may do.
    #[must_use]
    pub fn permissions(mut self, permissions: Arc<dyn PermissionSource>) -> Self {
        self.permissions = permissions;
        self
    }

    /// Instead of the default limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Instead of the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How far a signature's time may be from ours, in milliseconds; 15 minutes by default.
    #[must_use]
    pub fn skew_max_ms(mut self, skew_max_ms: i64) -> Self {
        self.skew_max_ms = skew_max_ms;
        self
    }

    /// Answers TLS as well, on the same listeners.
    #[must_use]
    pub fn tls(mut self, settings: Arc<dyn TlsSettings>) -> Self {
        self.tls = Some(settings);
        self
    }

    /// Takes the bodies of proven callers from this memory, one permit a byte, so that a reserved route can count its
    /// own in the same; [`Limits::buffered_bytes_max`] of its own otherwise.
    #[must_use]
    pub fn body_memory(mut self, permits: Arc<Semaphore>) -> Self {
        self.body_memory = Some(permits);
        self
    }

    /// Tells this of each call that has ended.
    #[must_use]
    pub fn audit(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.audit = Some(sink);
        self
    }

    /// Who is answered without TLS; peers on this host unless said otherwise.
    #[must_use]
    pub fn plain_http(mut self, plain_http: PlainHttp) -> Self {
        self.plain_http = plain_http;
        self
    }

    /// The front door.
    ///
    /// # Errors
    /// [`AmbiguousServices`]: every service must be told by its signing name, its target prefix
    /// and its form version.
    pub fn build(self) -> Result<FrontDoor, AmbiguousServices> {
        check_unambiguous(&self.services)?;
        let bodies = self
            .body_memory
            .unwrap_or_else(|| Arc::new(Semaphore::new(self.limits.buffered_bytes_max)));
        let budget = BodyBudget::new(bodies, &self.limits);
        let discards = Discards::new(&self.limits);
        let turns = Arc::new(Semaphore::new(self.limits.operations_max));
        let (slots, answers) = (Slots::new(&self.limits), Answers::new(&self.limits));
        Ok(FrontDoor {
            inner: Arc::new(Inner {
                services: self.services,
                credentials: self.credentials,
                permissions: self.permissions,
                regions: self.regions,
                reserved: self.reserved,
                limits: self.limits,
                requests: Requests::new(),
                clock: self.clock,
                skew_max_ms: self.skew_max_ms,
                keys: SigningKeyCache::default(),
                budget,
                discards,
                turns,
                tls: self.tls,
                plain_http: self.plain_http,
                slots,
                answers,
                turned_away: TurnedAway::new(),
                audit: self.audit,
            }),
        })
    }
}

fn check_unambiguous(services: &Services) -> Result<(), AmbiguousServices> {
    let models: Vec<&'static ServiceModel> =
        services.0.iter().map(|service| service.model()).collect();
    for (position, first) in models.iter().enumerate() {
        for second in models.iter().skip(position + 1) {
            let is_form =
                |model: &ServiceModel| model.protocols.iter().any(|protocol| protocol.is_form());
            let same = [
                ("signing name", first.signing_name == second.signing_name),
                (
                    "target prefix",
                    first.target_prefix == second.target_prefix && !first.target_prefix.is_empty(),
                ),
                (
                    "version",
                    first.api_version == second.api_version && is_form(first) && is_form(second),
                ),
            ];
            if let Some((sign, _)) = same.into_iter().find(|(_, is_same)| *is_same) {
                return Err(AmbiguousServices { first: first.name, second: second.name, sign });
            }
        }
    }
    Ok(())
}

/// Paths that are ours and no AWS service's.
fn is_reserved(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/") || path.starts_with("/_outport/")
}

/// Somebody who looks what is here, with a browser or curl: they take any text. A call of AWS to this path has a signature,
/// in a header or in the query.
fn is_look(request: &Request<Body>) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    matches!(*request.method(), http::Method::GET | http::Method::HEAD)
        && request.uri().path() == "/"
        && request.uri().query().is_none()
        && !request.headers().contains_key(header::AUTHORIZATION)
        && accepted.is_some_and(|kinds| kinds.contains("text/html") || kinds.contains("*/*"))
}

fn system_clock() -> i64 {
    // A clock before 1970 signs nothing that could be verified anyway.
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

impl Outcome {
    fn into_reply(
        self,
        request_id: &RequestId,
        is_proven: bool,
    ) -> (outport_aws_wire::Reply, Summary) {
        let Outcome { service, protocol, operation, access_key_id, result } = self;
        let service_name = service.map_or("", |model| model.name);
        let operation = service
            .and_then(|model| model.operation(&operation))
            .map_or("", |operation| operation.name);
        let (reply, code) = match result {
            Ok(reply) => {
                let code = reply.status.to_string();
                (reply, code)
            }
            Err(error) => {
                access_log::failed(
                    is_proven,
                    service_name,
                    operation,
                    request_id,
                    protocol,
                    &error,
                );
                let code = error.code_in(protocol).to_owned();
                let reply = outport_aws_wire::Reply::failure(
                    service,
                    protocol,
                    request_id.as_str(),
                    &error,
                );
                (reply, code)
            }
        };
        (reply, Summary { service: service_name, operation, code, access_key_id })
    }
}

/// An outcome before a service is known.
pub(crate) fn refused(
    service: Option<&'static ServiceModel>,
    protocol: Protocol,
    error: outport_aws_wire::WireError,
) -> Outcome {
    Outcome { service, protocol, operation: String::new(), access_key_id: None, result: Err(error) }
}
