//! What containers wrote that log nowhere, once their tasks are over: kept for as long as a STOPPED task is shown, for who asks
//! why it ended.
//!
//! ```text
//! <node>/outputs/<task>/<container>/   the segments of its log; the task's directory is as old as the end of the task
//! ```
//!
//! **Invariant:** it is bounded by [`OUTPUT_LIFE`], [`OUTPUTS_BYTES_MAX`] and [`OUTPUT_TASKS_MAX`] together, and the oldest go
//! first; what is there after a restart of the agent counts as before it. That it cannot be kept holds up no task.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use outport_container_runtime::{
    ContainerKey, check_task, kept_log_directory, kept_logs_directory, log_directory, private,
};
use outport_tree_removal::remove_tree;

/// As long as the control plane shows a task that stopped, and the seconds until it forgets it.
pub const OUTPUT_LIFE: Duration = Duration::from_secs(3600 + 30);
/// Of all tasks of a node together. One container's is bounded before, see `container_spec`: 20 MiB and one segment.
pub const OUTPUTS_BYTES_MAX: u64 = 256 << 20;
/// As many tasks, however little they wrote.
pub const OUTPUT_TASKS_MAX: usize = 1_000;
/// What a file or directory takes beside its bytes, at most file systems.
const ENTRY_BYTES: u64 = 4 << 10;

/// The kept outputs of a node.
#[derive(Debug)]
pub struct KeptOutputs {
    /// The node's part of the data directory.
    node: PathBuf,
    /// The oldest first.
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    task: String,
    since: SystemTime,
    bytes: u64,
}

impl KeptOutputs {
    /// Takes over what an earlier agent kept.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(node: &Path) -> io::Result<Self> {
        let directory = kept_logs_directory(node);
        let mut kept = Vec::new();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let Ok(task) = entry.file_name().into_string() else { continue };
            // Somebody else's is left alone.
            if check_task(&task).is_err() || !entry.file_type()?.is_dir() {
                continue;
            }
            let since = entry.metadata()?.modified()?;
            kept.push(Kept { task, since, bytes: bytes_in(&entry.path())? });
        }
        kept.sort_by_key(|kept| kept.since);
        Ok(Self { node: node.to_owned(), kept: Mutex::new(kept.into()) })
    }

    /// Keeps the log of a container whose shim is gone. One that has none, or whose log is kept already, is no error.
    ///
    /// # Errors
    /// When it cannot be moved, or others cannot be removed for it.
    pub fn keep(&self, task: &str, container: &str, now: SystemTime) -> io::Result<()> {
        let key = ContainerKey::new(task, container).map_err(io::Error::other)?;
        let log = log_directory(&self.node, &key);
        let bytes = match bytes_in(&log) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let kept = kept_log_directory(&self.node, &key);
        private::make_directories(kept.parent().unwrap_or(&kept))?;
        fs::rename(&log, &kept)?;
        self.note(task, bytes, now);
        self.sweep(now)
    }

    fn note(&self, task: &str, bytes: u64, now: SystemTime) {
        let mut kept = self.kept();
        match kept.iter_mut().rev().find(|kept| kept.task == task) {
            Some(kept) => kept.bytes += bytes,
            None => {
                let bytes = bytes + ENTRY_BYTES;
                kept.push_back(Kept { task: task.to_owned(), since: now, bytes });
            }
        }
    }

    /// Removes what is too old, and the oldest of what is too much.
    ///
    /// # Errors
    /// When something does not go; the next call tries again.
    pub fn sweep(&self, now: SystemTime) -> io::Result<()> {
        self.remove_while(|kept, bytes, oldest| {
            // One that is of later than now was kept before the clock was set back: the other bounds count.
            let age = now.duration_since(oldest.since).unwrap_or_default();
            age >= OUTPUT_LIFE || bytes > OUTPUTS_BYTES_MAX || kept > OUTPUT_TASKS_MAX
        })
    }

    /// Removes all of it: the disk fills. Whether there was any.
    ///
    /// # Errors
    /// As [`KeptOutputs::sweep`].
    pub fn clear(&self) -> io::Result<bool> {
        let had_any = !self.kept().is_empty();
        self.remove_while(|_, _, _| true)?;
        Ok(had_any)
    }

    /// `is_due` is asked of the number and the bytes of all that is kept, and of the oldest of it.
    fn remove_while(&self, is_due: impl Fn(usize, u64, &Kept) -> bool) -> io::Result<()> {
        let mut kept = self.kept();
        let mut bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
        while let Some(oldest) = kept.front()
            && is_due(kept.len(), bytes, oldest)
        {
            remove_tree(&kept_logs_directory(&self.node).join(&oldest.task))?;
            bytes -= oldest.bytes;
            kept.pop_front();
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what a node has kept, for `outport cleanup`; whether there was any.
///
/// # Errors
/// When something of it stays.
pub fn remove_outputs(node: &Path) -> io::Result<bool> {
    let directory = kept_logs_directory(node);
    let was_there = directory.is_dir();
    remove_tree(&directory)?;
    Ok(was_there)
}

/// Of the files in a directory and in those in it: a log has no deeper ones.
fn bytes_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = ENTRY_BYTES;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => fs::read_dir(entry.path())?
                .map(|entry| Ok(entry?.metadata()?.len() + ENTRY_BYTES))
                .sum::<io::Result<u64>>()?,
            false => entry.metadata()?.len(),
        };
        bytes += ENTRY_BYTES;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use outport_container_runtime::log::segment_path;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// The log of a container as its shim leaves it; sparse.
    fn write_log(node: &Path, task: &str, container: &str, bytes: u64) {
        let log = log_directory(node, &ContainerKey::new(task, container).unwrap());
        private::make_directories(&log).unwrap();
        private::create(&segment_path(&log, 1)).unwrap().set_len(bytes).unwrap();
    }

    fn kept_tasks(node: &Path) -> Vec<String> {
        let entries = fs::read_dir(kept_logs_directory(node)).into_iter().flatten();
        let mut tasks: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        tasks.sort();
        tasks
    }

    #[test]
    fn the_output_of_a_task_is_kept_for_as_long_as_it_is_shown() {
        let node = tempfile::tempdir().unwrap();
        let outputs = KeptOutputs::open(node.path()).unwrap();
        let stopped = SystemTime::now();
        for container in ["web", "db"] {
            write_log(node.path(), "t1", container, 10);
            outputs.keep("t1", container, stopped).unwrap();
            // A second time there is nothing to move.
            outputs.keep("t1", container, stopped).unwrap();
            let key = ContainerKey::new("t1", container).unwrap();
            assert!(!log_directory(node.path(), &key).exists());
            assert!(segment_path(&kept_log_directory(node.path(), &key), 1).exists());
        }
        outputs.keep("t1", "never-made", stopped).unwrap();
        outputs.sweep(stopped + OUTPUT_LIFE - Duration::from_secs(1)).unwrap();
        assert_eq!(kept_tasks(node.path()), ["t1"]);
        outputs.sweep(stopped + OUTPUT_LIFE).unwrap();
        assert!(kept_tasks(node.path()).is_empty());
    }

    #[test]
    fn the_oldest_go_when_it_is_too_much() {
        let node = tempfile::tempdir().unwrap();
        let outputs = KeptOutputs::open(node.path()).unwrap();
        let begun = SystemTime::now();
        for number in 0..5 {
            let task = format!("t{number}");
            write_log(node.path(), &task, "web", 80 * MIB);
            outputs.keep(&task, "web", begun + Duration::from_secs(number)).unwrap();
        }
        assert_eq!(kept_tasks(node.path()), ["t2", "t3", "t4"]);
        for number in 0..OUTPUT_TASKS_MAX as u64 {
            let task = format!("u{number}");
            write_log(node.path(), &task, "web", 0);
            outputs.keep(&task, "web", begun + Duration::from_secs(10)).unwrap();
        }
        let kept = kept_tasks(node.path());
        assert!(kept.len() == OUTPUT_TASKS_MAX && !kept.contains(&"t4".to_owned()));
        assert!(outputs.clear().unwrap() && kept_tasks(node.path()).is_empty());
        assert!(!outputs.clear().unwrap());
    }

    #[test]
    fn the_next_agent_counts_what_is_there() {
        let node = tempfile::tempdir().unwrap();
        let begun = SystemTime::now();
        let outputs = KeptOutputs::open(node.path()).unwrap();
        for (number, task) in ["t1", "t2"].into_iter().enumerate() {
            write_log(node.path(), task, "web", 100 * MIB);
            outputs.keep(task, "web", begun).unwrap();
            // The kernel's clock may give both the same time.
            let directory = fs::File::open(kept_logs_directory(node.path()).join(task)).unwrap();
            directory.set_modified(begun + Duration::from_secs(number as u64)).unwrap();
        }
        private::make_directories(&kept_logs_directory(node.path()).join("some body's")).unwrap();
        let outputs = KeptOutputs::open(node.path()).unwrap();
        write_log(node.path(), "t3", "web", 100 * MIB);
        outputs.keep("t3", "web", begun).unwrap();
        assert_eq!(kept_tasks(node.path()), ["some body's", "t2", "t3"]);
        outputs.sweep(begun + OUTPUT_LIFE + Duration::from_secs(1)).unwrap();
        assert_eq!(kept_tasks(node.path()), ["some body's"]);
        assert!(remove_outputs(node.path()).unwrap());
        assert!(!remove_outputs(node.path()).unwrap());
    }
}
