//! How long log lines of this node have waited for the control plane.
//!
//! **Invariant:** a log counts from the first line that was read and not delivered until that line is; its shipper may end
//! and begin anew meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use outport_model::{TaskId, TimestampMs};

use crate::control_plane::now_ms;

/// How often the gauge is set.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

type Log = (TaskId, String);

/// The logs that have lines which wait, and since when their oldest one does.
#[derive(Default)]
pub struct LogLag(Mutex<HashMap<Log, TimestampMs>>);

impl LogLag {
    /// A line of `since_ms` is the oldest that waits.
    pub fn waits(&self, task: &TaskId, container: &str, since_ms: TimestampMs) {
        self.lock().insert((task.clone(), container.to_owned()), since_ms);
    }

    /// All that was read is delivered, or nobody wants it any more.
    pub fn is_over(&self, task: &TaskId, container: &str, lines: usize) {
        counter!("outport_log_lines_delivered_total").increment(lines as u64);
        self.lock().remove(&(task.clone(), container.to_owned()));
    }

    /// Sets the gauge from now on; ends when it is dropped.
    pub async fn keep_measuring(&self) {
        loop {
            let lag_ms = self.lag_ms(now_ms());
            gauge!("outport_log_lag_seconds").set(lag_ms as f64 / 1_000.0);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// 0 when nothing waits.
    fn lag_ms(&self, now_ms: TimestampMs) -> i64 {
        let oldest = self.lock().values().min().copied();
        oldest.map_or(0, |oldest| (now_ms - oldest).max(0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Log, TimestampMs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_line_that_waits_counts() {
        let lag = LogLag::default();
        let (one, other) = (TaskId::new("1"), TaskId::new("2"));
        assert_eq!(lag.lag_ms(5_000), 0);
        lag.waits(&one, "app", 3_000);
        lag.waits(&other, "app", 4_000);
        assert_eq!(lag.lag_ms(5_000), 2_000);
        lag.is_over(&one, "app", 1);
        assert_eq!(lag.lag_ms(5_000), 1_000);
        assert_eq!(lag.lag_ms(3_000), 0, "a clock that was set back");
    }
}
