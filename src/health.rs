//! `GET /_outport/health` and `GET /_outport/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use outport_front_door::Metrics;

/// True once the API answers and, with a node in the same process, tasks can be taken.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// Neither needs a signature: they say nothing about what is kept here.
pub fn router(readiness: Readiness, metrics: Arc<Metrics>) -> Router {
    let health = move || async move {
        if readiness.0.load(Ordering::Acquire) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
        }
    };
    let metrics = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
    };
    Router::new().route("/_outport/health", get(health)).route("/_outport/metrics", get(metrics))
}
