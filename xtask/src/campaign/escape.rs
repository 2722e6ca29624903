//! The tests of escapes and of races between containers, round after round, and shapes of running out of memory that
//! a seed draws.
//!
//! **Invariant**: a round is the tests of `crates/container-runtime` as they are: what they show is shown
//! by them alone, too.

use std::process::Command;

use anyhow::{Context, Result};

use super::Course;
use crate::{interrupt, setup};

/// The modules of the tests that are about what a container, or an image, must not be able to do.
const MODULES: [&str; 7] = [
    "escapes::",
    "races::",
    "hostile_images::",
    "isolation::",
    "default_profile::",
    "system_calls::",
    "privacy::",
];

/// Shapes of running out of memory in a round; some fifteen seconds.
const SHAPES: u64 = 50;

pub fn run(course: &mut Course) -> Result<()> {
    setup::require_root()?;
    setup::install_packages(&[])?;
    while course.ledger.goes_on()? {
        // One round in three: there are more of them to see than of the others.
        if course.random.below(3) == 0 {
            let first = course.random.next() >> 20 << 20;
            let drawn = [("OUTPORT_OOM_SHAPES", SHAPES), ("OUTPORT_OOM_SEED", first)];
            round(course, "oom_shapes::", 1, &drawn)?;
            course.ledger.count("shapes of running out of memory", SHAPES);
            continue;
        }
        let module = *course.random.pick(&MODULES).context("there are some")?;
        let threads = 1 + course.random.below(4);
        round(course, module, threads, &[])?;
        course.ledger.count(module_rounds(module), 1);
    }
    Ok(())
}

fn round(course: &mut Course, module: &str, threads: u64, drawn: &[(&str, u64)]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut test = Command::new(cargo);
    test.current_dir(course.repository)
        // Of the whole workspace, as the tests build it.
        .args(["test", "--quiet", "--workspace", "--test", "containers"])
        .args([module, "--", "--test-threads", &threads.to_string()])
        .envs(drawn.iter().map(|(name, value)| (name, value.to_string())));
    let done = test.output().context("cannot start cargo")?;
    interrupt::check()?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stdout);
        course.ledger.fault(format!("{module} {drawn:?}: {}", last_lines(&text)));
    }
    Ok(())
}

/// What the verdict calls a module's rounds.
fn module_rounds(module: &str) -> &'static str {
    match module {
        "races::" => "rounds of races",
        "hostile_images::" => "rounds of hostile images",
        _ => "rounds of escapes and profiles",
    }
}

/// What a test program said last, which is why it failed.
pub(super) fn last_lines(text: &str) -> String {
    const LINES_MAX: usize = 20;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
