//! Layers that were made to break out, or to cost too much: the tests of the image store that draw them, with
//! many more and other seeds, and its crafted ones once.
//!
//! **Invariant**: the generator is the tests' own: what a round finds, `OUTPORT_LAYERS=1
//! OUTPORT_LAYERS_SEED=<seed> cargo test -p outport-image-store --test random_layers` finds again.

use std::process::Command;

use anyhow::{Context, Result};

use super::Course;
use crate::process::output;
use crate::setup;

/// Layers of one round; some seconds.
const LAYERS: u64 = 2000;

pub fn run(course: &mut Course) -> Result<()> {
    setup::require_root()?;
    let mut crafted = true;
    while course.ledger.goes_on()? {
        if std::mem::take(&mut crafted) {
            round(course, "hostile_layers", &[], "crafted layers")?;
        }
        // A round's seeds follow each other: they must not meet those of another.
        let first = course.random.next() >> 20 << 20;
        let drawn = [("OUTPORT_LAYERS", LAYERS), ("OUTPORT_LAYERS_SEED", first)];
        round(course, "random_layers", &drawn, "random layers")?;
    }
    Ok(())
}

/// Runs one of the store's tests. A failure is a fault; what it says names the seed of its layer.
fn round(course: &mut Course, test: &str, drawn: &[(&str, u64)], what: &'static str) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(course.repository);
    cargo.args(["test", "--workspace", "--test", test, "--", "--nocapture"]);
    cargo.envs(drawn.iter().map(|(name, value)| (name, value.to_string())));
    match output(&mut cargo) {
        Ok(said) => {
            let line = said.lines().find(|line| line.contains(" unpacked"));
            let line = line.context("the test says how many layers it drew")?;
            println!("{}", line.trim());
            let number = line.split_whitespace().find_map(|word| word.parse().ok());
            course.ledger.count(what, number.context("a number of layers")?);
        }
        Err(error) => course.ledger.fault(format!("{test} with {drawn:?}: {error:#}")),
    }
    Ok(())
}
