//! Runs seeds. `OUTPORT_SIMULATION_SEED=7` runs one, `OUTPORT_SIMULATION_SEEDS=10000` so many.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failed seed is to be seen")]

use outport_simulation::{Happened, World};

/// In every test run; a few seconds.
const SEEDS: u64 = 30;

#[test]
fn every_seed_comes_to_rest() {
    if let Some(seed) = number("OUTPORT_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let seeds = number("OUTPORT_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let mut all = Happened::default();
    for happened in (1..=seeds).map(run) {
        all.tasks_that_ran += happened.tasks_that_ran;
        all.clock_steps += happened.clock_steps;
        all.suspends += happened.suspends;
    }
    println!("{seeds} seeds came to rest: {all:?}");
    let each = [all.tasks_that_ran, all.clock_steps, all.suspends];
    assert!(each.into_iter().all(|count| count as u64 > seeds), "the worlds are lively: {all:?}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

fn run(seed: u64) -> Happened {
    // Printed with the panic of whatever check fails.
    let _guard = Said(seed);
    World::new(seed).run()
}

struct Said(u64);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: run again with OUTPORT_SIMULATION_SEED={}", self.0);
        }
    }
}
