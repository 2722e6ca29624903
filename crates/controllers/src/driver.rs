//! Runs the controllers, each in a loop of its own, so that one that is slow or broken stops no other.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{counter, histogram};
use outport_model::TimestampMs;
use outport_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use crate::{Controller, Extent};

/// A controller looks at everything at least this often, told or not.
const FULL_PASS_INTERVAL: Duration = Duration::from_secs(10);
/// The wait after a pass that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The running loops. Dropping it stops them at their next wait.
pub struct Driver {
    stop: watch::Sender<bool>,
    loops: Vec<JoinHandle<()>>,
}

impl Driver {
    /// Starts a loop for each controller on the current tokio runtime.
    pub fn start(store: &Store, controllers: Vec<Box<dyn Controller>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let loops = controllers
            .into_iter()
            .map(|controller| tokio::spawn(run(controller, store.clone(), stopped.clone())))
            .collect();
        Self { stop, loops }
    }

    /// Lets every pass that is under way finish, and starts no other.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for running in self.loops {
            if let Err(error) = running.await {
                tracing::error!(
                    event = "controller_loop_failed",
                    %error,
                    "the loop of a controller failed as it stopped"
                );
            }
        }
    }
}

async fn run(
    mut controller: Box<dyn Controller>,
    store: Store,
    mut stopped: watch::Receiver<bool>,
) {
    let mut full_pass_at = Instant::now();
    loop {
        let extent = if Instant::now() >= full_pass_at { Extent::All } else { Extent::Touched };
        if extent == Extent::All {
            full_pass_at = Instant::now() + FULL_PASS_INTERVAL;
        }
        let again_at = Instant::now() + pass(controller.as_mut(), &store, extent).await;
        tokio::select! {
            // The sender's end means the driver is gone.
            _ = stopped.wait_for(|stop| *stop) => return,
            () = controller.news() => {}
            () = tokio::time::sleep_until(again_at.min(full_pass_at)) => {}
        }
    }
}

/// One pass; how long to wait for the next.
async fn pass(controller: &mut dyn Controller, store: &Store, extent: Extent) -> Duration {
    let name = controller.name();
    let span =
        tracing::error_span!("pass", controller = name, extent = extent.as_str(), keys = Empty);
    let begun = Instant::now();
    let activation = AssertUnwindSafe(controller.activate(store, extent)).catch_unwind();
    let outcome = activation.instrument(span).await;
    histogram!(
        "outport_controller_pass_seconds",
        "controller" => name,
        "extent" => extent.as_str(),
    )
    .record(begun.elapsed());
    // Counted from the first pass on: one that is not there yet cannot be watched.
    let failures = u64::from(!matches!(outcome, Ok(Ok(_))));
    counter!("outport_controller_failures_total", "controller" => name).increment(failures);
    match outcome {
        Ok(Ok(again_at_ms)) => pause_until(again_at_ms, store.now_ms()),
        Ok(Err(fault)) => {
            tracing::error!(
                event = "controller_pass_failed",
                controller = name,
                detail = fault.detail,
                "a pass of a controller failed; the next one tries again"
            );
            RETRY_AFTER
        }
        Err(_) => {
            tracing::error!(
                event = "controller_pass_panicked",
                controller = name,
                "a pass of a controller panicked; the next one tries again"
            );
            RETRY_AFTER
        }
    }
}

fn pause_until(again_at_ms: Option<TimestampMs>, now_ms: TimestampMs) -> Duration {
    let Some(again_at_ms) = again_at_ms else { return FULL_PASS_INTERVAL };
    let wait_ms = u64::try_from(again_at_ms - now_ms).unwrap_or(0).max(1);
    Duration::from_millis(wait_ms).min(FULL_PASS_INTERVAL)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use outport_model::account_setting::AccountSetting;
    use outport_model::{AccountId, Region, Scope};
    use outport_store::keys::AccountSettingKey;
    use outport_store::{Fault, ManualClock, SeededIds, TouchedRows};

    use super::*;

    /// Writes down how many rows it has seen, once it was told that it may.
    struct Counting {
        rows_seen: watch::Sender<usize>,
        touched: TouchedRows<AccountSettingKey>,
    }

    #[async_trait]
    impl Controller for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }
        async fn news(&mut self) {
            self.touched.changed().await;
        }
        async fn activate(
            &mut self,
            store: &Store,
            _extent: Extent,
        ) -> Result<Option<TimestampMs>, Fault> {
            self.touched.take();
            self.rows_seen.send_replace(store.snapshot().account_settings.len());
            Ok(None)
        }
    }

    struct Panicking {
        passes: Arc<AtomicUsize>,
        touched: TouchedRows<AccountSettingKey>,
    }

    #[async_trait]
    impl Controller for Panicking {
        fn name(&self) -> &'static str {
            "panicking"
        }
        async fn news(&mut self) {
            self.touched.changed().await;
        }
        async fn activate(
            &mut self,
            _store: &Store,
            _extent: Extent,
        ) -> Result<Option<TimestampMs>, Fault> {
            self.touched.take();
            self.passes.fetch_add(1, Ordering::SeqCst);
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
        let passes = Arc::new(AtomicUsize::new(0));
        let touched = || store.touched_rows::<AccountSetting>();
        let panicking = Panicking { passes: passes.clone(), touched: touched() };
        let counting = Counting { rows_seen, touched: touched() };
        let driver = Driver::start(&store, vec![Box::new(panicking), Box::new(counting)]);
        for index in 1..=20 {
            let put = store.write(|tx| {
                tx.put(row(index));
                Ok::<_, ()>(())
            });
            put.await.unwrap();
            seen.wait_for(|rows| *rows == index).await.unwrap();
        }
        assert!(passes.load(Ordering::SeqCst) > 1, "it is tried again");
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
