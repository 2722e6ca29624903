//! The emulated machine: what it is made of, and what its console says.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Started, until};

const MEMORY_MIB: &str = "2048";
/// How much of the console is shown when something failed.
const TAIL_LINES: usize = 120;

/// It has a serial console and no network.
pub struct Machine<'a> {
    pub kernel: &'a Path,
    pub initrd: &'a Path,
    /// Its file, which the machine writes to.
    pub disk: Option<&'a Path>,
    /// What its kernel is told beside the console.
    pub options: &'a str,
}

impl Machine<'_> {
    /// Boots it, and waits until it turns itself off; what its console said. Each line is given to `seen` when it comes.
    ///
    /// # Errors
    /// When it takes longer than `patience`, with the end of what its console said.
    pub fn run(
        &self,
        log: &Path,
        patience: Duration,
        mut seen: impl FnMut(&str),
    ) -> Result<String> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-m", MEMORY_MIB, "-nographic", "-no-reboot", "-nic", "none"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd);
        if let Some(disk) = self.disk {
            let disk = format!("file={},format=raw,if=virtio,cache=unsafe", disk.display());
            qemu.args(["-drive", &disk]);
        }
        let options = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr";
        qemu.args(["-append", &format!("{options} {}", self.options)]);
        let mut guest = Started::new(qemu.stdout(File::create(log)?))?;
        let mut console = File::open(log)?;
        let (mut said, mut lines_seen) = (Vec::new(), 0);
        let ended = until("the end of the guest", patience, || {
            // Before what it said last is read.
            let is_running = guest.is_running()?;
            console.read_to_end(&mut said)?;
            while let Some(length) = said[lines_seen..].iter().position(|byte| *byte == b'\n') {
                seen(String::from_utf8_lossy(&said[lines_seen..lines_seen + length]).trim());
                lines_seen += length + 1;
            }
            Ok((!is_running).then_some(()))
        });
        let said = String::from_utf8_lossy(&said).into_owned();
        ended.and_then(|()| guest.stop(Duration::ZERO)).with_context(|| tail(&said))?;
        Ok(said)
    }
}

/// The end of what a console said.
pub fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
