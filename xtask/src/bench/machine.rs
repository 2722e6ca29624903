//! On what, when and of which commit the figures are.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::{command, output};

#[derive(Debug, Deserialize, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    /// What the directory for temporary files is on: the benches write there.
    pub disk: String,
    pub rust: String,
    pub date: String,
    pub commit: String,
}

impl Machine {
    pub fn look(repository: &Path) -> Result<Self> {
        let said = |program: &str, words: &[&str]| -> Result<String> {
            Ok(output(&mut command(repository, program, words))?.trim().to_owned())
        };
        let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
        };
        let memory_kib: f64 =
            after(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        let changed = said("git", &["status", "--porcelain"])?;
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
        Ok(Self {
            processor: after(&cpu, "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_kib / 1024.0 / 1024.0,
            kernel: said("uname", &["-r"])?,
            disk: disk()?,
            rust: said("rustc", &["--version"])?,
            date: said("date", &["-u", "+%Y-%m-%d"])?,
            commit: if changed.is_empty() { commit } else { format!("{commit} with changes") },
        })
    }
}

/// File system and device of the directory for temporary files.
fn disk() -> Result<String> {
    let directory = std::env::temp_dir();
    let answer = output(Command::new("df").args(["--output=fstype,source"]).arg(directory))?;
    let line = answer.lines().nth(1).unwrap_or_default();
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" on "))
}
