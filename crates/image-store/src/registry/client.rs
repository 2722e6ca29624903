//! Requests to a registry: time limits, retries, authentication, redirects.

use super::challenge::{self, Challenge};
use super::endpoint::{Credentials, RegistryEndpoint};
use super::error::RegistryError;
use super::own::OwnRegistry;
use super::reach::{Nearness, Network, Resolver, refused};
use crate::digest::Digest;
use crate::manifest::{self, Manifest};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a manifest of the own registry, which may have to take the image from another one first.
const OWN_RESPONSE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Longest wait for the next piece of a body.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Most attempts of one request.
pub(crate) const ATTEMPTS_MAX: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(200);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: u32 = 5;
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
const TOKEN_BODY_BYTES_MAX: usize = 256 * 1024;
/// Most characters of a registry's message that are repeated.
const MESSAGE_SHOWN_MAX: usize = 256;

type HttpClient = Client<HttpConnector<Resolver>, Empty<Bytes>>;
type HttpsClient = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// Connections to registries, shared by all pulls.
pub(crate) struct RegistryClient {
    /// By how near they reach: a connection that one may use is not taken by another.
    by_reach: [Connections; 3],
    /// To the registry of this installation, where there is one.
    own: Option<Connections>,
}

/// Connections to addresses that are near at most so much.
struct Connections {
    /// Until an answer with a manifest begins.
    patience: Duration,
    resolver: Resolver,
    http: HttpClient,
    /// Made at the first use: reading the host's certificates costs time and memory.
    https: OnceLock<HttpsClient>,
}

/// One pull's conversation with one repository: remembers how it authenticated.
pub(crate) struct Session<'client> {
    client: &'client RegistryClient,
    endpoint: &'client RegistryEndpoint,
    authorization: Mutex<Option<HeaderValue>>,
    /// How near the registry was, when it last answered: as far as it may send the node.
    nearness: Mutex<Nearness>,
}

/// A manifest or an index as a registry serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    pub bytes: Bytes,
    /// What the registry calls it.
    pub media_type: Option<String>,
    /// Of the bytes.
    pub digest: Digest,
}

impl RegistryClient {
    pub fn new(network: &Arc<dyn Network>, own: Option<&OwnRegistry>) -> RegistryClient {
        let reaches = [Nearness::Public, Nearness::Private, Nearness::Loopback];
        let by_reach = reaches.map(|reach| {
            let resolver = Resolver { network: Arc::clone(network), reach };
            let http = builder().build(tcp_connector(resolver.clone()));
            Connections { patience: RESPONSE_TIMEOUT, resolver, http, https: OnceLock::new() }
        });
        let own = own.map(|own| Connections::to_own(network, own));
        RegistryClient { by_reach, own }
    }

    pub fn session<'client>(
        &'client self,
        endpoint: &'client RegistryEndpoint,
    ) -> Session<'client> {
        // It is known whom the password goes to: no need to be asked first.
        let known = endpoint.credentials.as_ref().filter(|_| endpoint.own && self.own.is_some());
        let (authorization, nearness) =
            (Mutex::new(known.and_then(basic)), Mutex::new(Nearness::Public));
        Session { client: self, endpoint, authorization, nearness }
    }

    fn connections(&self, reach: Nearness) -> &Connections {
        let [public, private, loopback] = &self.by_reach;
        match reach {
            Nearness::Public => public,
            Nearness::Private => private,
            Nearness::Loopback | Nearness::Forbidden => loopback,
        }
    }
}

impl Connections {
    /// The control plane is wherever the operator says, and nobody else is believed.
    fn to_own(network: &Arc<dyn Network>, own: &OwnRegistry) -> Connections {
        let resolver = Resolver { network: Arc::clone(network), reach: Nearness::Loopback };
        let http = builder().build(tcp_connector(resolver.clone()));
        let mut tcp = tcp_connector(resolver.clone());
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(own.tls.clone())
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(own.server_name.clone()))
            .enable_http1()
            .wrap_connector(tcp);
        let https = OnceLock::from(builder().build(connector));
        Connections { patience: OWN_RESPONSE_TIMEOUT, resolver, http, https }
    }

    fn https(&self) -> std::io::Result<&HttpsClient> {
        if let Some(client) = self.https.get() {
            return Ok(client);
        }
        let mut tcp = tcp_connector(self.resolver.clone());
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(self.https.get_or_init(|| builder().build(connector)))
    }

    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let url = request.uri().to_string();
        let unreachable = |reason: String| RegistryError::Unreachable { url: url.clone(), reason };
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>()
            && !self.resolver.allows(address)
        {
            return Err(RegistryError::Protocol { url, reason: refused(host).to_string() });
        }
        let is_manifest = request.uri().path().contains("/manifests/");
        let patience = if is_manifest { self.patience } else { RESPONSE_TIMEOUT };
        let response = if request.uri().scheme_str() == Some("https") {
            let https = self.https().map_err(|error| unreachable(error.to_string()))?;
            tokio::time::timeout(patience, https.request(request)).await
        } else {
            tokio::time::timeout(patience, self.http.request(request)).await
        };
        response.map_err(|_| unreachable("context deadline exceeded".to_owned()))?.map_err(
            |error| match is_refused(&error) {
                true => RegistryError::Protocol { url: url.clone(), reason: innermost(&error) },
                false => unreachable(innermost(&error)),
            },
        )
    }
}

fn tcp_connector(resolver: Resolver) -> HttpConnector<Resolver> {
    let mut connector = HttpConnector::new_with_resolver(resolver);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE_TIMEOUT).pool_timer(TokioTimer::new());
    builder
}

/// The root cause, which says more to a user than "client error (Connect)".
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether it was the resolver's word, and not the network's.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Session<'_> {
    /// Fetches a manifest or index by tag or digest. Returns it with its digest, verified when one was asked for.
    pub async fn manifest(&self, selector: &str) -> Result<(Manifest, Digest), RegistryError> {
        let RawManifest { bytes, media_type, digest } = self.raw_manifest(selector).await?;
        Ok((Manifest::parse(&bytes, media_type.as_deref())?, digest))
    }

    /// The same as it is served, whatever it is.
    pub async fn raw_manifest(&self, selector: &str) -> Result<RawManifest, RegistryError> {
        let url = self.url("manifests", selector);
        let response = self.get(&url, Some(manifest::ACCEPT), None).await?;
        let content_type = header_text(response.headers(), header::CONTENT_TYPE)
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_owned());
        let bytes = self.body(response, &url, manifest::MANIFEST_BYTES_MAX).await?;
        let found = Digest::of(&bytes);
        if let Ok(expected) = selector.parse::<Digest>()
            && expected != found
        {
            return Err(RegistryError::DigestMismatch { expected, found });
        }
        Ok(RawManifest { bytes, media_type: content_type, digest: found })
    }

    /// Whether the registry answers at all, and takes the credentials.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        let endpoint = self.endpoint;
        let url = format!("{}://{}/v2/", endpoint.scheme(), endpoint.authority);
        self.get(&url, None, None).await.map(drop)
    }

    /// Fetches a small blob into memory, verified.
    pub async fn small_blob(
        &self,
        expected: Digest,
        size: u64,
        bytes_max: u64,
    ) -> Result<Bytes, RegistryError> {
        if size > bytes_max {
            return Err(RegistryError::SizeMismatch { expected: bytes_max, found: size });
        }
        let url = self.url("blobs", &expected.to_string());
        let response = self.get(&url, None, None).await?;
        let bytes = self.body(response, &url, size).await?;
        let found = Digest::of(&bytes);
        if found != expected {
            return Err(RegistryError::DigestMismatch { expected, found });
        }
        Ok(bytes)
    }

    /// Opens a blob for reading from `offset`. The answer says whether the registry kept to the offset: 206 if so.
    pub async fn blob(
        &self,
        digest: Digest,
        offset: u64,
    ) -> Result<Response<Incoming>, RegistryError> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        self.get(&self.url("blobs", &digest.to_string()), None, range.as_deref()).await
    }

    /// Whether the repository gives the blob, for a byte of it.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, RegistryError> {
        match self.get(&self.url("blobs", &digest.to_string()), None, Some("bytes=0-0")).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound | RegistryError::Denied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn endpoint(&self) -> &RegistryEndpoint {
        self.endpoint
    }

    fn url(&self, kind: &str, selector: &str) -> String {
        let endpoint = self.endpoint;
        let (scheme, authority) = (endpoint.scheme(), &endpoint.authority);
        format!("{scheme}://{authority}/v2/{}/{kind}/{selector}", endpoint.repository)
    }

    async fn body(
        &self,
        response: Response<Incoming>,
        url: &str,
        bytes_max: u64,
    ) -> Result<Bytes, RegistryError> {
        let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let read = Limited::new(response.into_body(), limit).collect();
        let unreachable = |reason| RegistryError::Unreachable { url: url.to_owned(), reason };
        match tokio::time::timeout(READ_TIMEOUT, read).await {
            Err(_) => Err(unreachable("i/o timeout".to_owned())),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(RegistryError::SizeMismatch { expected: bytes_max, found: bytes_max + 1 })
            }
            Ok(Err(error)) => Err(unreachable(innermost(error.as_ref()))),
        }
    }

    /// GET with retries. Connection failures, 5xx and 429 are tried again.
    async fn get(
        &self,
        url: &str,
        accept: Option<&str>,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut attempt = 1;
        loop {
            let wait = match self.authenticated(url, accept, range).await {
                Ok(response) if attempt < ATTEMPTS_MAX && may_pass(response.status()) => {
                    retry_after(response.headers())
                }
                Ok(response) => return self.successful(response, url).await,
                Err(RegistryError::Unreachable { url, reason }) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!(url, reason, attempt, "registry request is tried again");
                    None
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(wait.unwrap_or(BACKOFF * attempt)).await;
            attempt += 1;
        }
    }

    async fn successful(
        &self,
        response: Response<Incoming>,
        url: &str,
    ) -> Result<Response<Incoming>, RegistryError> {
        let status = response.status();
        let url = url.to_owned();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let message = match &self.endpoint.credentials {
                    None if status == StatusCode::UNAUTHORIZED => {
                        "authorization failed: no basic auth credentials".to_owned()
                    }
                    _ => format!("server message: {}", self.message(response).await),
                };
                Err(RegistryError::Denied { message })
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let message = self.message(response).await;
                Err(RegistryError::TooManyRequests { url, message })
            }
            status => Err(RegistryError::Status { url, status }),
        }
    }

    /// The registry's own words: `{"errors":[{"code":…,"message":…}]}`.
    async fn message(&self, response: Response<Incoming>) -> String {
        let status = response.status();
        let body = Limited::new(response.into_body(), ERROR_BODY_BYTES_MAX).collect();
        let text = match tokio::time::timeout(READ_TIMEOUT, body).await {
            Ok(Ok(collected)) => error_message(&collected.to_bytes()),
            _ => None,
        };
        let message = text.unwrap_or_else(|| status.to_string());
        message.chars().filter(|char| !char.is_control()).take(MESSAGE_SHOWN_MAX).collect()
    }

    /// One request, again with what the registry's challenge asks for when it is refused.
    async fn authenticated(
        &self,
        url: &str,
        accept: Option<&str>,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let response = self.redirected(url, accept, range, known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenges: Vec<Challenge> = response
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| challenge::parse(value.to_str().ok()?))
            .collect();
        let Some(authorization) = self.answer(&challenges).await? else {
            return Ok(response);
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(authorization.clone());
        self.redirected(url, accept, range, Some(authorization)).await
    }

    async fn answer(&self, challenges: &[Challenge]) -> Result<Option<HeaderValue>, RegistryError> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        if let Some((realm, service, scope)) = bearer {
            return self.token(realm, service.as_deref(), scope.as_deref()).await.map(Some);
        }
        match &self.endpoint.credentials {
            Some(credentials) if !challenges.is_empty() => Ok(basic(credentials)),
            _ => Ok(None),
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<HeaderValue, RegistryError> {
        let protocol = |reason: &str| RegistryError::Protocol {
            url: realm.to_owned(),
            reason: reason.to_owned(),
        };
        let realm_uri: Uri = realm.parse().map_err(|_| protocol("not a valid address"))?;
        if !is_followed(&realm_uri) {
            return Err(protocol("not a valid address"));
        }
        if self.endpoint.https && realm_uri.scheme_str() != Some("https") {
            return Err(protocol("a token service without TLS"));
        }
        let own_scope = format!("repository:{}:pull", self.endpoint.repository);
        let scope = challenge::encode_query(scope.unwrap_or(&own_scope));
        let joiner = if realm.contains('?') { '&' } else { '?' };
        let mut url = format!("{realm}{joiner}scope={scope}");
        if let Some(service) = service {
            url.push_str(&format!("&service={}", challenge::encode_query(service)));
        }
        // To a stranger only where nobody listens, and its certificate says who it is.
        let may_know = self.is_own(&realm_uri) || self.endpoint.https;
        let authorization = self.endpoint.credentials.as_ref().filter(|_| may_know).and_then(basic);
        let response = self.redirected(&url, None, None, authorization).await?;
        if response.status() != StatusCode::OK {
            let message = format!("server message: {}", self.message(response).await);
            return Err(RegistryError::Denied { message });
        }
        let bytes = self.body(response, realm, TOKEN_BODY_BYTES_MAX as u64).await?;
        let document: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|_| protocol("not a token"))?;
        // Docker Hub sends both names with the same value, which one alias would refuse.
        let token = document
            .get("token")
            .or_else(|| document.get("access_token"))
            .and_then(|token| token.as_str())
            .ok_or_else(|| protocol("not a token"))?;
        secret(&format!("Bearer {token}")).ok_or_else(|| protocol("not a token"))
    }

    /// Whether it is the registry itself, whose address the task named.
    fn is_own(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some(self.endpoint.scheme())
            && uri.authority().is_some_and(|authority| {
                authority.as_str().eq_ignore_ascii_case(&self.endpoint.authority)
            })
    }

    /// Sends a request as far as it may go: see [`reach`](super::reach).
    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, RegistryError> {
        if !self.is_own(request.uri()) {
            let reach = *self.nearness.lock().unwrap_or_else(PoisonError::into_inner);
            if reach == Nearness::Loopback && !self.endpoint.own {
                let (url, host) = (request.uri().to_string(), request.uri().host());
                let reason = refused(host.unwrap_or_default()).to_string();
                return Err(RegistryError::Protocol { url, reason });
            }
            return self.client.connections(reach).send(request).await;
        }
        let own = self.client.own.as_ref().filter(|_| self.endpoint.own);
        let connections = own.unwrap_or_else(|| self.client.connections(Nearness::Loopback));
        let response = connections.send(request).await?;
        if let Some(connected) = response.extensions().get::<HttpInfo>() {
            let nearness = connections.resolver.network.nearness(connected.remote_addr().ip());
            *self.nearness.lock().unwrap_or_else(PoisonError::into_inner) = nearness;
        }
        Ok(response)
    }

    /// One request and the redirects that answer it.
    async fn redirected(
        &self,
        url: &str,
        accept: Option<&str>,
        range: Option<&str>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let protocol = |url: &str, reason: &str| RegistryError::Protocol {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        let mut uri: Uri = url.parse().map_err(|_| protocol(url, "not a valid address"))?;
        let first_authority = uri.authority().cloned();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::get(uri.clone());
            let own = uri.authority().cloned() == first_authority;
            for (name, value) in [
                (header::ACCEPT, accept),
                (header::RANGE, range),
                (header::USER_AGENT, Some("outport")),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            if let Some(authorization) = authorization.as_ref().filter(|_| own) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let request =
                request.body(Empty::new()).map_err(|_| protocol(url, "not a valid request"))?;
            let response = self.send(request).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            uri =
                next_hop(&uri, &response).ok_or_else(|| protocol(url, "a redirect to nowhere"))?;
            if self.endpoint.https && uri.scheme_str() != Some("https") {
                return Err(protocol(url, "a redirect away from TLS"));
            }
        }
        Err(protocol(url, "too many redirects"))
    }
}

fn next_hop(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    let location = header_text(response.headers(), header::LOCATION)?;
    let target: Uri = location.parse().ok()?;
    if target.authority().is_some() {
        return is_followed(&target).then_some(target);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

/// Of a scheme that is spoken, and without a password in it.
fn is_followed(target: &Uri) -> bool {
    matches!(target.scheme_str(), Some("http" | "https"))
        && target.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

fn error_message(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = document.get("errors")?.get(0)?;
    let text = |name: &str| first.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    Some(format!("{}: {}", text("code").to_ascii_lowercase(), text("message")))
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    secret(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = header_text(headers, header::RETRY_AFTER)?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
