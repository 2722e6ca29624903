//! Steps of the wall clock, by an hour, a day and a year, and suspends, in worlds of the simulation: no
//! clock of this machine is touched.
//!
//! A round is a world of its own, from a seed of its own. In each somebody sets the clock a handful of
//! times, and its invariants say that no task is given up but for silence.

use std::process::Command;

use anyhow::Result;

use super::Course;
use crate::process::output;

pub fn run(course: &mut Course) -> Result<()> {
    // A world's seed is short enough to be typed again.
    const SEEDS: u64 = 1 << 40;
    while course.ledger.goes_on()? {
        let seed = course.random.below(SEEDS);
        let mut world = Command::new("cargo");
        world
            .args(["test", "--quiet", "--workspace", "--test", "seeds"])
            .env("OUTPORT_SIMULATION_SEED", seed.to_string())
            .current_dir(course.repository);
        if let Err(error) = output(&mut world) {
            crate::interrupt::check()?;
            course.ledger.fault(format!("OUTPORT_SIMULATION_SEED={seed}: {error:#}"));
        }
    }
    Ok(())
}
