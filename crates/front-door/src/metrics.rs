//! Counts what the front door does, for `GET /_outport/metrics` in Prometheus's text form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Label sets of one metric, at most; what comes later is counted under `other`.
const SERIES_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RequestLabels {
    service: &'static str,
    operation: &'static str,
    /// `200`, or the error code.
    code: String,
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    counts: [u64; BUCKETS.len()],
    count: u64,
    sum_seconds: f64,
}

/// Counters and latencies of requests. Cheap to update; names of services and operations come from
/// the models, so that a stranger cannot make up series.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<RequestLabels, u64>>,
    latencies: Mutex<BTreeMap<(&'static str, &'static str), Histogram>>,
    connections: AtomicI64,
    requests_in_flight: AtomicI64,
}

/// Lowers a gauge when it is dropped.
pub(crate) struct GaugeGuard<'a>(&'a AtomicI64);

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn connection(&self) -> GaugeGuard<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(&self.connections)
    }

    pub(crate) fn request_in_flight(&self) -> GaugeGuard<'_> {
        self.requests_in_flight.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(&self.requests_in_flight)
    }

    pub(crate) fn record(
        &self,
        service: &'static str,
        operation: &'static str,
        code: &str,
        took: Duration,
    ) {
        let mut labels = RequestLabels { service, operation, code: code.to_owned() };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= SERIES_MAX && !requests.contains_key(&labels) {
            labels.code = "other".to_owned();
        }
        *requests.entry(labels).or_default() += 1;
        drop(requests);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = latencies.entry((service, operation)).or_default();
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            histogram.counts[bucket] += 1;
        }
        histogram.count += 1;
        histogram.sum_seconds += seconds;
    }

    /// All metrics as Prometheus's text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.write_gauges(&mut text);
        self.write_requests(&mut text);
        self.write_latencies(&mut text);
        text
    }

    fn write_gauges(&self, text: &mut String) {
        for (name, help, gauge) in [
            ("outport_connections", "Open connections.", &self.connections),
            ("outport_requests_in_flight", "Requests being answered.", &self.requests_in_flight),
        ] {
            let value = gauge.load(Ordering::Relaxed);
            push(text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
    }

    fn write_requests(&self, text: &mut String) {
        text.push_str(
            "# HELP outport_requests_total Requests answered, by code.\n\
             # TYPE outport_requests_total counter\n",
        );
        // A copy: every answer waits for the lock.
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (RequestLabels { service, operation, code }, count) in requests.iter() {
            let code = escaped(code);
            push(
                text,
                format_args!(
                    "outport_requests_total{{service=\"{service}\",operation=\"{operation}\",\
                     code=\"{code}\"}} {count}\n"
                ),
            );
        }
    }

    fn write_latencies(&self, text: &mut String) {
        text.push_str(
            "# HELP outport_request_seconds Time from the head of a request to its answer.\n\
             # TYPE outport_request_seconds histogram\n",
        );
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((service, operation), histogram) in latencies.iter() {
            let labels = format!("service=\"{service}\",operation=\"{operation}\"");
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(histogram.counts) {
                below += count;
                push(
                    text,
                    format_args!(
                        "outport_request_seconds_bucket{{{labels},le=\"{bound}\"}} {below}\n"
                    ),
                );
            }
            let Histogram { count, sum_seconds, .. } = histogram;
            push(
                text,
                format_args!(
                    "outport_request_seconds_bucket{{{labels},le=\"+Inf\"}} {count}\n\
                     outport_request_seconds_sum{{{labels}}} {sum_seconds}\n\
                     outport_request_seconds_count{{{labels}}} {count}\n"
                ),
            );
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::default();
        let connection = metrics.connection();
        metrics.record("ecs", "RunTask", "200", Duration::from_millis(3));
        metrics.record("ecs", "RunTask", "200", Duration::from_secs(60));
        metrics.record("ecs", "RunTask", "A\"B", Duration::from_millis(1));
        let text = metrics.render();
        for line in [
            "outport_connections 1",
            r#"outport_requests_total{service="ecs",operation="RunTask",code="200"} 2"#,
            r#"outport_requests_total{service="ecs",operation="RunTask",code="A\"B"} 1"#,
            r#"outport_request_seconds_bucket{service="ecs",operation="RunTask",le="0.001"} 1"#,
            r#"outport_request_seconds_bucket{service="ecs",operation="RunTask",le="0.005"} 2"#,
            r#"outport_request_seconds_bucket{service="ecs",operation="RunTask",le="10"} 2"#,
            r#"outport_request_seconds_bucket{service="ecs",operation="RunTask",le="+Inf"} 3"#,
            r#"outport_request_seconds_count{service="ecs",operation="RunTask"} 3"#,
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
        drop(connection);
        assert!(metrics.render().contains("outport_connections 0\n"));
    }

    #[test]
    fn strangers_cannot_make_series_without_end() {
        let metrics = Metrics::default();
        for number in 0..SERIES_MAX + 10 {
            metrics.record("ecs", "", &number.to_string(), Duration::ZERO);
        }
        assert_eq!(metrics.requests.lock().unwrap().len(), SERIES_MAX + 1);
    }
}
