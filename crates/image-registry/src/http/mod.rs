//! The OCI distribution protocol 1.1 over a [`Registry`].
//!
//! A request goes: path -> [`endpoint::Endpoint`] -> password -> authorization for the action and the
//! repository -> the handler of the endpoint, which runs the registry on a thread that may block.
//!
//! **Invariant:** nothing about a repository, not even that it exists, is told before the caller was
//! authorized for it; bodies of blobs are never in memory whole.

mod authentication;
mod blobs;
mod byte_range;
mod endpoint;
mod manifests;
mod pages;
mod receive;
mod reply;
mod told;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::request::Parts;
use http::{Method, Request};
use outport_model::{Scope, Tags, TimestampMs};
use tokio::sync::Semaphore;

use self::endpoint::Endpoint;
use self::reply::Refusal;
use self::told::Told;
use crate::{
    ImageSource, Registry, RegistryAuthorizer, RegistryCaller, RegistryError, RepositoryName,
    repository_arn,
};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> TimestampMs + Send + Sync>;

/// The memory that bodies are counted in, one permit a byte. Whoever mounts the router may put it into a request's
/// extensions, so that manifests take theirs from the same memory as other bodies do.
#[derive(Clone, Debug)]
pub struct BodyMemory(pub Arc<Semaphore>);

/// Whether the client came over TLS. Whoever mounts the router may put it into a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureTransport(pub bool);

/// Called once the password of a request was good. Whoever mounts the router may put it into a request's extensions, to
/// learn that its sender is no stranger.
#[derive(Clone)]
pub struct OnAuthenticated(pub Arc<dyn Fn() + Send + Sync>);

/// Routes `/v2/…`. Every other path is the caller's own; no limit on bodies may be put before it.
pub fn router(
    registry: Arc<Registry>,
    authorizer: Arc<dyn RegistryAuthorizer>,
    clock: Clock,
) -> Router {
    router_with(registry, authorizer, clock, None)
}

/// The same, with images that come from elsewhere.
pub fn router_with(
    registry: Arc<Registry>,
    authorizer: Arc<dyn RegistryAuthorizer>,
    clock: Clock,
    source: Option<Arc<dyn ImageSource>>,
) -> Router {
    let streams = Semaphore::new(registry.limits().upload_streams_max);
    let service = Arc::new(Service { registry, authorizer, clock, source, streams });
    Router::new()
        .route("/v2", any(serve))
        .route("/v2/", any(serve))
        .route("/v2/{*path}", any(serve))
        .with_state(service)
}

pub(crate) struct Service {
    registry: Arc<Registry>,
    authorizer: Arc<dyn RegistryAuthorizer>,
    clock: Clock,
    source: Option<Arc<dyn ImageSource>>,
    /// One permit for each upload body that is being read.
    streams: Semaphore,
}

/// One request whose sender is known.
pub(crate) struct Exchange {
    service: Arc<Service>,
    caller: Box<dyn RegistryCaller>,
    scope: Scope,
    now_ms: TimestampMs,
}

/// The registry, for who was authorized: only while the repositories are what they were then.
pub(crate) struct Permitted {
    registry: Arc<Registry>,
    scope: Scope,
}

impl Exchange {
    /// Asks whether the caller may do all `actions` to the repository.
    async fn authorize(
        &self,
        actions: &[&'static str],
        name: &RepositoryName,
    ) -> Result<Permitted, Refusal> {
        let registry = Arc::clone(&self.service.registry);
        self.authorize_more(registry, actions, name).await
    }

    /// The same about one more repository.
    async fn authorize_more(
        &self,
        registry: Arc<Registry>,
        actions: &[&'static str],
        name: &RepositoryName,
    ) -> Result<Permitted, Refusal> {
        let (looked_at, scope, named) = (Arc::clone(&registry), self.scope.clone(), name.clone());
        let look = tokio::task::spawn_blocking(move || looked_at.look(&scope, &named));
        let seen = look.await.map_err(Refusal::from_join)??;
        let resource = repository_arn(&self.scope, name);
        for action in actions {
            self.caller.authorize(action, &resource, seen.tags(), seen.policy())?;
        }
        Ok(Permitted { registry: registry.while_as_seen(seen), scope: self.scope.clone() })
    }

    /// Asks whether the caller may do `action` to all repositories.
    fn authorize_for_all(&self, action: &'static str) -> Result<Permitted, Refusal> {
        let scope = self.scope.clone();
        let every = format!("arn:aws:ecr:{}:{}:repository/*", scope.region, scope.account);
        self.caller.authorize(action, &every, &Tags::new(), None)?;
        Ok(Permitted { registry: Arc::clone(&self.service.registry), scope })
    }
}

impl Permitted {
    /// Runs `work` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Registry>, &Scope) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (registry, scope) = (Arc::clone(&self.registry), self.scope.clone());
        let done = tokio::task::spawn_blocking(move || work(&registry, &scope)).await;
        Ok(done.map_err(Refusal::from_join)??)
    }
}

async fn serve(State(service): State<Arc<Service>>, request: Request<Body>) -> Response {
    let (realm, no_body) = (authentication::realm(&request), request.method() == Method::HEAD);
    let answer = match answer(service, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response_for(&realm),
    };
    reply::finish(answer, no_body)
}

async fn answer(service: Arc<Service>, request: Request<Body>) -> Result<Response, Refusal> {
    let now_ms = (service.clock)();
    let caller = authentication::caller(&*service.authorizer, &request, now_ms)?;
    if let Some(OnAuthenticated(tell)) = request.extensions().get() {
        tell();
    }
    let scope = authentication::scope_of_host(&request).unwrap_or_else(|| caller.scope().clone());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let endpoint = Endpoint::parse(request.uri().path());
    let endpoint = endpoint.map_err(|refusal| if reads { refusal.of_a_read() } else { refusal })?;
    let exchange = Exchange { service, caller, scope, now_ms };
    let (request, body) = request.into_parts();
    let told = Told::of(&exchange.scope, &endpoint, &request);
    let answered = dispatch(&exchange, endpoint, &request, body).await;
    if let Some(ended) = told.and_then(|told| told.ended(answered.as_ref().err())) {
        exchange.caller.ended(ended);
    }
    answered
}

async fn dispatch(
    exchange: &Exchange,
    endpoint: Endpoint,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    match (endpoint, request.method.clone()) {
        (Endpoint::Base, Method::GET | Method::HEAD) => Ok(reply::json(&serde_json::json!({}))),
        (Endpoint::Catalog, Method::GET) => pages::catalog(exchange, request).await,
        (Endpoint::Tags(name), Method::GET) => pages::tags(exchange, name, request).await,
        (Endpoint::Referrers(name, subject), Method::GET) => {
            pages::referrers(exchange, name, subject, request).await
        }
        (Endpoint::Manifest(name, reference), Method::GET | Method::HEAD) => {
            manifests::get(exchange, name, reference, request.method == Method::GET).await
        }
        (Endpoint::Manifest(name, reference), Method::PUT) => {
            manifests::put(exchange, name, reference, request, body).await
        }
        (Endpoint::Manifest(name, reference), Method::DELETE) => {
            manifests::delete(exchange, name, reference).await
        }
        (Endpoint::Blob(name, digest), Method::HEAD) => blobs::head(exchange, name, digest).await,
        (Endpoint::Blob(name, digest), Method::GET) => {
            blobs::get(exchange, name, digest, &request.headers).await
        }
        (Endpoint::Blob(name, digest), Method::DELETE) => {
            blobs::delete(exchange, name, digest).await
        }
        (Endpoint::Uploads(name), Method::POST) => {
            uploads::start(exchange, name, request, body).await
        }
        (Endpoint::Upload(name, id), Method::GET) => uploads::status(exchange, name, id).await,
        (Endpoint::Upload(name, id), Method::PATCH) => {
            uploads::append(exchange, name, id, request, body).await
        }
        (Endpoint::Upload(name, id), Method::PUT) => {
            uploads::complete(exchange, name, id, request, body).await
        }
        (Endpoint::Upload(name, id), Method::DELETE) => uploads::cancel(exchange, name, id).await,
        (_, method) => Err(Refusal::unsupported(format!("{method} is not supported here"))),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into_response_for("registry")
    }
}
