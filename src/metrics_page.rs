//! What `GET /_outport/metrics` shows: set up once, described, measured and rendered here; counted by whoever does the
//! work, with the `metrics` crate's macros.
//!
//! **Invariant:** every metric of the program is described here, and stands in `docs/operations/metrics.md`, which
//! `cargo xtask metrics` makes. Label values are words of the program or names of the models, never what a stranger sends.

use std::sync::Arc;

use anyhow::Result;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use outport_image_registry::Registry;
use outport_log_store::LogStore;
use outport_store::Store;

use crate::disk_watch::DiskWatch;
use crate::state_metrics;

/// Upper bounds of histograms of time, in seconds.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
/// Upper bounds of the writes of a commit.
const WRITES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 4096.0];

/// Counts from now on; once in a process.
///
/// # Errors
/// Somebody counts already.
pub fn install() -> Result<PrometheusHandle> {
    let recorder = builder()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    describe();
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let writes = Matcher::Full("outport_commit_writes".to_owned());
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS)?
        .set_buckets_for_metric(writes, &WRITES)?)
}

/// Renders the metrics, those included that are measured only when somebody asks.
#[derive(Clone)]
pub struct MetricsPage {
    handle: PrometheusHandle,
    measures: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl MetricsPage {
    pub fn new(handle: PrometheusHandle) -> Self {
        Self { handle, measures: Vec::new() }
    }

    /// Measures this, too, before each look.
    #[must_use]
    pub fn with(mut self, measure: impl Fn() + Send + Sync + 'static) -> Self {
        self.measures.push(Arc::new(measure));
        self
    }

    /// Prometheus's text exposition format, version 0.0.4. Blocks: it asks the disk.
    pub fn render(&self) -> String {
        for measure in &self.measures {
            measure();
        }
        self.handle.render()
    }

    /// Takes what histograms have collected into their buckets: to be done now and then, whether somebody looks or not.
    pub fn tidy_up(&self) {
        self.handle.run_upkeep();
    }
}

/// Of all parts of the control plane.
pub fn of_parts(
    handle: PrometheusHandle,
    store: &Store,
    logs: &Arc<LogStore>,
    registry: &Arc<Registry>,
    disk: &DiskWatch,
) -> MetricsPage {
    let (store, logs, registry) = (store.clone(), logs.clone(), registry.clone());
    of_disk(handle, disk)
        .with(move || {
            gauge!("outport_commit_queue_writes").set(store.writes_waiting() as f64);
            state_metrics::measure(&store);
        })
        .with(move || {
            // What they say then is what they said before; the disk's trouble is said by who needs it.
            let _measured = (logs.measure(), registry.measure());
        })
}

/// Of a node alone: what it counts itself, and its disk.
pub fn of_disk(handle: PrometheusHandle, disk: &DiskWatch) -> MetricsPage {
    let disk = disk.clone();
    MetricsPage::new(handle).with(move || disk.measure())
}

fn describe() {
    state_metrics::describe();
    describe_counter!(
        "outport_requests_total",
        "Requests answered, by code: 200 or so, or the error code."
    );
    describe_histogram!(
        "outport_request_seconds",
        Unit::Seconds,
        "From the head of a request to its answer; polls of nodes stand for half a minute."
    );
    describe_gauge!("outport_requests_in_flight", "Requests that are being answered.");
    describe_gauge!(
        "outport_connections",
        "Open connections: of strangers, of callers with a good signature, of nodes, upgraded ones, and those that end."
    );
    describe_histogram!(
        "outport_commit_seconds",
        Unit::Seconds,
        "Of each commit of the journal, how long its oldest write waited until it was on disk."
    );
    describe_histogram!("outport_commit_writes", "Writes that shared a commit.");
    describe_gauge!("outport_commit_queue_writes", "Writes that wait for the disk, at most 65536.");
    describe_histogram!(
        "outport_controller_pass_seconds",
        Unit::Seconds,
        "Passes of a controller, over all rows or those that were touched."
    );
    describe_counter!("outport_audit_events_total", "Events that the audit trail has.");
    describe_counter!(
        "outport_audit_events_lost_total",
        "Events that the audit trail does not have: its disk was full or slow."
    );
    describe_counter!("outport_controller_failures_total", "Passes that failed or panicked.");
    describe_gauge!(
        "outport_events_pending",
        "Events of EventBridge that wait for their delivery, at most 10000."
    );
    describe_counter!(
        "outport_events_delivered_total",
        "Events that a target of a rule has got, by kind of target."
    );
    describe_counter!(
        "outport_events_not_delivered_total",
        "Events that a target of a rule does not get any more, by what ended the tries."
    );
    describe_counter!(
        "outport_events_dropped_total",
        "Events that were not made because too many waited, by what they were to tell."
    );
    describe_gauge!("outport_node_polls_standing", "Polls of nodes that wait for news.");
    describe_counter!("outport_node_polls_total", "Polls of nodes that were answered.");
    describe_histogram!(
        "outport_launch_seconds",
        Unit::Seconds,
        "Steps of launches on this machine: attach (network, disk, control group), pull, create, start. Each container \
         has its own, but for attach."
    );
    describe_gauge!("outport_shims_running", "Containers of this machine whose shim runs.");
    describe_gauge!(
        "outport_log_lag_seconds",
        Unit::Seconds,
        "How long the oldest log line of this machine's containers waits to be delivered; 0 when none does."
    );
    describe_counter!(
        "outport_log_lines_delivered_total",
        "Log lines of this machine's containers that were delivered."
    );
    describe_counter!(
        "outport_log_damages_total",
        "Places in the log files of this machine's containers that could not be read."
    );
    describe_gauge!("outport_registry_uploads", "Uploads to the registry that are open.");
    describe_gauge!("outport_registry_blobs", "Blobs of the registry.");
    describe_gauge!("outport_registry_bytes", Unit::Bytes, "What its blobs take on disk.");
    describe_gauge!("outport_logs_bytes", Unit::Bytes, "What all log events take on disk.");
    describe_counter!(
        "outport_registry_received_bytes_total",
        Unit::Bytes,
        "Bytes of blobs that were pushed."
    );
    describe_counter!(
        "outport_registry_sent_bytes_total",
        Unit::Bytes,
        "Bytes of blobs that were pulled."
    );
    describe_gauge!(
        "outport_disk_free_bytes",
        Unit::Bytes,
        "Free bytes of the data directory's disk."
    );
    describe_gauge!("outport_disk_total_bytes", Unit::Bytes, "Size of the data directory's disk.");
    describe_gauge!("outport_disk_free_inodes", "Free inodes of the data directory's disk.");
    describe_gauge!(
        "outport_disk_low",
        "1 while pushes and log events are refused for lack of space."
    );
}
