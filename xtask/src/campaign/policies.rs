//! Requests with policies by chance, decided by the crate and by the naive evaluator of its tests: the answers and their
//! reasons have to be the same. Ten rounds are ten million decisions.
//!
//! **Invariant**: a round is the comparison of `crates/policy` as it is among the tests, with more decisions and another seed.

use std::process::Command;

use anyhow::{Context, Result};

use super::Course;
use super::escape::last_lines;
use crate::interrupt;

/// Decisions in a round; some fifteen seconds with optimisation.
const DECISIONS: u64 = 1_000_000;

pub fn run(course: &mut Course) -> Result<()> {
    while course.ledger.goes_on()? {
        let seed = course.random.next() >> 24;
        round(course, seed)?;
        course.ledger.count("decisions", DECISIONS);
    }
    Ok(())
}

fn round(course: &mut Course, seed: u64) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut test = Command::new(cargo);
    test.current_dir(course.repository)
        .args(["test", "--quiet", "--release", "--package", "outport-policy", "--test", "policy"])
        .arg("against_naive::")
        .env("OUTPORT_TEST_DECISIONS", DECISIONS.to_string())
        .env("OUTPORT_TEST_SEED", seed.to_string());
    let done = test.output().context("cannot start cargo")?;
    interrupt::check()?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stdout);
        course.ledger.fault(format!("from seed {seed} on: {}", last_lines(&text)));
    }
    Ok(())
}
