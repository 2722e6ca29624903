//! Counts what the front door does.
//!
//! **Invariant:** names of services and operations come from the models, and there are at most [`SERIES_MAX`] of their
//! codes, so that a stranger cannot make up series. What is counted for each request is looked up once, and kept.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::slots::Slots;

/// Codes of all operations together, at most; what comes later is counted under `other`.
const SERIES_MAX: usize = 4096;
const OTHER: &str = "other";
pub(crate) struct Requests {
    in_flight: Gauge,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// By service and operation.
    operations: HashMap<(&'static str, &'static str), OfOperation>,
    series: usize,
}

struct OfOperation {
    seconds: Histogram,
    /// By `200`, or the error code.
    codes: HashMap<String, Counter>,
}

/// Lowers the gauge when it is dropped.
pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Requests {
    /// Counts with the recorder that is there now.
    pub(crate) fn new() -> Self {
        Self { in_flight: gauge!("outport_requests_in_flight"), known: RwLock::default() }
    }

    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.increment(1.0);
        InFlight(&self.in_flight)
    }

    pub(crate) fn answered(
        &self,
        service: &'static str,
        operation: &'static str,
        code: &str,
        took: Duration,
    ) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.count(service, operation, code, took) {
            return;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let code = known.learn(service, operation, code);
        known.count(service, operation, code, took);
    }
}

impl Known {
    /// False when the code is not known yet.
    fn count(
        &self,
        service: &'static str,
        operation: &'static str,
        code: &str,
        took: Duration,
    ) -> bool {
        let Some(of) = self.operations.get(&(service, operation)) else { return false };
        let Some(counter) = of.codes.get(code) else { return false };
        counter.increment(1);
        of.seconds.record(took);
        true
    }

    /// The code under which it is counted.
    fn learn<'a>(
        &mut self,
        service: &'static str,
        operation: &'static str,
        code: &'a str,
    ) -> &'a str {
        let code = if self.series < SERIES_MAX { code } else { OTHER };
        let of = self.operations.entry((service, operation)).or_insert_with(|| OfOperation {
            seconds: histogram!(
                "outport_request_seconds",
                "service" => service,
                "operation" => operation,
            ),
            codes: HashMap::new(),
        });
        if !of.codes.contains_key(code) {
            self.series += 1;
            let counter = counter!(
                "outport_requests_total",
                "service" => service,
                "operation" => operation,
                "code" => code.to_owned(),
            );
            of.codes.insert(code.to_owned(), counter);
        }
        code
    }
}

/// Sets what there is of each kind of connection.
pub(crate) fn connections(slots: &Slots) {
    for (kind, count) in slots.kinds() {
        gauge!("outport_connections", "kind" => kind).set(count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_make_series_without_end() {
        let requests = Requests::new();
        for number in 0..SERIES_MAX + 10 {
            requests.answered("ecs", "", &number.to_string(), Duration::ZERO);
        }
        let known = requests.known.read().unwrap();
        let codes = &known.operations[&("ecs", "")].codes;
        assert_eq!(codes.len(), SERIES_MAX + 1);
        assert!(codes.contains_key(OTHER));
    }
}
