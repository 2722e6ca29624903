//! What the front doors of one test count. A test has one thread, so its recorder is the thread's.

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Counts until it is dropped.
pub type Recording = LocalRecorderGuard<'static>;

pub fn record() -> (PrometheusHandle, Recording) {
    // As long as the guard, which a test keeps to its end.
    let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
    (recorder.handle(), metrics::set_default_local_recorder(recorder))
}
