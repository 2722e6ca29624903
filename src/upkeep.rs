//! What the data planes want done from time to time.

use std::sync::Arc;
use std::time::Duration;

use outport_image_registry::Registry;
use outport_log_store::LogStore;
use outport_permissions::StoredCredentials;
use outport_service_kms::KmsService;
use outport_store::Store;
use tokio::task::JoinHandle;

use crate::disk_watch::DiskWatch;
use crate::metrics_page::MetricsPage;

/// Retention and space of the logs.
const LOG_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Unreferenced blobs; the first round also removes what a crash left.
const REGISTRY_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Lifecycle policies: those that were set since the last look, and those whose time has come.
const LIFECYCLE_INTERVAL: Duration = Duration::from_secs(10);

/// Whether there is still room, which others may take at any time.
const DISK_INTERVAL: Duration = Duration::from_secs(2);

/// A histogram keeps each value until then: at 50,000 requests a second 2 MB.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// When access keys and roles were last used: what a crash may lose of it.
const USES_INTERVAL: Duration = Duration::from_secs(60);

/// Keys of KMS that are due for new material: AWS, too, rotates some time after the date.
const ROTATION_INTERVAL: Duration = Duration::from_secs(60);

/// Gives keys of KMS their new material.
pub fn rotate_keys(kms: KmsService) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(ROTATION_INTERVAL);
        loop {
            timer.tick().await;
            if let Err(error) = kms.rotate_due().await {
                tracing::warn!(
                    event = "keys_not_rotated",
                    %error,
                    "keys of KMS that are due for new material do not get it this time"
                );
            }
        }
    })
}

/// Writes down when access keys and roles were last used.
pub fn write_uses(credentials: Arc<StoredCredentials>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(USES_INTERVAL);
        loop {
            timer.tick().await;
            if let Err(fault) = credentials.write_uses().await {
                tracing::warn!(
                    event = "uses_not_written",
                    error = fault.detail,
                    "when access keys and roles were last used is not written down this time"
                );
            }
        }
    })
}

/// Starts the rounds; each ends when its handle is aborted.
pub fn start(
    store: Store,
    logs: Arc<LogStore>,
    registry: Arc<Registry>,
    disk: DiskWatch,
    metrics: MetricsPage,
) -> Vec<JoinHandle<()>> {
    let logs = every(LOG_INTERVAL, "the logs", move || {
        logs.maintain().map(drop).map_err(|error| error.to_string())
    });
    let (expiring, clock) = (Arc::clone(&registry), store.clone());
    let lifecycle = every(LIFECYCLE_INTERVAL, "lifecycle policies", move || {
        expiring.expire_images(&clock.now()).map(drop).map_err(|error| error.to_string())
    });
    let registry = every(REGISTRY_INTERVAL, "the registry", move || {
        registry.collect_garbage(&store.now()).map(drop).map_err(|error| error.to_string())
    });
    let disk = every(DISK_INTERVAL, "the disk", move || {
        disk.look();
        Ok(())
    });
    let metrics = every(METRICS_INTERVAL, "the metrics", move || {
        metrics.tidy_up();
        Ok(())
    });
    vec![logs, lifecycle, registry, disk, metrics]
}

fn every(
    interval: Duration,
    what: &'static str,
    round: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> JoinHandle<()> {
    let round = Arc::new(round);
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(interval);
        loop {
            timer.tick().await;
            let round = round.clone();
            match tokio::task::spawn_blocking(move || round()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(
                    event = "upkeep_failed",
                    of = what,
                    %error,
                    "a round of upkeep failed; it is tried again"
                ),
                Err(error) => tracing::error!(
                    event = "upkeep_failed",
                    of = what,
                    %error,
                    "a round of upkeep failed; it is tried again"
                ),
            }
        }
    })
}
