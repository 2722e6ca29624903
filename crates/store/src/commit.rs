//! From an accepted write to a durable, visible one.
//!
//! ```text
//! writer:   closure on `head` -> queue ----------------------------------> reply
//! journal:                        take all -> one commit -> publish --------^
//! ```
//!
//! Writers run one after the other on `head`, the newest accepted state; readers see `durable`. While
//! one commit is on its way to the disk the next writes queue up and share the next one.
//!
//! **Invariant:** no answer rests on a write that is not on disk. A write that changed nothing, or was
//! rejected, still waits for the writes that it has seen. When a commit fails, it and every write
//! accepted on top of it are taken back, and `head` is `durable` again.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use metrics::histogram;
use outport_backup::Frozen;
use tokio::sync::{oneshot, watch};

use crate::error::{Fault, FaultKind, JournalError};
use crate::journal::{Change, Journal};
use crate::room::Room;
use crate::snapshot::Snapshot;
use crate::tables::{Tables, Touched, WatchersByTable};
use crate::transaction::Write;

/// Writes that may wait for the disk at once; more are refused as overload.
pub const WRITES_WAITING_MAX: usize = 65_536;
/// Writes that share one commit at most: a commit must not grow without bound.
pub const WRITES_PER_COMMIT_MAX: usize = 4_096;

/// Without a write for so long, the journal does what it can do later.
const CALM: Duration = Duration::from_millis(200);
/// How often a process that does not lead looks for what the leader committed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Pipeline {
    queue: Mutex<Queue>,
    wake: Condvar,
    durable: RwLock<Snapshot>,
    version: watch::Sender<u64>,
    watchers: WatchersByTable,
    room: Room,
}

struct Queue {
    head: Tables,
    waiting: VecDeque<Waiting>,
    /// Who wants to have the journal's files as they are.
    freezes: Vec<mpsc::Sender<Result<Vec<Frozen>, JournalError>>>,
    /// Whether a commit is being written now.
    committing: bool,
    closed: bool,
}

struct Waiting {
    /// The state with this write and all before it.
    tables: Tables,
    changes: Vec<Change>,
    touched: Touched,
    /// For the metrics; nothing is decided by it.
    since: Instant,
    done: oneshot::Sender<Result<(), Fault>>,
}

/// Resolves when what a write did or saw is durable.
pub(crate) type Settled = Option<oneshot::Receiver<Result<(), Fault>>>;

impl Pipeline {
    pub(crate) fn new(tables: Tables, room: Room) -> Self {
        Self {
            queue: Mutex::new(Queue {
                head: tables.clone(),
                waiting: VecDeque::new(),
                freezes: Vec::new(),
                committing: false,
                closed: false,
            }),
            wake: Condvar::new(),
            durable: RwLock::new(Snapshot::new(0, tables)),
            version: watch::Sender::new(0),
            watchers: WatchersByTable::default(),
            room,
        }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.durable.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn watchers(&self) -> &WatchersByTable {
        &self.watchers
    }

    /// A closure that panicked has left `head` as it was, so a poisoned lock is a good one.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `write` on the newest state, alone, and queues what it changed.
    pub(crate) fn accept<T>(
        &self,
        write: impl FnOnce(Tables) -> (T, Option<Write>),
    ) -> Result<(T, Settled), Fault> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Fault::new(FaultKind::Closed, "the store is closed"));
        }
        if queue.waiting.len() >= WRITES_WAITING_MAX {
            return Err(Fault::new(FaultKind::Overloaded, "too many writes wait for the disk"));
        }
        let (answer, changed) = write(queue.head.clone());
        let Write { tables, changes, touched } = changed.unwrap_or_else(|| Write {
            tables: queue.head.clone(),
            changes: Vec::new(),
            touched: Touched::default(),
        });
        let nothing_under_way = queue.waiting.is_empty() && !queue.committing;
        self.room.check(&changes)?;
        if changes.is_empty() && nothing_under_way {
            return Ok((answer, None));
        }
        let (done, settled) = oneshot::channel();
        queue.head = tables.clone();
        let since = Instant::now();
        queue.waiting.push_back(Waiting { tables, changes, touched, since, done });
        drop(queue);
        self.wake.notify_one();
        Ok((answer, Some(settled)))
    }

    /// Commits what waits, if anything, as one; for journals that are done at once.
    pub(crate) fn commit_waiting(&self, journal: &mut dyn Journal) {
        let batch = take_batch(&mut self.queue());
        if !batch.is_empty() {
            self.commit(batch, journal);
        }
    }

    /// The journal's thread: commits until the store is closed and nothing waits.
    pub(crate) fn run(&self, journal: &mut dyn Journal) {
        let _closer = CloseOnExit(self);
        loop {
            while self.is_idle() && journal.take_reserve(false) {}
            // Who led may have been replaced while nothing was written here.
            let (is_shared, leads) = (journal.is_shared(), journal.leads());
            if !leads && let Err(fault) = self.follow(journal) {
                tracing::error!(
                    event = "replica_apply_failed",
                    detail = fault.detail,
                    "cannot apply what the leader wrote"
                );
            }
            let (batch, freezes) = {
                let mut queue = self.queue();
                let mut is_calm = false;
                while queue.has_nothing_to_do() {
                    if is_shared {
                        let wait = self.wake.wait_timeout(queue, FOLLOW_INTERVAL);
                        queue = wait.unwrap_or_else(PoisonError::into_inner).0;
                        break;
                    }
                    if is_calm {
                        queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                        continue;
                    }
                    let wait = self.wake.wait_timeout(queue, CALM);
                    let (waited, wait) = wait.unwrap_or_else(PoisonError::into_inner);
                    queue = waited;
                    if wait.timed_out() && queue.has_nothing_to_do() {
                        drop(queue);
                        while self.is_idle() && journal.take_reserve(true) {}
                        (queue, is_calm) = (self.queue(), true);
                    }
                }
                if queue.waiting.is_empty() && queue.closed {
                    return;
                }
                let freezes = std::mem::take(&mut queue.freezes);
                (take_batch(&mut queue), freezes)
            };
            self.commit(batch, journal);
            for asked in freezes {
                // Whoever asked may have gone.
                let _ = asked.send(journal.freeze());
            }
        }
    }

    /// The journal's files as they are between two commits; waits for them. All that was acknowledged is in them.
    pub(crate) fn freeze(&self) -> Result<Vec<Frozen>, Fault> {
        let closed = |_| Fault::new(FaultKind::Closed, "the journal stopped");
        let (asked, frozen) = mpsc::channel();
        {
            let mut queue = self.queue();
            match queue.closed {
                // Nobody would answer.
                true => drop(asked),
                false => queue.freezes.push(asked),
            }
        }
        self.wake.notify_one();
        frozen.recv().map_err(closed)?.map_err(|error| Fault::from(&error))
    }

    /// Writes that wait for the disk now.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    fn is_idle(&self) -> bool {
        let queue = self.queue();
        queue.waiting.is_empty() && !queue.closed
    }

    /// No write is accepted from now on; those that wait are still committed.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.wake.notify_all();
    }

    fn commit(&self, mut batch: Vec<Waiting>, journal: &mut dyn Journal) {
        while !batch.is_empty() {
            // A write that changed nothing waits for those before it, and the journal need not hear of it.
            let changes = |write: &mut Waiting| std::mem::take(&mut write.changes);
            let writes: Vec<Vec<Change>> = batch.iter_mut().map(changes).collect();
            let done = match writes.iter().all(Vec::is_empty) {
                true => Ok(batch.len()),
                false => journal.commit(&writes),
            };
            let done = match done {
                Ok(done) => done.clamp(1, batch.len()),
                Err(error) => {
                    let writes = batch.len();
                    tracing::error!(
                        event = "commit_failed",
                        %error,
                        writes,
                        "a commit failed; its writes are taken back"
                    );
                    self.take_back(batch, &Fault::from(&error));
                    return;
                }
            };
            let rest = batch.split_off(done);
            if let Some(oldest) = batch.first() {
                histogram!("outport_commit_seconds").record(oldest.since.elapsed());
                histogram!("outport_commit_writes").record(done as f64);
            }
            let has_changes = writes[..done].iter().any(|changes| !changes.is_empty());
            self.settle(batch, has_changes, journal.bytes());
            batch = rest;
            for (write, changes) in batch.iter_mut().zip(writes.into_iter().skip(done)) {
                write.changes = changes;
            }
        }
        self.queue().committing = false;
    }

    /// Shows and acknowledges writes that are durable.
    fn settle(&self, mut batch: Vec<Waiting>, has_changes: bool, bytes: u64) {
        if has_changes && let Some(last) = batch.last() {
            self.room.set_bytes(bytes);
            let tables = last.tables.clone();
            let mut touched = Touched::default();
            for write in &mut batch {
                touched.merge(std::mem::take(&mut write.touched));
            }
            self.publish(tables, &touched);
        }
        for write in batch {
            // A caller that went away does not need the answer; the write stands.
            let _ = write.done.send(Ok(()));
        }
    }

    /// Takes in what another process committed. Whether it did: writes of this one are refused by its journal.
    ///
    /// # Errors
    /// The journal could not say what came, and is asked again; or what came cannot be read here, as it is of a newer
    /// version: then the state stays what it was, and the store is closed, so that it never leads with it.
    pub(crate) fn follow(&self, journal: &mut dyn Journal) -> Result<bool, Fault> {
        let changes = journal.follow().map_err(|error| Fault::from(&error))?;
        if changes.is_empty() {
            return Ok(false);
        }
        let mut queue = self.queue();
        let mut tables = self.snapshot().tables().clone();
        let mut touched = Touched::default();
        for change in &changes {
            if let Err(reason) = tables.apply(change, &mut touched) {
                // The journal has told it and will not again: this state is not the leader's any more.
                queue.closed = true;
                return Err(Fault::from(&JournalError::Unreadable(reason.to_string())));
            }
        }
        queue.head = tables.clone();
        let waiting = std::mem::take(&mut queue.waiting);
        self.publish(tables, &touched);
        drop(queue);
        for write in waiting {
            let _ = write.done.send(Err(Fault::from(&JournalError::NotLeader)));
        }
        Ok(true)
    }

    fn publish(&self, tables: Tables, touched: &Touched) {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        let version = durable.version() + 1;
        *durable = Snapshot::new(version, tables);
        drop(durable);
        // Who is woken sees at least this state.
        self.watchers.tell(touched);
        self.version.send_replace(version);
    }

    fn take_back(&self, batch: Vec<Waiting>, fault: &Fault) {
        let durable = self.snapshot();
        let mut queue = self.queue();
        queue.head = durable.tables().clone();
        queue.committing = false;
        let later = std::mem::take(&mut queue.waiting);
        drop(queue);
        for write in batch.into_iter().chain(later) {
            let _ = write.done.send(Err(fault.clone()));
        }
    }
}

impl Queue {
    fn has_nothing_to_do(&self) -> bool {
        self.waiting.is_empty() && self.freezes.is_empty() && !self.closed
    }
}

fn take_batch(queue: &mut Queue) -> Vec<Waiting> {
    let count = queue.waiting.len().min(WRITES_PER_COMMIT_MAX);
    queue.committing = count > 0;
    queue.waiting.drain(..count).collect()
}

/// Should the journal's thread die, callers get an error instead of waiting for ever.
struct CloseOnExit<'a>(&'a Pipeline);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        queue.waiting.clear();
        queue.freezes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_the_files_of_a_journal_that_has_stopped() {
        let pipeline = Pipeline::new(Tables::default(), Room::new(None, 0));
        pipeline.close();
        assert_eq!(pipeline.freeze().err().unwrap().kind, FaultKind::Closed);
    }
}
