//! The steps of a chore, as they are said: which of how many, what it is, and when it began.

use std::time::Instant;

pub struct Steps {
    began: Instant,
    number: usize,
    of: usize,
}

impl Steps {
    pub fn new(of: usize) -> Self {
        Self { began: Instant::now(), number: 0, of }
    }

    pub fn begin(&mut self, what: &str) {
        self.number += 1;
        let (number, of) = (self.number, self.of);
        println!("==> step {number} of {of}: {what} ({} s)", self.seconds());
    }

    /// Since the chore began.
    pub fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}
