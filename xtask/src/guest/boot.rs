//! Starting the guest, and reading its verdict.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::machine::{Machine, tail};
use super::root::{PROGRAM_FAILED, PROGRAM_PASSED};
use crate::test::Counts;

/// Emulation is 5 to 20 times slower than the machine.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Boots it; how many tests ran inside.
pub fn boot(kernel: &Path, archive: &Path, programs: usize) -> Result<Counts> {
    let began = Instant::now();
    let machine = Machine { kernel, initrd: archive, disk: None, options: "" };
    let mut counts = Counts::default();
    let console = machine.run(&archive.with_file_name("console.log"), PATIENCE, |line| {
        if line.contains("test result:") {
            println!("{line}");
            counts.add(Counts::of_line(line).unwrap_or_default());
        }
    })?;
    let said = |verdict| console.lines().filter(|line| line.contains(verdict)).count();
    if said(PROGRAM_PASSED) != programs || said(PROGRAM_FAILED) != 0 {
        bail!("tests failed in the guest:\n{}", tail(&console));
    }
    println!("{programs} test programs passed in the guest in {} s", began.elapsed().as_secs());
    Ok(counts)
}
