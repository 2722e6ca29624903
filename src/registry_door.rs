//! What the registry is told of the connection that a request came over, and the other way round.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use outport_front_door::Standing;
use outport_image_registry::http::{BodyMemory, OnAuthenticated, SecureTransport};
use tokio::sync::Semaphore;

/// Counts manifests in the memory of all bodies, and makes a connection with a good password one of a caller.
pub fn at_the_door(registry: Router, body_memory: Arc<Semaphore>) -> Router {
    registry.layer(from_fn(move |mut request: Request, next: Next| {
        let body_memory = BodyMemory(body_memory.clone());
        async move {
            let standing = request.extensions().get::<Standing>().cloned();
            let extensions = request.extensions_mut();
            let is_secure = extensions.get() == Some(&outport_front_door::SecureTransport(true));
            extensions.insert(SecureTransport(is_secure));
            extensions.insert(body_memory);
            if let Some(standing) = standing {
                extensions.insert(OnAuthenticated(Arc::new(move || standing.prove_caller())));
            }
            let response: Response = next.run(request).await;
            response
        }
    }))
}
