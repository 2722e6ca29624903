//! The tests of escapes and of races between containers, round after round, and the shapes that a seed
//! draws for them.
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

pub fn run(course: &mut Course) -> Result<()> {
    setup::require_root()?;
    setup::install_packages(&[])?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    while course.ledger.goes_on()? {
        let module = *course.random.pick(&MODULES).context("there are some")?;
        let mut test = Command::new(&cargo);
        test.current_dir(course.repository)
            .args(["test", "--quiet", "-p", "outport-container-runtime", "--test", "containers"])
            .args([module, "--", "--test-threads", &(1 + course.random.below(4)).to_string()])
            .env("OUTPORT_TEST_SEED", course.random.next().to_string());
        let done = test.output().context("cannot start cargo")?;
        interrupt::check()?;
        if !done.status.success() {
            let text = String::from_utf8_lossy(&done.stdout);
            course.ledger.fault(format!("{module}: {}", last_lines(&text)));
        }
        course.ledger.count(module_rounds(module), 1);
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

fn last_lines(text: &str) -> String {
    const LINES_MAX: usize = 20;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
