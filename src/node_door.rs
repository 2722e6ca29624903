//! What `outport node` serves on the loopback of its machine: health and metrics, as a control plane does at its own door.
//!
//! **Invariant:** nobody elsewhere is answered, and nothing can be asked for that changes anything.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinHandle;

use crate::disk_watch::DiskWatch;
use crate::health::{self, Readiness};
use crate::listen_address;
use crate::metrics_page;

/// As the control plane does: a histogram keeps each value until then.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Open for as long as it lives.
pub struct NodeDoor {
    /// Set once the node has joined.
    pub readiness: Readiness,
    serving: [JoinHandle<()>; 2],
}

impl NodeDoor {
    /// # Errors
    /// When the port is taken.
    pub fn open(address: SocketAddr, data_dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(tokio::net::TcpListener::from_std)
            .map_err(|error| {
                let advice = listen_address::advice(error.kind());
                anyhow!("cannot serve metrics on {address}: {error}: {advice}")
            })?;
        let (readiness, disk) = (Readiness::default(), DiskWatch::new(data_dir));
        let page = metrics_page::of_disk(metrics_page::install()?, &disk);
        let router = health::router(readiness.clone(), page.clone(), disk);
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        let serve = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(event = "node_door_failed", %error, "metrics of this node are not served any more");
            }
        });
        let tidy = tokio::spawn(async move {
            let mut timer = tokio::time::interval(METRICS_INTERVAL);
            loop {
                timer.tick().await;
                page.tidy_up();
            }
        });
        Ok(Self { readiness, serving: [serve, tidy] })
    }
}

impl Drop for NodeDoor {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// A port of the loopback.
///
/// # Errors
/// When it is none, or of another address.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let address = listen_address::parse(text)?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            Err("metrics are served on the loopback only: give a port, such as 9464".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_taken() {
        for (text, expected) in [
            ("9464", Some("127.0.0.1:9464")),
            ("127.0.0.1:9464", Some("127.0.0.1:9464")),
            ("[::1]:9464", Some("[::1]:9464")),
            (":9464", None),
            ("0.0.0.0:9464", None),
            ("10.0.0.1:9464", None),
            ("x", None),
        ] {
            let found = parse(text).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
