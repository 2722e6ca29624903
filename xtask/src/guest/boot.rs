//! Starting the guest, and reading its verdict.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::root::{PROGRAM_FAILED, PROGRAM_PASSED};
use crate::process::{Started, until_end_within};
use crate::test::Counts;

/// Emulation is 5 to 20 times slower than the machine.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const MEMORY_MIB: &str = "2048";
/// How much of the console is shown when tests failed.
const TAIL_LINES: usize = 120;

/// Boots it; how many tests ran inside.
pub fn boot(kernel: &Path, archive: &Path, programs: usize) -> Result<Counts> {
    let began = Instant::now();
    let log = archive.with_file_name("console.log");
    let mut guest = Started::new(
        Command::new("qemu-system-x86_64")
            .args(["-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-m", MEMORY_MIB, "-nographic", "-no-reboot", "-nic", "none"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(archive)
            .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr"])
            .stdout(fs::File::create(&log)?),
    )?;
    let ended = until_end_within(&mut guest, PATIENCE);
    let console = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    ended.with_context(|| format!("the guest did not end:\n{}", tail(&console)))?;
    let mut counts = Counts::default();
    for line in console.lines().filter(|line| line.contains("test result:")) {
        println!("{}", line.trim());
        counts.add(Counts::of_line(line).unwrap_or_default());
    }
    let said = |verdict| console.lines().filter(|line| line.contains(verdict)).count();
    if said(PROGRAM_PASSED) != programs || said(PROGRAM_FAILED) != 0 {
        bail!("tests failed in the guest:\n{}", tail(&console));
    }
    println!("{programs} test programs passed in the guest in {} s", began.elapsed().as_secs());
    Ok(counts)
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
