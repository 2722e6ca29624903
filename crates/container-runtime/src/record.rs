//! The two small documents a shim leaves: who it is, and how its container ended.
//!
//! **Invariant:** each is written beside and renamed into place, so a reader sees all or nothing, and has a checksum, so
//! that a reader sees what was written or nothing. Fields are only added, with a default.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use outport_model::checked_json;
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
    #[serde(default)]
    pub signal: Option<i32>,
    /// The first process died because the kernel ran out of the memory the container may use: it was
    /// killed itself, or it ended with 137 after the kernel had killed one of its processes, and
    /// nobody had asked for a kill.
    #[serde(default)]
    pub oom_killed: bool,
    /// How many processes of the container the kernel killed for memory.
    #[serde(default)]
    pub oom_kill_count: u64,
    /// The agent asked for SIGKILL before the end.
    #[serde(default)]
    pub kill_requested: bool,
    /// Milliseconds since the epoch; absent if it never started.
    #[serde(default)]
    pub started_at_ms: Option<u64>,
    pub finished_at_ms: u64,
    /// Why it never started.
    #[serde(default)]
    pub start_failure: Option<StartFailure>,
    /// Lines that the log mode dropped.
    #[serde(default)]
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
    /// The highest version of the protocol that it speaks; those before the field was there speak the first.
    #[serde(default = "first_protocol")]
    pub protocol: u8,
}

fn first_protocol() -> u8 {
    1
}

/// Writes `document` under `path` so that it is there whole or not at all.
pub(crate) fn write_whole<T: Serialize>(path: &Path, document: &T) -> io::Result<()> {
    let bytes = checked_json::write(document).map_err(io::Error::other)?;
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

/// Reads a document; `None` when there is none, a torn or damaged one, or one of a version that says it in another way:
/// who asks does without.
pub(crate) fn read_whole<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(checked_json::read(&bytes).read()),
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

    /// As each version wrote it to its file.
    const EXIT_FIRST: &str = r#"{"version":1,"exit_code":137,"signal":9,"oom_killed":true,"oom_kill_count":1,"kill_requested":false,"started_at_ms":1,"finished_at_ms":2,"start_failure":null,"dropped_log_lines":3}"#;
    const EXIT: &str = r#"{"version":1,"exit_code":137,"signal":9,"oom_killed":true,"oom_kill_count":1,"kill_requested":false,"started_at_ms":1,"finished_at_ms":2,"start_failure":null,"dropped_log_lines":3,"crc32":"a852b076"}"#;
    const NEVER_STARTED: &str = r#"{"version":1,"exit_code":null,"signal":null,"oom_killed":false,"oom_kill_count":0,"kill_requested":true,"started_at_ms":null,"finished_at_ms":2,"start_failure":{"kind":"executable_not_found","message":"no such file"},"dropped_log_lines":0}"#;
    const SHIM_FIRST: &str = r#"{"version":1,"boot_id":"b","shim_pid":7,"shim_start_ticks":8,"container_pid":9,"container_start_ticks":10}"#;
    const SHIM: &str = r#"{"version":1,"boot_id":"b","shim_pid":7,"shim_start_ticks":8,"container_pid":9,"container_start_ticks":10,"protocol":1,"crc32":"edce3925"}"#;

    fn exit() -> ExitRecord {
        ExitRecord {
            version: 1,
            exit_code: Some(137),
            signal: Some(9),
            oom_killed: true,
            oom_kill_count: 1,
            kill_requested: false,
            started_at_ms: Some(1),
            finished_at_ms: 2,
            start_failure: None,
            dropped_log_lines: 3,
        }
    }

    fn shim() -> ShimRecord {
        ShimRecord {
            version: 1,
            boot_id: "b".into(),
            shim_pid: 7,
            shim_start_ticks: 8,
            container_pid: 9,
            container_start_ticks: 10,
            protocol: 1,
        }
    }

    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        document: &T,
        older: &str,
        bytes: &str,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("document");
        write_whole(&path, document).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), bytes, "what is written");
        let future = bytes.replacen('{', r#"{"of_the_future":{"a":[]},"#, 1);
        let unchecked = future.rsplit_once(",\"crc32\"").unwrap().0.to_owned() + "}";
        for text in [bytes, older, &unchecked] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_whole::<T>(&path).unwrap().as_ref(), Some(document), "{text}");
        }
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(read_whole::<T>(&path).unwrap(), None, "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.as_bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let read = read_whole::<T>(&path).unwrap();
            assert!(read.is_none_or(|read| read == *document), "bit {bit}");
        }
    }

    #[test]
    fn every_version_is_read_and_every_damage_is_seen() {
        check(&exit(), EXIT_FIRST, EXIT);
        check(&shim(), SHIM_FIRST, SHIM);
        let record: ExitRecord = serde_json::from_str(NEVER_STARTED).unwrap();
        let failure = record.start_failure.unwrap();
        assert_eq!((record.exit_code, failure.message.as_str()), (None, "no such file"));
        let newer = NEVER_STARTED.replace("executable_not_found", "of_tomorrow");
        let record: ExitRecord = serde_json::from_str(&newer).unwrap();
        assert_eq!(record.start_failure.unwrap().kind, crate::error::FailureKind::Other);
    }

    /// Either copy of the record of an end is enough.
    #[test]
    fn a_damaged_copy_is_not_believed() {
        let scratch = tempfile::tempdir().unwrap();
        let [disk, memory] = ["disk", "memory"].map(|name| scratch.path().join(name));
        for damaged in [&disk, &memory] {
            [&disk, &memory].iter().for_each(|directory| fs::create_dir_all(directory).unwrap());
            assert!(write_exit(&disk, &memory, &exit()));
            fs::write(damaged.join(EXIT_FILE), EXIT.replace("137", "136")).unwrap();
            assert_eq!(read_exit(&disk, &memory).unwrap(), Some(exit()));
        }
    }
}
