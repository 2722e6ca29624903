//! `GET /_outport/health`, `/_outport/metrics` and `/_outport/compatibility`, and what `/` says to who only looks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::disk_watch::DiskWatch;
use crate::metrics_page::MetricsPage;

/// To a browser, or curl. It names nothing that a stranger may not know.
const GREETING: &str = "\
This is Outport: Amazon ECS, run by yourself. Here it answers the AWS API (cloudtrail, ecs, ecr,
ec2, events, iam, kms, logs, secretsmanager, ssm, sts) and docker push.

On its host:      eval \"$(sudo outport env)\"; aws ecs list-clusters; outport status; outport ps
From elsewhere:   AWS_ENDPOINT_URL=<this URL>, with an access key of it and its region
Is it ready:      /_outport/health        In numbers, on its host: /_outport/metrics
What it can do:   /_outport/compatibility
";

/// What answers that refuse something name: of this version, and there where the caller is already.
const COMPATIBILITY: &str = include_str!("../docs/compatibility.md");

/// How far an Outport is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Starting,
    /// The API answers and, with a node in the same process, tasks can be taken.
    Ready,
    Stopping,
}

/// The stage that is told to who asks; `Starting` at first.
#[derive(Clone)]
pub struct Readiness(Arc<AtomicU8>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Stage::Starting as u8)))
    }
}

impl Readiness {
    pub fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        const READY: u8 = Stage::Ready as u8;
        const STOPPING: u8 = Stage::Stopping as u8;
        match self.0.load(Ordering::Acquire) {
            READY => (StatusCode::OK, "ready\n"),
            STOPPING => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    }
}

/// Health is for everyone: it says nothing but whether it is ready. How full the disk is and which operations are
/// called and how they end is nobody's affair outside of this host: a collector runs on it, or comes through
/// something that runs on it.
pub fn router(readiness: Readiness, metrics: MetricsPage, disk: DiskWatch) -> Router {
    let health = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
        let (status, word) = readiness.answer();
        // A full disk is no reason to restart it: it answers, and recovers by itself.
        let detail = if is_near(peer) { disk.detail() } else { None };
        (status, format!("{word}{}", detail.unwrap_or_default()))
    };
    let metrics = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
        if is_near(peer) {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            match tokio::task::spawn_blocking(move || metrics.render()).await {
                Ok(text) => (kind, text).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        } else {
            let text = "Metrics are shown over the server's own loopback only\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
    };
    Router::new()
        .route("/", get(async || GREETING))
        .route("/_outport/compatibility", get(async || COMPATIBILITY))
        .route("/_outport/health", get(health))
        .route("/_outport/metrics", get(metrics))
}

/// Whether a peer is on this host, by its address.
pub fn is_near(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    use super::*;

    async fn check(path: &str, peer: &str, status: StatusCode, text: &str) {
        let peer: SocketAddr = format!("{peer}:50000").parse().unwrap();
        let readiness = Readiness::default();
        readiness.set(Stage::Ready);
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let disk = DiskWatch::new(std::path::Path::new("/"));
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = MetricsPage::new(recorder.handle());
        metrics::with_local_recorder(&recorder, || disk.measure());
        let answer = router(readiness, shown, disk).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path} {peer}");
        let body = to_bytes(answer.into_body(), 100_000).await.unwrap();
        assert!(body.starts_with(text.as_bytes()), "{path} {peer}: {body:?}");
    }

    #[tokio::test]
    async fn health_is_for_everyone_and_metrics_for_this_host() {
        for peer in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            check("/", peer, StatusCode::OK, "This is Outport").await;
            check("/_outport/health", peer, StatusCode::OK, "ready").await;
            check("/_outport/metrics", peer, StatusCode::OK, "# TYPE outport_disk").await;
        }
        for peer in ["10.0.0.1", "[fe80::1]"] {
            check("/_outport/health", peer, StatusCode::OK, "ready").await;
            check("/_outport/compatibility", peer, StatusCode::OK, "<!-- Made by").await;
            check("/_outport/metrics", peer, StatusCode::FORBIDDEN, "Metrics are shown").await;
        }
    }

    #[test]
    fn the_greeting_names_every_service() {
        for model in crate::services::MODELS {
            let name = model.name;
            let is_it = |word: &str| word.trim_matches([',', '(', ')']) == name;
            assert!(GREETING.split_whitespace().any(is_it), "{name} is not in {GREETING}");
        }
    }

    #[test]
    fn each_stage_has_its_word() {
        let readiness = Readiness::default();
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "starting\n"));
        readiness.set(Stage::Ready);
        assert_eq!(readiness.answer(), (StatusCode::OK, "ready\n"));
        readiness.set(Stage::Stopping);
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"));
    }
}
