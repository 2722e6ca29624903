//! What a campaign did and saw: its rounds, its faults, and the verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// Enough to see what is wrong.
const FAULTS_MAX: usize = 20;
/// How often it says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);

/// The books of one campaign.
#[derive(Debug)]
pub struct Ledger {
    name: &'static str,
    seed: u64,
    ends: Option<Instant>,
    said: Instant,
    minutes: u64,
    rounds: u64,
    faults: usize,
    counts: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub fn new(name: &'static str, seed: u64, minutes: u64) -> Self {
        Self {
            name,
            seed,
            ends: None,
            said: Instant::now(),
            minutes,
            rounds: 0,
            faults: 0,
            counts: BTreeMap::new(),
        }
    }

    /// Whether another round is to be begun: there is time, at least for the first, and there are not
    /// too many faults already. The time runs from the first call.
    ///
    /// # Errors
    /// When a signal asked to end.
    pub fn goes_on(&mut self) -> Result<bool> {
        interrupt::check()?;
        let now = Instant::now();
        let ends = *self.ends.get_or_insert(now + Duration::from_secs(self.minutes * 60));
        if self.faults >= FAULTS_MAX || (self.rounds > 0 && now >= ends) {
            return Ok(false);
        }
        if now >= self.said + PROGRESS_EVERY {
            self.said = now;
            println!("so far {}", self.verdict());
        }
        self.rounds += 1;
        Ok(true)
    }

    /// Notes what should not have been, and says it at once.
    pub fn fault(&mut self, what: impl AsRef<str>) {
        self.faults += 1;
        println!("fault in round {} of seed {}: {}", self.rounds, self.seed, what.as_ref());
    }

    /// Counts things that the verdict is to name beside the rounds, such as acknowledged writes.
    pub fn count(&mut self, what: &'static str, more: u64) {
        *self.counts.entry(what).or_default() += more;
    }

    /// The verdict: the last line.
    ///
    /// # Errors
    /// When there were faults.
    pub fn close(self) -> Result<()> {
        println!("{}", self.verdict());
        if self.faults > 0 {
            bail!("the campaign showed faults");
        }
        Ok(())
    }

    pub fn has_counted(&self, what: &str) -> bool {
        self.counts.contains_key(what)
    }

    fn verdict(&self) -> String {
        let Self { name, seed, rounds, faults, counts, .. } = self;
        let mut verdict = format!("campaign {name}: {rounds} rounds, {faults} faults, seed {seed}");
        for (what, count) in counts {
            verdict += &format!(", {count} {what}");
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_at_least_and_the_verdict_says_all() {
        let mut ledger = Ledger::new("kill", 7, 0);
        assert!(ledger.goes_on().unwrap());
        assert!(!ledger.goes_on().unwrap());
        ledger.count("writes", 3);
        assert_eq!(ledger.verdict(), "campaign kill: 1 rounds, 0 faults, seed 7, 3 writes");
        ledger.fault("a write is lost");
        assert!(ledger.close().is_err());
    }

    #[test]
    fn too_many_faults_end_it() {
        let mut ledger = Ledger::new("kill", 7, 60);
        while ledger.goes_on().unwrap() {
            ledger.fault("again");
        }
        assert_eq!(ledger.faults, FAULTS_MAX);
    }
}
