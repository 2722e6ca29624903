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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use outport_model::account_setting::AccountSetting;
    use outport_model::{AccountId, Region, Scope};
    use outport_store::{Fault, ManualClock, SeededIds};

    use super::*;

    /// Writes down how many rows it has seen, once it was told that it may.
    struct Counting {
        rows_seen: watch::Sender<usize>,
    }

    #[async_trait]
    impl Controller for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }
        async fn activate(&self, store: &Store) -> Result<Option<TimestampMs>, Fault> {
            self.rows_seen.send_replace(store.snapshot().account_settings.len());
            Ok(None)
        }
    }

    #[derive(Default)]
    struct Panicking(AtomicUsize);

    #[async_trait]
    impl Controller for Panicking {
        fn name(&self) -> &'static str {
            "panicking"
        }
        async fn activate(&self, _store: &Store) -> Result<Option<TimestampMs>, Fault> {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("a bug");
        }
    }

    fn row(name: usize) -> AccountSetting {
        AccountSetting {
            scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
            principal_arn: "root".into(),
            name: name.to_string(),
            value: String::new(),
        }
    }

    #[tokio::test]
    async fn every_commit_is_seen_though_another_controller_panics() {
        let store = Store::in_memory(Arc::new(ManualClock::at(0)), Arc::new(SeededIds::new(1)));
        let (rows_seen, mut seen) = watch::channel(0);
        let panicking = Arc::new(Panicking::default());
        let counting = Arc::new(Counting { rows_seen });
        let driver = Driver::start(&store, vec![panicking.clone(), counting]);
        for index in 1..=20 {
            let put = store.write(|tx| {
                tx.put(row(index));
                Ok::<_, ()>(())
            });
            put.await.unwrap();
            seen.wait_for(|rows| *rows == index).await.unwrap();
        }
        assert!(panicking.0.load(Ordering::SeqCst) > 1, "it is tried again");
        driver.stop().await;
    }

    #[test]
    fn a_pause_is_never_longer_than_the_interval_and_never_none() {
        let check = |again_at_ms, expected_ms| {
            assert_eq!(pause_until(again_at_ms, 1_000), Duration::from_millis(expected_ms));
        };
        check(None, 10_000);
        check(Some(1_500), 500);
        check(Some(1_000), 1);
        check(Some(0), 1);
        check(Some(i64::MAX), 10_000);
    }
}
