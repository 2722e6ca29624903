//! The store itself: open, read, write, watch.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use outport_backup::Frozen;
use outport_model::clock::StepWatch;
use outport_model::{Now, TimestampMs};

use crate::commit::Pipeline;
use crate::error::{Fault, FaultKind, OpenError, WriteError};
use crate::host::{Clock, Ids};
use crate::journal::{Journal, NullJournal, SqliteJournal};
use crate::load::load;
use crate::room::Room;
use crate::snapshot::{Snapshot, Watch};
use crate::tables::{InTables, Tables};
use crate::touched::{RowWatch, TouchedRows};
use crate::transaction::Transaction;

/// The one place where components meet. A clone is another handle of the same store; the journal is
/// closed, and the data directory unlocked, when the last handle goes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: Arc<Pipeline>,
    committer: Committer,
    clock: Arc<dyn Clock>,
    steps: Mutex<StepWatch>,
    ids: Arc<dyn Ids>,
    instance_id: String,
}

enum Committer {
    /// The journal waits for a disk, so it has a thread, and writes share its commits.
    Thread(Option<JoinHandle<()>>),
    /// The journal is done at once: each write commits by itself, on the caller's thread.
    Inline(Mutex<Box<dyn Journal>>),
}

impl Store {
    /// Opens the store in a directory, which is made (0700) if need be and locked for as long as a
    /// handle lives. All rows are read and checked before this returns.
    pub fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        let journal = SqliteJournal::open(directory, ids.as_ref())?;
        Self::with_journal_thread(journal, clock, ids)
    }

    /// A store that forgets everything with its last handle. It has no thread: a write is done when it
    /// is first polled.
    pub fn in_memory(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let journal = Box::new(NullJournal);
        let (tables, room) = (Tables::default(), Room::new(None, 0));
        Self::assemble(tables, room, String::from("00000000"), clock, ids, |_| {
            Committer::Inline(Mutex::new(journal))
        })
    }

    /// A store on another journal, without a thread: a write is done when it is first polled.
    pub fn with_journal(
        mut journal: impl Journal,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        let (tables, instance_id) = load(&mut journal)?;
        let room = Room::new(journal.directory(), journal.bytes());
        Ok(Self::assemble(tables, room, instance_id, clock, ids, |_| {
            Committer::Inline(Mutex::new(Box::new(journal)))
        }))
    }

    /// A store on another journal, which gets a thread of its own and whole batches of writes.
    pub fn with_journal_thread(
        mut journal: impl Journal,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        let (tables, instance_id) = load(&mut journal)?;
        let room = Room::new(journal.directory(), journal.bytes());
        let mut spawned = Ok(());
        let store = Self::assemble(tables, room, instance_id, clock, ids, |pipeline| {
            let pipeline = Arc::clone(pipeline);
            let thread = std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || pipeline.run(&mut journal));
            let thread = thread.map_err(|error| {
                spawned = Err(OpenError::Io {
                    action: "start the journal of",
                    path: "the store".into(),
                    reason: error.to_string(),
                });
            });
            Committer::Thread(thread.ok())
        });
        spawned.map(|()| store)
    }

    fn assemble(
        tables: Tables,
        room: Room,
        instance_id: String,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        committer: impl FnOnce(&Arc<Pipeline>) -> Committer,
    ) -> Self {
        let pipeline = Arc::new(Pipeline::new(tables, room));
        let committer = committer(&pipeline);
        let steps = Mutex::new(StepWatch::new(clock.read()));
        Self { inner: Arc::new(Inner { pipeline, committer, clock, steps, ids, instance_id }) }
    }

    /// From this many bytes of rows on it is full; [`crate::BYTES_MAX_DEFAULT`] unless this was called.
    pub fn limit_bytes(&self, bytes_max: u64) {
        self.inner.pipeline.room().limit_bytes(bytes_max);
    }

    /// Whether callers have filled it. It goes on to take what they remove and stop, and rows that are no
    /// caller's, until they take a quarter more.
    pub fn is_full(&self) -> bool {
        self.inner.pipeline.room().is_full()
    }

    /// Bytes of all rows as the journal writes them. In memory they take about twice that, revisions that nobody runs a
    /// quarter.
    pub fn bytes(&self) -> u64 {
        self.inner.pipeline.room().bytes()
    }

    /// Writes that are accepted and not on disk yet, at most [`WRITES_WAITING_MAX`](crate::WRITES_WAITING_MAX).
    pub fn writes_waiting(&self) -> usize {
        self.inner.pipeline.waiting()
    }

    /// The newest durable state.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.pipeline.snapshot()
    }

    /// Runs `change` once, alone, on the newest state. `Err` leaves no trace; `Ok` is returned when
    /// the change is on disk, and from then on every reader sees it. Once polled, a write is done even
    /// if its future is dropped.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, WriteError<E>> {
        let (answer, settled) = self.accept(change).map_err(WriteError::Fault)?;
        if let Committer::Inline(journal) = &self.inner.committer {
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            self.inner.pipeline.commit_waiting(journal.as_mut());
        }
        if let Some(settled) = settled {
            let closed = |_| Err(Fault::new(FaultKind::Closed, "the journal stopped"));
            settled.await.unwrap_or_else(closed).map_err(WriteError::Fault)?;
        }
        answer.map_err(WriteError::Rejected)
    }

    fn accept<T, E>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(Result<T, E>, crate::commit::Settled), Fault> {
        let Inner { pipeline, ids, .. } = self.inner.as_ref();
        pipeline.accept(|head| {
            let mut transaction = Transaction::new(head, self.now(), ids.as_ref());
            let answer = change(&mut transaction);
            let changed = answer.is_ok().then(|| transaction.into_write());
            (answer, changed)
        })
    }

    /// The files of the journal as they are now, with all that was acknowledged. Writes wait while they are copied, a second
    /// or so for the most that there may be; the copies take space on their disk until they are dropped. Blocks.
    ///
    /// # Errors
    /// Those of the disk; that the journal has no thread of its own, or no files.
    pub fn freeze(&self) -> Result<Vec<Frozen>, Fault> {
        match &self.inner.committer {
            Committer::Thread(_) => self.inner.pipeline.freeze(),
            Committer::Inline(journal) => {
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                journal.freeze().map_err(|error| Fault::from(&error))
            }
        }
    }

    /// A watch on commits, which has seen those until now.
    pub fn watch(&self) -> Watch {
        Watch::new(self.inner.pipeline.watch())
    }

    /// A watch on one row and what belongs to it; it has seen the commits until now. The row need not be there.
    pub fn watch_row<R: InTables>(&self, key: &R::Key) -> RowWatch<R::Key> {
        let watchers = R::watchers(self.inner.pipeline.watchers());
        RowWatch::new(Arc::clone(watchers), key.clone())
    }

    /// The rows of one kind that commits touch from now on, collected; all of them count as touched at first.
    pub fn touched_rows<R: InTables>(&self) -> TouchedRows<R::Key> {
        TouchedRows::new(R::watchers(self.inner.pipeline.watchers()))
    }

    /// The wall clock, for what is written down.
    pub fn now_ms(&self) -> TimestampMs {
        self.now().wall_ms
    }

    /// The time for decisions on what has elapsed.
    pub fn now(&self) -> Now {
        let mut steps = self.inner.steps.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that readings come in their order.
        steps.look(self.inner.clock.read())
    }

    /// 8 lower-case hexadecimal digits, made with the journal and kept in it: they tell it from another one. Not the instance
    /// of the data directory, which is in the names of things on the host.
    pub fn instance_id(&self) -> &str {
        &self.inner.instance_id
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pipeline.close();
        self.pipeline.watchers().close();
        if let Committer::Thread(thread) = &mut self.committer
            && let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!(event = "journal_thread_panicked", "the journal's thread panicked");
        }
    }
}
