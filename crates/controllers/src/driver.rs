//! Runs the controllers, each in a loop of its own, so that one that is slow or broken stops no other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use outport_model::TimestampMs;
use outport_store::{Store, Watch};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Controller;

/// A controller looks at the world at least this often, told or not.
const PASS_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// The wait after a pass that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The running loops. Dropping it stops them at their next wait.
pub struct Driver {
    stop: watch::Sender<bool>,
    loops: Vec<JoinHandle<()>>,
}

impl Driver {
    /// Starts a loop for each controller on the current tokio runtime.
    pub fn start(store: &Store, controllers: Vec<Arc<dyn Controller>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let loops = controllers
            .into_iter()
            .map(|controller| {
                tokio::spawn(run(controller, store.clone(), store.watch(), stopped.clone()))
            })
            .collect();
        Self { stop, loops }
    }

    /// Lets every pass that is under way finish, and starts no other.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for running in self.loops {
            if let Err(error) = running.await {
                tracing::error!(%error, "a controller's loop did not end well");
            }
        }
    }
}

async fn run(
    controller: Arc<dyn Controller>,
    store: Store,
    mut commits: Watch,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        // Marks the commits until now as seen before looking: one that comes meanwhile wakes again.
        commits.version();
        let pause = pass(controller.as_ref(), &store).await;
        let commit = async {
            if controller.wakes_on_commit() {
                commits.changed().await
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            // The sender's end means the driver is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
            outcome = commit => if outcome.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One pass; how long to wait for the next.
async fn pass(controller: &dyn Controller, store: &Store) -> Duration {
    let name = controller.name();
    match AssertUnwindSafe(controller.activate(store)).catch_unwind().await {
        Ok(Ok(again_at_ms)) => pause_until(again_at_ms, store.now_ms()),
        Ok(Err(fault)) => {
            tracing::error!(controller = name, detail = fault.detail, "a pass failed");
            RETRY_AFTER
        }
        Err(_) => {
            tracing::error!(controller = name, "a pass panicked");
            RETRY_AFTER
        }
    }
}

fn pause_until(again_at_ms: Option<TimestampMs>, now_ms: TimestampMs) -> Duration {
    let Some(again_at_ms) = again_at_ms else { return PASS_INTERVAL_MAX };
    let wait_ms = u64::try_from(again_at_ms - now_ms).unwrap_or(0).max(1);
    Duration::from_millis(wait_ms).min(PASS_INTERVAL_MAX)
}
