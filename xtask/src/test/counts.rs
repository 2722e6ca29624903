//! How many tests ran, read from what cargo's tests and pytest print, which is shown as it comes.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Started, until_end_within};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    /// Of cargo's tests those that are ignored, of pytest's those that could not run here.
    pub skipped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// What a line says of the tests of a program: `test result: ok. 3 passed; 0 failed; 1 ignored; …` of libtest,
    /// `3 passed, 1 skipped in 2.50s` of pytest.
    pub fn of_line(line: &str) -> Option<Self> {
        let line = line.trim();
        let parts = match line.split_once("test result: ") {
            Some((_, result)) => result.split_once(". ")?.1,
            None => line.split_once(" in ").filter(|(_, time)| time.contains('s'))?.0,
        };
        let mut counts = Self::default();
        let mut is_result = false;
        for part in parts.split([';', ',']) {
            let Some((number, what)) = part.trim().trim_start_matches('=').trim().split_once(' ')
            else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what.trim() {
                "passed" => counts.passed += number,
                "failed" | "error" | "errors" => counts.failed += number,
                "skipped" | "ignored" => counts.skipped += number,
                _ => continue,
            }
            is_result = true;
        }
        is_result.then_some(counts)
    }
}

/// Runs it with its output shown line by line, and adds what it says of its tests.
///
/// # Errors
/// When it fails, takes longer, or a signal comes.
pub fn run_counting(command: &mut Command, patience: Duration, counts: &mut Counts) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let started = Started::new(command.stdout(Stdio::from(writer)));
    // The command keeps its end of the pipe, which would never end.
    command.stdout(Stdio::null());
    let mut started = started?;
    let shown = std::thread::spawn(move || {
        let (mut all, mut is_empty) = (Counts::default(), false);
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            let counts = Counts::of_line(&line);
            all.add(counts.unwrap_or_default());
            // A third of cargo's test programs have no test.
            is_empty = match line.trim() {
                "running 0 tests" => true,
                "" => is_empty,
                _ if is_empty && counts == Some(Counts::default()) => false,
                _ => {
                    println!("{line}");
                    false
                }
            };
        }
        all
    });
    let ended = until_end_within(&mut started, patience);
    drop(started);
    counts.add(shown.join().ok().context("what it printed")?);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<(u64, u64, u64)>) {
        let expected = expected.map(|(passed, failed, skipped)| Counts { passed, failed, skipped });
        assert_eq!(Counts::of_line(line), expected, "{line}");
    }

    #[test]
    fn the_lines_of_both_kinds_of_tests_are_understood() {
        let libtest = "test result: ok. 66 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 13.11s";
        check(libtest, Some((66, 1, 2)));
        check("  [    9.1] test result: FAILED. 3 passed; 1 failed; 0 ignored", Some((3, 1, 0)));
        check("250 passed, 2 skipped in 307.27s (0:05:07)", Some((250, 0, 2)));
        check("==== 1 failed, 249 passed, 1 error in 10.00s ====", Some((249, 2, 0)));
        check("running 66 tests", None);
        check("1.50s call     tests/clients/test_restart.py::test_it", None);
        check("the guest passed in 3 s", None);
        check("", None);
    }
}
