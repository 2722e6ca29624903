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

    pub fn row(&self, name: &str) -> String {
        let [p5, p50, p95] = [5, 50, 95].map(|percent| self.percentile_ms(percent));
        let count = self.samples.len();
        format!("{name:<34} {p50:>9.1} {p5:>9.1} {p95:>9.1} {count:>6}")
    }
}

/// The head of a table of `Figures::row`.
pub fn head() -> String {
    format!("{:<34} {:>9} {:>9} {:>9} {:>6}", "", "median ms", "p5", "p95", "runs")
}
