//! Medians and spread.

use std::time::Duration;

/// Samples of one subject.
#[derive(Default)]
pub struct Figures {
    samples: Vec<Duration>,
}

impl Figures {
    pub fn add(&mut self, sample: Duration) {
        self.samples.push(sample);
    }

    pub fn add_all(&mut self, others: Self) {
        self.samples.extend(others.samples);
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The sample that `percent` of them do not exceed.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let index = (sorted.len().saturating_sub(1)) * percent / 100;
        sorted.get(index).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1000.0)
    }
}
