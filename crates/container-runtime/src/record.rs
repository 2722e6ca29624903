//! The two small documents a shim leaves: who it is, and how its container ended.
//!
//! **Invariant:** each is written beside and renamed into place, so a reader sees all or nothing.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StartFailure;
use crate::layout::EXIT_FILE;
use crate::private;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub version: u32,
    /// As Docker counts: the status, or 128 plus the signal. Absent if it never started.
    pub exit_code: Option<i32>,
    /// The signal that ended the first process.
    pub signal: Option<i32>,
    /// The first process died because the kernel ran out of the memory the container may use: it was
    /// killed itself, or it ended with 137 after the kernel had killed one of its processes, and
    /// nobody had asked for a kill.
    pub oom_killed: bool,
    /// How many processes of the container the kernel killed for memory.
    pub oom_kill_count: u64,
    /// The agent asked for SIGKILL before the end.
    pub kill_requested: bool,
    /// Milliseconds since the epoch; absent if it never started.
    pub started_at_ms: Option<u64>,
    pub finished_at_ms: u64,
    /// Why it never started.
    pub start_failure: Option<StartFailure>,
    /// Lines that the log mode dropped.
    pub dropped_log_lines: u64,
}

/// The version of [`ExitRecord`] and [`ShimRecord`] that this build writes.
pub(crate) const RECORD_VERSION: u32 = 1;

/// Who the shim and its container are. Pids mean nothing without start time and boot id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShimRecord {
    pub version: u32,
    pub boot_id: String,
    pub shim_pid: i32,
    pub shim_start_ticks: u64,
    pub container_pid: i32,
    pub container_start_ticks: u64,
}

/// Writes `document` under `path` so that it is there whole or not at all.
pub(crate) fn write_whole<T: Serialize>(path: &Path, document: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(document).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    let mut file = private::create(&beside)?;
    file.write_all(&bytes)?;
    fs::rename(&beside, path)
}

/// The exit record of a container: on the disk, or in memory, where it is written first and for which no
/// disk can be too full. A boot of the host takes the second away.
pub(crate) fn read_exit(container_dir: &Path, run_dir: &Path) -> io::Result<Option<ExitRecord>> {
    match (read_whole(&container_dir.join(EXIT_FILE)), read_whole(&run_dir.join(EXIT_FILE))) {
        (Ok(Some(record)), _) | (_, Ok(Some(record))) => Ok(Some(record)),
        (on_disk, in_memory) => on_disk.and(in_memory),
    }
}

/// Writes it to both; whether one of them took it.
pub(crate) fn write_exit(container_dir: &Path, run_dir: &Path, record: &ExitRecord) -> bool {
    let in_memory = write_whole(&run_dir.join(EXIT_FILE), record).is_ok();
    write_whole(&container_dir.join(EXIT_FILE), record).is_ok() || in_memory
}

/// Reads a document; `None` when there is none or a crash of the host left a torn one.
pub(crate) fn read_whole<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Start time of a process in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
pub(crate) fn start_ticks(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_ticks(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/<pid>/stat"))
}

/// The process name may hold spaces and brackets: count from the last `)`.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The id the kernel drew at boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_survives_hostile_process_names() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 1 0 123456 2 3";
        assert_eq!(parse_start_ticks(stat), Some(123_456));
        assert!(start_ticks(std::process::id() as i32).unwrap() > 0);
    }

    #[test]
    fn exit_record_of_version_1_is_still_read() {
        let old = r#"{"version":1,"exit_code":137,"signal":9,"oom_killed":true,"oom_kill_count":1,
            "kill_requested":false,"started_at_ms":1,"finished_at_ms":2,"start_failure":null,
            "dropped_log_lines":0}"#;
        let record: ExitRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.exit_code, record.oom_killed), (Some(137), true));
    }
}
