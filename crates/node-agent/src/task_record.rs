//! What the node knows of one task, on disk before anything is done for it.
//!
//! A record is a file of lines: the first is the whole record as it was when the task was taken on, each
//! later one the task's report after a change, and the last that can be read counts. To add a line costs
//! a file system far less than a new file, which a task would otherwise cost it ten times in its life. What the lines
//! of each version are, and what is believed of them, is in `lines`.
//!
//! **Invariant:** a task of which any trace exists is never started a second time: after a crash of the
//! agent its containers are taken over, after a boot of the host they are reported stopped. No container ends for what is
//! the matter with a record: one that is not understood is left as it is, with all that its task has, and one that is
//! damaged is made again from the assignment. A name on disk is a task's only if a task can have it: an empty one would
//! be all of them.

mod lines;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outport_container_runtime::{check_task, fail_point, private};
use outport_model::task::ContainerStatus;
use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::{ContainerHealth, ContainerReport, TaskAssignment, TaskReport};
use outport_tree_removal::remove_tree;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;

use lines::Copy;

use crate::in_span::spawn_blocking;

/// The layout of the file that this version writes. Version 1 had no lines but the first. It grows when who does not know
/// what is new must leave the record, and its task, alone.
const RECORD_VERSION: u32 = 2;
const FILE_NAME: &str = "task.json";
const MEMORY_SUFFIX: &str = ".json";

/// One task as this node has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub version: u32,
    /// The boot in which it was taken on.
    pub boot_id: String,
    /// The host's id of root in its containers; absent of a task with the host's own ids, as those of versions before
    /// it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_id: Option<u32>,
    pub assignment: TaskAssignment,
    pub report: TaskReport,
    /// What another version has written beside that, each field where it was; null for nothing.
    #[serde(skip)]
    pub unknown: Value,
}

impl TaskRecord {
    /// The record of a task that nothing was done for yet.
    pub fn new(assignment: TaskAssignment, boot_id: &str) -> Self {
        let containers = assignment
            .containers
            .iter()
            .map(|container| ContainerReport {
                name: container.definition.name.clone(),
                status: ContainerStatus::Pending,
                runtime_id: None,
                image_digest: None,
                exit_code: None,
                reason: None,
                health: container
                    .definition
                    .health_check
                    .as_ref()
                    .map(|_| ContainerHealth::default()),
            })
            .collect();
        let report = TaskReport { containers, ..nothing_seen(&assignment.task) };
        Self {
            version: RECORD_VERSION,
            boot_id: boot_id.to_owned(),
            first_id: None,
            assignment,
            report,
            unknown: Value::Null,
        }
    }
}

/// The report of a task of which nothing is known.
pub fn nothing_seen(task: &TaskId) -> TaskReport {
    TaskReport {
        task: task.clone(),
        status: TaskStatus::Pending,
        containers: Vec::new(),
        pull_started_at_ms: None,
        pull_stopped_at_ms: None,
        connectivity_at_ms: None,
        started_at_ms: None,
        stopping_at_ms: None,
        execution_stopped_at_ms: None,
        stopped_at_ms: None,
        stop: None,
    }
}

/// The records of a node: one directory per task, and a file beside in memory.
///
/// The copy in memory is written first. It holds what a full disk did not take, and is there when the disk
/// fails under a node that goes on; a boot takes it away, which ends the tasks that it is about.
#[derive(Clone, Debug)]
pub struct TaskRecords {
    directory: PathBuf,
    memory: PathBuf,
    /// Whether the file system of `directory` outlives the host.
    is_lasting: bool,
}

/// What an earlier agent left.
#[derive(Debug, Default, PartialEq)]
pub struct Loaded {
    pub records: Vec<TaskRecord>,
    /// Tasks of another version, whose records are not understood: nobody touches them here.
    pub kept: Vec<TaskId>,
    /// Tasks whose records are damaged, both copies: no version understands them.
    pub damaged: Vec<TaskId>,
    /// Tasks that were taken on and of which there is no record. They are never begun again.
    pub lost: Vec<TaskId>,
}

impl TaskRecords {
    /// `memory`: a directory of this instance on a memory file system.
    pub fn open(directory: PathBuf, memory: PathBuf) -> io::Result<Self> {
        private::make_directories(&directory)?;
        private::make_directories(&memory)?;
        Ok(Self { directory, memory, is_lasting: true })
    }

    /// As [`TaskRecords::open`], with both on a file system in memory: nothing there is made safer by waiting for it.
    pub fn open_in_memory(directory: PathBuf, memory: PathBuf) -> io::Result<Self> {
        Ok(Self { is_lasting: false, ..Self::open(directory, memory)? })
    }

    /// The task's own directory.
    pub fn directory(&self, task: &TaskId) -> PathBuf {
        self.directory.join(task.as_str())
    }

    fn in_memory(&self, task: &TaskId) -> PathBuf {
        self.memory.join(format!("{task}{MEMORY_SUFFIX}"))
    }

    /// Writes the whole record, for a task that is taken on or taken over. It survives the agent; the
    /// host only after [`TaskRecords::flush`].
    pub fn write(&self, record: &TaskRecord) -> io::Result<()> {
        fail_point::reach("agent.record")?;
        let bytes = lines::first(record)?;
        self.write_in_memory(&record.report.task, &bytes)?;
        let directory = self.directory(&record.report.task);
        private::make_directories(&directory)?;
        let beside = directory.join("task.json.new");
        private::write(&beside, bytes)?;
        fs::rename(&beside, directory.join(FILE_NAME))
    }

    /// Says that a task was here, for one whose record is lost.
    pub fn mark(&self, task: &TaskId) -> io::Result<()> {
        self.write_in_memory(task, b"")
    }

    fn write_in_memory(&self, task: &TaskId, bytes: &[u8]) -> io::Result<()> {
        // Somebody may have cleaned `/run`.
        private::make_directories(&self.memory)?;
        let (path, beside) = (self.in_memory(task), self.memory.join(format!("{task}.new")));
        private::write(&beside, bytes)?;
        fs::rename(&beside, path)
    }

    /// Adds a later state to a record that was written. It survives the agent; after a crash of the host
    /// only the fact that there was a record counts.
    ///
    /// # Errors
    /// When neither disk nor memory took it.
    pub fn add(&self, report: &TaskReport) -> io::Result<()> {
        let line = lines::later(report)?;
        let add = |path: PathBuf| private::options().append(true).open(path)?.write_all(&line);
        let in_memory = add(self.in_memory(&report.task));
        match add(self.directory(&report.task).join(FILE_NAME)) {
            Ok(()) => Ok(()),
            Err(error) => in_memory.map_err(|_| error),
        }
    }

    /// Waits until the record and its directory are on disk: after a crash of the host the task is
    /// then reported stopped, and not started a second time.
    pub fn flush(&self, task: &TaskId) -> io::Result<()> {
        fail_point::reach("agent.flush")?;
        let directory = self.directory(task);
        File::open(directory.join(FILE_NAME))?.sync_all()?;
        File::open(&directory)?.sync_all()?;
        File::open(&self.directory)?.sync_all()
    }

    /// Flushes on another thread.
    pub fn flush_behind(&self, task: &TaskId) -> JoinHandle<io::Result<()>> {
        if !self.is_lasting {
            return tokio::spawn(std::future::ready(Ok(())));
        }
        let (records, task) = (self.clone(), task.clone());
        spawn_blocking(move || records.flush(&task))
    }

    /// Forgets a task and what is left of its files.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for what is no task's id: that would be another directory.
    pub fn forget(&self, task: &TaskId) -> io::Result<()> {
        check_task(task.as_str())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        // What a container left in it may be there, too, when its own removal failed.
        remove_tree(&self.directory(task))?;
        remove_tree(&self.in_memory(task))
    }

    /// Every record, as it was written last, wherever that was.
    ///
    /// # Errors
    /// When the disk fails and memory does not have a record either: that says nothing of the task.
    pub fn load(&self) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        for task in self.tasks()? {
            // Who marked a task as lost left an empty file there.
            let in_memory = match read_copy(&self.in_memory(&task), &task) {
                Ok(Some(copy)) => copy,
                Ok(None) | Err(_) => Copy::Absent,
            };
            let on_disk = read_copy(&self.directory(&task).join(FILE_NAME), &task);
            let (on_disk, failure) = match on_disk {
                Ok(copy) => (copy.unwrap_or(Copy::Damaged("it is empty".to_owned())), None),
                Err(error) => (Copy::Absent, Some(error)),
            };
            match (in_memory, on_disk) {
                (Copy::NotUnderstood(why), _) | (_, Copy::NotUnderstood(why)) => {
                    tracing::error!(
                        event = "task_record_not_understood",
                        %task,
                        why,
                        "the record of a task is not understood: its containers run on and are not touched. Start the \
                         version of outport that wrote it; `outport cleanup` removes them"
                    );
                    loaded.kept.push(task);
                }
                (Copy::Record(memory), Copy::Record(disk)) => {
                    let is_behind = memory.report.status < disk.report.status;
                    loaded.records.push(if is_behind { *disk } else { *memory });
                }
                (Copy::Record(record), other) | (other, Copy::Record(record)) => {
                    if let Copy::Damaged(why) = other {
                        tracing::warn!(
                            event = "task_record_copy_damaged",
                            %task,
                            why,
                            "one copy of its record is damaged; the other one counts"
                        );
                    }
                    loaded.records.push(*record);
                }
                (in_memory, on_disk) => match (failure, in_memory, on_disk) {
                    (Some(error), _, _) => return Err(error),
                    (None, Copy::Damaged(why), _) | (None, _, Copy::Damaged(why)) => {
                        tracing::error!(
                            event = "task_record_damaged",
                            %task,
                            why,
                            "its record is damaged"
                        );
                        loaded.damaged.push(task);
                    }
                    (None, _, _) => loaded.lost.push(task),
                },
            }
        }
        Ok(loaded)
    }

    /// The tasks that any trace speaks of.
    fn tasks(&self) -> io::Result<BTreeSet<TaskId>> {
        let mut tasks = BTreeSet::new();
        for entry in fs::read_dir(&self.directory)? {
            tasks.extend(task_of(&entry?.file_name(), &self.directory));
        }
        for entry in fs::read_dir(&self.memory)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(MEMORY_SUFFIX)) else {
                continue;
            };
            tasks.extend(task_of(name.as_ref(), &self.memory));
        }
        Ok(tasks)
    }
}

/// The task that a name stands for; `None`, which is said, for one that somebody else left.
fn task_of(name: &OsStr, directory: &Path) -> Option<TaskId> {
    let task = name.to_str().filter(|name| check_task(name).is_ok());
    if task.is_none() {
        tracing::warn!(
            event = "task_directory_unknown",
            directory = %directory.display(),
            ?name,
            "a directory has a name that no task has; it is left alone"
        );
    }
    task.map(TaskId::new)
}

/// `None`: the file is empty.
fn read_copy(path: &Path, task: &TaskId) -> io::Result<Option<Copy>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Copy::Absent)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Some(Copy::Absent)),
        Err(error) => Err(error),
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(lines::read(&bytes, task))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::task::runner_test::assignment;

    fn open(scratch: &tempfile::TempDir) -> TaskRecords {
        TaskRecords::open(scratch.path().join("tasks"), scratch.path().join("memory")).unwrap()
    }

    fn loaded(records: &TaskRecords) -> Vec<TaskRecord> {
        let loaded = records.load().unwrap();
        assert_eq!((&loaded.kept, &loaded.damaged, &loaded.lost), (&vec![], &vec![], &vec![]));
        loaded.records
    }

    #[test]
    fn the_last_state_that_was_added_counts() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let mut record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        assert_eq!(loaded(&records), [record.clone()]);
        for status in [TaskStatus::Activating, TaskStatus::Running] {
            record.report.status = status;
            records.add(&record.report).unwrap();
            assert_eq!(loaded(&records), [record.clone()]);
        }
        records.write(&record).unwrap();
        assert_eq!(loaded(&records), [record.clone()]);
        records.forget(&record.report.task).unwrap();
        assert_eq!(records.load().unwrap(), Loaded::default());
    }

    #[test]
    fn half_a_line_does_not_count() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let mut record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        record.report.status = TaskStatus::Running;
        records.add(&record.report).unwrap();
        let on_disk = records.directory(&record.report.task).join(FILE_NAME);
        for path in [on_disk, records.in_memory(&record.report.task)] {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"\n{\"task\":").unwrap();
        }
        assert_eq!(loaded(&records), [record.clone()]);
        record.report.status = TaskStatus::Stopping;
        records.add(&record.report).unwrap();
        assert_eq!(loaded(&records), [record]);
    }

    #[test]
    fn either_copy_is_enough() {
        for lost in ["tasks/t1", "memory"] {
            let scratch = tempfile::tempdir().unwrap();
            let records = open(&scratch);
            let mut record = TaskRecord::new(assignment(&["app"]), "boot");
            records.write(&record).unwrap();
            fs::remove_dir_all(scratch.path().join(lost)).unwrap();
            record.report.status = TaskStatus::Running;
            records.add(&record.report).unwrap();
            assert_eq!(loaded(&open(&scratch)), [record], "without {lost}");
        }
    }

    #[test]
    fn a_task_whose_record_is_lost_is_remembered_as_that() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        let task = record.report.task;
        for bytes in ["{", "", "\n{}"] {
            fs::write(records.directory(&task).join(FILE_NAME), bytes).unwrap();
            fs::write(records.in_memory(&task), "").unwrap();
            let damaged = Loaded { damaged: vec![task.clone()], ..Loaded::default() };
            assert_eq!(records.load().unwrap(), damaged, "{bytes:?}");
        }
        records.forget(&task).unwrap();
        records.mark(&task).unwrap();
        let lost = Loaded { lost: vec![task.clone()], ..Loaded::default() };
        assert_eq!(records.load().unwrap(), lost);
    }

    /// Whichever copy has it, and whatever the other one is: a version that knew it has written it last.
    #[test]
    fn a_record_of_the_future_is_kept_to_the_byte() {
        let future = r#"{"version":3,"parts":["a"]}"#;
        for (disk, memory) in
            [(Some(future), None), (None, Some(future)), (Some("{"), Some(future))]
        {
            let scratch = tempfile::tempdir().unwrap();
            let records = open(&scratch);
            let record = TaskRecord::new(assignment(&["app"]), "boot");
            records.write(&record).unwrap();
            let task = record.report.task;
            let places = [records.directory(&task).join(FILE_NAME), records.in_memory(&task)];
            for (path, text) in places.iter().zip([disk, memory]) {
                text.into_iter().for_each(|text| fs::write(path, text).unwrap());
            }
            let before = places.each_ref().map(|path| fs::read(path).unwrap());
            let kept = Loaded { kept: vec![task], ..Loaded::default() };
            assert_eq!(open(&scratch).load().unwrap(), kept, "{disk:?} {memory:?}");
            assert_eq!(places.each_ref().map(|path| fs::read(path).unwrap()), before);
        }
    }

    #[test]
    fn a_damaged_copy_is_made_good_by_the_other() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let mut record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        record.report.status = TaskStatus::Running;
        records.add(&record.report).unwrap();
        let task = record.report.task.clone();
        for path in [records.directory(&task).join(FILE_NAME), records.in_memory(&task)] {
            let good = fs::read(&path).unwrap();
            let mut flipped = good.clone();
            flipped[20] ^= 4;
            fs::write(&path, flipped).unwrap();
            assert_eq!(loaded(&records), [record.clone()]);
            fs::write(&path, good).unwrap();
        }
    }

    #[test]
    fn what_others_left_is_no_task() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        for name in [".x", "a b", "lost+found", ".json"] {
            fs::create_dir(scratch.path().join("tasks").join(name)).unwrap();
            fs::write(scratch.path().join("memory").join(format!("{name}.json")), "").unwrap();
        }
        fs::write(scratch.path().join("memory/.json"), "").unwrap();
        assert_eq!(records.load().unwrap(), Loaded { records: vec![record], ..Loaded::default() });
        for name in ["", ".", "..", "../tasks", "t1/..", ".x"] {
            let refused = records.forget(&TaskId::new(name)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(scratch.path().join("tasks/t1/task.json").exists());
        assert!(scratch.path().join("tasks/.x").exists());
    }

    #[test]
    fn a_record_of_another_task_is_none() {
        let scratch = tempfile::tempdir().unwrap();
        let records = open(&scratch);
        let record = TaskRecord::new(assignment(&["app"]), "boot");
        records.write(&record).unwrap();
        let other = TaskId::new("other");
        fs::create_dir(records.directory(&other)).unwrap();
        fs::copy(
            records.directory(&record.report.task).join(FILE_NAME),
            records.directory(&other).join(FILE_NAME),
        )
        .unwrap();
        let expected = Loaded { records: vec![record], damaged: vec![other], ..Loaded::default() };
        assert_eq!(records.load().unwrap(), expected);
    }
}
