//! What the data planes want done from time to time.

use std::sync::Arc;
use std::time::Duration;

use outport_image_registry::Registry;
use outport_log_store::LogStore;
use outport_store::Store;
use tokio::task::JoinHandle;

/// Retention and space of the logs.
const LOG_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Unreferenced blobs; the first round also removes what a crash left.
const REGISTRY_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Starts the rounds; each ends when its handle is aborted.
pub fn start(store: Store, logs: Arc<LogStore>, registry: Arc<Registry>) -> [JoinHandle<()>; 2] {
    let logs = every(LOG_INTERVAL, "the logs", move || {
        logs.maintain().map(drop).map_err(|error| error.to_string())
    });
    let registry = every(REGISTRY_INTERVAL, "the registry", move || {
        registry.collect_garbage(&store.now()).map(drop).map_err(|error| error.to_string())
    });
    [logs, registry]
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
                Ok(Err(error)) => tracing::error!(%error, "upkeep of {what} failed"),
                Err(error) => tracing::error!(%error, "upkeep of {what} failed"),
            }
        }
    })
}
