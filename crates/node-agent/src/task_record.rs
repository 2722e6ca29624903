//! What the node knows of one task, on disk before anything is done for it.
//!
//! A record is a file of lines: the first is the whole record as it was when the task was taken on, each
//! later one the task's report after a change, and the last that can be read counts. To add a line costs
//! a file system far less than a new file, which a task would otherwise cost it ten times in its life.
//!
//! **Invariant:** a task whose record exists is never started a second time: after a crash of the
//! agent its containers are taken over, after a boot of the host they are reported stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use outport_model::task::ContainerStatus;
use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::{ContainerReport, TaskAssignment, TaskReport};
use outport_tree_removal::remove_tree;
use serde::{Deserialize, Serialize};

/// The layout of the file that this version writes. Version 1 had no lines but the first.
const RECORD_VERSION: u32 = 2;
const FILE_NAME: &str = "task.json";

/// One task as this node has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub version: u32,
    /// The boot in which it was taken on.
    pub boot_id: String,
    pub assignment: TaskAssignment,
    pub report: TaskReport,
}

impl TaskRecord {
    /// The record of a task that nothing was done for yet.
    pub fn new(assignment: TaskAssignment, boot_id: &str) -> Self {
        let containers = assignment
            .containers
            .iter()
            .map(|container| ContainerReport {
                name: container.name.clone(),
                status: ContainerStatus::Pending,
                runtime_id: None,
                image_digest: None,
                exit_code: None,
                reason: None,
            })
            .collect();
        let report = TaskReport {
            task: assignment.task.clone(),
            status: TaskStatus::Pending,
            containers,
            pull_started_at_ms: None,
            pull_stopped_at_ms: None,
            connectivity_at_ms: None,
            started_at_ms: None,
            stopping_at_ms: None,
            execution_stopped_at_ms: None,
            stopped_at_ms: None,
            stop: None,
        };
        Self { version: RECORD_VERSION, boot_id: boot_id.to_owned(), assignment, report }
    }
}

/// The records of a node: one directory per task.
#[derive(Clone, Debug)]
pub struct TaskRecords {
    directory: PathBuf,
}

impl TaskRecords {
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// The task's own directory.
    pub fn directory(&self, task: &TaskId) -> PathBuf {
        self.directory.join(task.as_str())
    }

    /// Writes the whole record, for a task that is taken on or taken over. It survives the agent; the
    /// host only after [`TaskRecords::flush`].
    pub fn write(&self, record: &TaskRecord) -> io::Result<()> {
        let directory = self.directory(&record.report.task);
        fs::create_dir_all(&directory)?;
        let beside = directory.join("task.json.new");
        fs::write(&beside, serde_json::to_vec(record)?)?;
        fs::rename(&beside, directory.join(FILE_NAME))
    }

    /// Adds a later state to a record that was written. It survives the agent; after a crash of the host
    /// only the fact that there was a record counts.
    pub fn add(&self, report: &TaskReport) -> io::Result<()> {
        let path = self.directory(&report.task).join(FILE_NAME);
        // The line's end comes first: half a line, left by a full disk, is not continued.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, report)?;
        OpenOptions::new().append(true).open(path)?.write_all(&line)
    }

    /// Waits until the record and its directory are on disk: after a crash of the host the task is
    /// then reported stopped, and not started a second time.
    pub fn flush(&self, task: &TaskId) -> io::Result<()> {
        let directory = self.directory(task);
        File::open(directory.join(FILE_NAME))?.sync_all()?;
        File::open(&directory)?.sync_all()?;
        File::open(&self.directory)?.sync_all()
    }

    /// Forgets a task and what is left of its files.
    pub fn forget(&self, task: &TaskId) -> io::Result<()> {
        // What a container left in it may be there, too, when its own removal failed.
        remove_tree(&self.directory(task))
    }

    /// Every record on disk, and the names of directories that have none that can be read.
    pub fn load(&self) -> io::Result<(Vec<TaskRecord>, Vec<TaskId>)> {
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // None was written yet. Any other failure ends the start: it says nothing of the task, and a
            // task without a record is removed.
            let bytes = match fs::read(entry.path().join(FILE_NAME)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                read => read?,
            };
            match read(&bytes) {
                Some(record) => records.push(record),
                None => unreadable.push(TaskId::new(entry.file_name().to_string_lossy())),
            }
        }
        Ok((records, unreadable))
    }
}

/// `None` when the first line is not whole.
fn read(bytes: &[u8]) -> Option<TaskRecord> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut record: TaskRecord = serde_json::from_slice(lines.next()?).ok()?;
    if let Some(report) = lines.rev().find_map(|line| serde_json::from_slice(line).ok()) {
        record.report = report;
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::runner_test::assignment;

    #[test]
    fn the_last_state_that_was_added_counts() {
        let scratch = tempfile::tempdir().unwrap();
        let records = TaskRecords::open(scratch.path().join("tasks")).unwrap();
        let mut record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        assert_eq!(records.load().unwrap(), (vec![record.clone()], vec![]));
        for status in [TaskStatus::Activating, TaskStatus::Running] {
            record.report.status = status;
            records.add(&record.report).unwrap();
            assert_eq!(records.load().unwrap(), (vec![record.clone()], vec![]));
        }
        records.write(&record).unwrap();
        assert_eq!(records.load().unwrap(), (vec![record.clone()], vec![]));
    }

    #[test]
    fn half_a_line_does_not_count() {
        let scratch = tempfile::tempdir().unwrap();
        let records = TaskRecords::open(scratch.path().join("tasks")).unwrap();
        let mut record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        record.report.status = TaskStatus::Running;
        records.add(&record.report).unwrap();
        let path = records.directory(&record.report.task).join(FILE_NAME);
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"\n{\"task\":").unwrap();
        assert_eq!(records.load().unwrap().0, [record.clone()]);
        record.report.status = TaskStatus::Stopping;
        records.add(&record.report).unwrap();
        assert_eq!(records.load().unwrap().0, [record]);
    }
}
