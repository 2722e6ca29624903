//! Runs seeds: the same thirty always, and some that the commit chooses, so that each commit sees new worlds and a run of
//! it can be repeated. `OUTPORT_SIMULATION_SEED=7` runs one, `OUTPORT_SIMULATION_SEEDS=10000` so many.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failed seed is to be seen")]

use outport_simulation::wish::OPERATIONS;
use outport_simulation::{Happened, World};

/// In every test run; a few seconds.
const SEEDS: u64 = 30;
/// Those that are of the commit.
const SEEDS_OF_THE_COMMIT: u64 = 20;

#[test]
fn every_seed_comes_to_rest() {
    if let Some(seed) = number("OUTPORT_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let seeds = number("OUTPORT_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let mut all = Happened::default();
    let of_commit = first_seed_of_the_commit();
    for happened in (1..=seeds).chain(of_commit..of_commit + SEEDS_OF_THE_COMMIT).map(run) {
        all.tasks_that_ran += happened.tasks_that_ran;
        all.clock_steps += happened.clock_steps;
        all.suspends += happened.suspends;
        for (operation, [taken, refused]) in happened.calls {
            let outcomes = all.calls.entry(operation).or_default();
            *outcomes = [outcomes[0] + taken, outcomes[1] + refused];
        }
    }
    println!("seeds 1 to {seeds} and {SEEDS_OF_THE_COMMIT} from {of_commit} came to rest: {all:?}");
    let each = [all.tasks_that_ran, all.clock_steps, all.suspends];
    assert!(each.into_iter().all(|count| count as u64 > seeds), "the worlds are lively: {all:?}");
    for operation in OPERATIONS {
        let taken = all.calls.get(operation).map_or(0, |outcomes| outcomes[0]);
        assert!(taken > 0, "{operation} never did anything: {all:?}");
    }
}

/// A seed of which nobody can see again what it saw is worth nothing.
#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [first_seed_of_the_commit(), 2] {
        let [first, second] = [(); 2].map(|()| World::new(seed).remembering_states().run());
        let is_same = |(first, second): (&u64, &u64)| first == second;
        let step = first.states.iter().zip(&second.states).position(|both| !is_same(both));
        assert_eq!(step, None, "seed {seed}: the step in which the runs part");
        assert_eq!(first, second, "seed {seed}");
    }
}

/// The first digits of the commit that is checked out; a tree without git has none of its own.
fn first_seed_of_the_commit() -> u64 {
    const DIGITS: usize = 8;
    let mut git = std::process::Command::new("git");
    let git = git.args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let commit = git.output().ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    let digits = commit.as_deref().and_then(|commit| commit.get(..DIGITS));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(SEEDS + 1)
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
            eprintln!(
                "failed: run again with OUTPORT_SIMULATION_SEED={} cargo test -p outport-simulation --test seeds",
                self.0
            );
        }
    }
}
