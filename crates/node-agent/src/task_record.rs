//! What the node knows of one task, on disk before anything is done for it.
//!
//! **Invariant:** a task whose record exists is never started a second time: after a crash of the
//! agent its containers are taken over, after a boot of the host they are reported stopped.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outport_model::task::ContainerStatus;
use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::{ContainerReport, TaskAssignment, TaskReport};
use serde::{Deserialize, Serialize};

/// The layout of the document that this version writes.
const RECORD_VERSION: u32 = 1;
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

    /// Writes the record, the first one or a later state. It survives the agent; the host only after
    /// [`TaskRecords::flush`], and after a boot only the fact that there was a record counts.
    pub fn update(&self, record: &TaskRecord) -> io::Result<()> {
        let directory = self.directory(&record.report.task);
        fs::create_dir_all(&directory)?;
        write_whole(&directory, record)
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
        match fs::remove_dir_all(self.directory(task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every record on disk, and the names of directories that have none that can be read.
    pub fn load(&self) -> io::Result<(Vec<TaskRecord>, Vec<TaskId>)> {
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let record = fs::read(entry.path().join(FILE_NAME))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<TaskRecord>(&bytes).ok());
            match record {
                Some(record) => records.push(record),
                None => unreadable.push(TaskId::new(entry.file_name().to_string_lossy())),
            }
        }
        Ok((records, unreadable))
    }
}

fn write_whole(directory: &Path, record: &TaskRecord) -> io::Result<()> {
    let beside = directory.join("task.json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    fs::rename(&beside, directory.join(FILE_NAME))
}
