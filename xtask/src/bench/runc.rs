//! The floor: `runc run` of the same root file system.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process::{command, output};

pub struct Runc {
    bundle: PathBuf,
    runs: u32,
}

impl Runc {
    /// A bundle of the root file system, with the limits and namespaces that a task has.
    pub fn new(scratch: &Path, rootfs: &Path, arguments: &[&str]) -> Result<Self> {
        let bundle = scratch.join("runc");
        std::fs::create_dir_all(&bundle)?;
        output(&mut command(&bundle, "runc", ["spec"]))?;
        let path = bundle.join("config.json");
        let mut spec: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(arguments);
        spec["root"] = json!({ "path": rootfs, "readonly": true });
        std::fs::write(&path, spec.to_string())?;
        Ok(Self { bundle, runs: 0 })
    }

    /// From the start of the command to the first byte of its output.
    pub fn first_byte(&mut self) -> Result<Duration> {
        let numbers = self.take_numbers(1);
        self.run(numbers.start)
    }

    /// Numbers for containers that are run side by side, each once.
    pub fn take_numbers(&mut self, count: u32) -> Range<u32> {
        self.runs += count;
        self.runs - count..self.runs
    }

    /// As `first_byte`, of the container with this number.
    pub fn run(&self, number: u32) -> Result<Duration> {
        let name = format!("outport-bench-{}-{number}", std::process::id());
        let mut run = Command::new("runc");
        run.current_dir(&self.bundle).args(["run", &name]);
        first_byte_of(&mut run)
    }
}

/// Starts a program, waits for the first byte that it prints, then for its end.
pub fn first_byte_of(program: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let mut child =
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut byte = [0];
    let read = child.stdout.as_mut().context("it has an output")?.read(&mut byte)?;
    let took = began.elapsed();
    let done = child.wait_with_output()?;
    if read == 0 {
        bail!("it printed nothing: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(took)
}
