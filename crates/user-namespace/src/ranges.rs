//! Which task of this host has which range.
//!
//! A range that is taken is an empty file, `ids/<first id>`, in the instance's directory below `/run/outport`,
//! where the other instances look: one beside the other, the ranges of all of them are apart. The files are gone
//! after a boot, as the tasks are. Whoever keeps the tasks' records says again what their tasks have.
//!
//! **Invariant:** a range is looked for and written down under one lock; what this process has given out counts
//! also where its file was cleaned away.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{IdRange, SubordinateIds};

const DIRECTORY: &str = "ids";

/// Why a task has no range.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    #[error("all {0} ranges of ids of this host's tasks are in use; --subordinate-ids gives more")]
    NoneLeft(u32),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl RangeError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The ranges of one instance's tasks.
#[derive(Debug)]
pub struct IdRanges {
    ids: SubordinateIds,
    /// The instance's; those of the others are beside it.
    run_dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<String, IdRange>,
    /// Where the next search begins: what was given back lies idle for as long as there are others.
    next: u32,
}

impl IdRanges {
    /// `run_dir` is the instance's own directory on a memory file system; it need not be there yet.
    pub fn new(ids: SubordinateIds, run_dir: &Path) -> Self {
        // Instances begin at different places, so that one that loses its files meets the others rarely.
        let name = run_dir.file_name().unwrap_or_default().as_encoded_bytes();
        let next = name
            .iter()
            .fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        let state = State { held: HashMap::new(), next: next % ids.ranges() };
        Self { ids, run_dir: run_dir.to_owned(), state: Mutex::new(state) }
    }

    /// Gives a task a range, or the one that it has.
    ///
    /// # Errors
    /// When none is left, or it cannot be written down.
    pub fn take(&self, task: &str) -> Result<IdRange, RangeError> {
        let mut state = self.state();
        if let Some(range) = state.held.get(task) {
            return Ok(*range);
        }
        let _turn = self.turn()?;
        let mut taken = self.of_others();
        taken.extend(state.held.values());
        taken.sort_unstable();
        let numbers = 0..self.ids.ranges();
        let mut free = numbers.map(|number| state.next.wrapping_add(number) % self.ids.ranges());
        let is_free = |number: &u32| {
            let wanted = self.ids.range(*number);
            let behind = taken.partition_point(|other| *other < wanted);
            let beside = [behind.checked_sub(1), Some(behind)];
            let mut beside = beside.into_iter().flatten().filter_map(|index| taken.get(index));
            !beside.any(|other| other.meets(wanted))
        };
        let number = free.find(is_free).ok_or(RangeError::NoneLeft(self.ids.ranges()))?;
        let range = self.ids.range(number);
        self.write(range)?;
        state.next = number + 1;
        state.held.insert(task.to_owned(), range);
        Ok(range)
    }

    /// What a task has since an earlier agent, by its record.
    ///
    /// # Errors
    /// When it cannot be written down; it counts all the same.
    pub fn keep(&self, task: &str, range: IdRange) -> Result<(), RangeError> {
        self.state().held.insert(task.to_owned(), range);
        self.write(range)
    }

    pub fn of(&self, task: &str) -> Option<IdRange> {
        self.state().held.get(task).copied()
    }

    /// Takes a range back, when no process and no file of its task is left. None is as good.
    ///
    /// # Errors
    /// When its file stays; the range is not given to anybody then.
    pub fn give_back(&self, task: &str) -> Result<(), RangeError> {
        let mut state = self.state();
        let Some(range) = state.held.get(task).copied() else { return Ok(()) };
        let path = self.path(range);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(RangeError::io("remove", &path)(error));
            }
            _ => {}
        }
        state.held.remove(task);
        Ok(())
    }

    /// Keeps every range that an earlier process wrote down and nobody has claimed, for as long as this one lives: some
    /// task has it, and it is not known which.
    pub fn keep_all_written(&self) {
        let mut state = self.state();
        let known: HashSet<IdRange> = state.held.values().copied().collect();
        for name in names(&self.run_dir.join(DIRECTORY)) {
            let range = name.parse().ok().and_then(IdRange::beginning);
            if let Some(range) = range.filter(|range| !known.contains(range)) {
                // No task's id has a dot.
                state.held.insert(format!(".written.{name}"), range);
            }
        }
    }

    /// Makes the files be what this process knows: after somebody has cleaned `/run`, and once all tasks of an
    /// earlier agent are known, for what it wrote down and did not give out.
    ///
    /// # Errors
    /// The first of the file system's refusals.
    pub fn restore(&self) -> Result<(), RangeError> {
        let state = self.state();
        let directory = self.run_dir.join(DIRECTORY);
        let firsts = state.held.values().map(|range| range.first().to_string());
        let mut missing: HashSet<String> = firsts.collect();
        for name in names(&directory) {
            if missing.remove(&name) {
                continue;
            }
            let path = directory.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(RangeError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        let mut held = state.held.values();
        held.try_for_each(|range| match missing.contains(&range.first().to_string()) {
            true => self.write(*range),
            false => Ok(()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One instance at a time looks and writes.
    fn turn(&self) -> Result<File, RangeError> {
        let parent = self.run_dir.parent().unwrap_or(&self.run_dir);
        let turn = File::open(parent).map_err(RangeError::io("open", parent))?;
        turn.lock().map_err(RangeError::io("lock", parent))?;
        Ok(turn)
    }

    /// What tasks of the other instances have. Directories of others that go away meanwhile hold nothing.
    fn of_others(&self) -> Vec<IdRange> {
        let Some(instances) = self.run_dir.parent() else { return Vec::new() };
        let entries = fs::read_dir(instances).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| *path != self.run_dir)
            .flat_map(|path| names(&path.join(DIRECTORY)))
            .filter_map(|name| IdRange::beginning(name.parse().ok()?))
            .collect()
    }

    fn write(&self, range: IdRange) -> Result<(), RangeError> {
        let path = self.path(range);
        let make =
            || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        match make() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let directory = self.run_dir.join(DIRECTORY);
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&directory)
                    .map_err(RangeError::io("make", &directory))?;
                make().map(drop).map_err(RangeError::io("write", &path))
            }
            made => made.map(drop).map_err(RangeError::io("write", &path)),
        }
    }

    fn path(&self, range: IdRange) -> PathBuf {
        self.run_dir.join(DIRECTORY).join(range.first().to_string())
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(run: &Path, instance: &str, ids: &str) -> IdRanges {
        IdRanges::new(ids.parse().unwrap(), &run.join(instance))
    }

    #[test]
    fn no_two_tasks_share_a_range_and_each_keeps_its_own() {
        let run = tempfile::tempdir().unwrap();
        let ranges = open(run.path(), "one", "100000:196608");
        let taken: Vec<IdRange> = ["a", "b", "c"].map(|task| ranges.take(task).unwrap()).to_vec();
        assert!(
            !taken[0].meets(taken[1]) && !taken[1].meets(taken[2]) && !taken[0].meets(taken[2])
        );
        assert_eq!(ranges.take("b").unwrap(), taken[1]);
        assert!(matches!(ranges.take("d"), Err(RangeError::NoneLeft(3))));
        ranges.give_back("b").unwrap();
        ranges.give_back("b").unwrap();
        assert_eq!(ranges.take("d").unwrap(), taken[1]);
    }

    /// Also where the two have different ideas of where ranges begin.
    #[test]
    fn instances_of_a_host_keep_apart() {
        let run = tempfile::tempdir().unwrap();
        let one = open(run.path(), "one", "100000:655360");
        let two = open(run.path(), "two", "130000:655360");
        let mut all = Vec::new();
        for number in 0..5 {
            all.push(one.take(&format!("a{number}")).unwrap());
            // It fits only between those of the first, if at all.
            all.extend(two.take(&format!("b{number}")));
        }
        assert!(all.len() > 5, "{all:?}");
        for (index, range) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| !other.meets(*range)), "{all:?}");
        }
    }

    #[test]
    fn a_restart_keeps_what_tasks_have_and_forgets_what_nobody_got() {
        let run = tempfile::tempdir().unwrap();
        let first = open(run.path(), "one", "100000:131072");
        let (survivor, cut_short) = (first.take("survivor").unwrap(), first.take("short").unwrap());
        drop(first);
        let second = open(run.path(), "one", "100000:131072");
        second.keep("survivor", survivor).unwrap();
        second.restore().unwrap();
        assert_eq!(names(&run.path().join("one/ids")), [survivor.first().to_string()]);
        assert_eq!(second.take("new").unwrap(), cut_short);
        assert!(second.take("another").is_err());
        assert_eq!(second.of("survivor"), Some(survivor));
    }

    #[test]
    fn cleaned_files_are_written_again() {
        let run = tempfile::tempdir().unwrap();
        let one = open(run.path(), "one", "100000:131072");
        let range = one.take("task").unwrap();
        fs::remove_dir_all(run.path().join("one")).unwrap();
        assert_ne!(one.take("other").unwrap(), range);
        one.restore().unwrap();
        assert!(open(run.path(), "two", "100000:131072").take("task").is_err());
    }
}
