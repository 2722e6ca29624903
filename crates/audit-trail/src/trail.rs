//! The queue, and the thread that empties it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use metrics::counter;
use outport_model::TimestampMs;

use crate::event::{Event, gap_line};
use crate::segments::Segments;

/// Events that wait to be written, at most.
const QUEUE_EVENTS_MAX: usize = 4096;
/// About how many bytes they may take.
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// Bytes that are written at once, at most.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long an end waits for the disk.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What a trail is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// All files together, at most.
    pub bytes_max: u64,
    /// Whose the lines are that the trail writes of itself.
    pub account: String,
    pub region: String,
}

/// The directory of the trail cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the audit trail in {}: {source}", directory.display())]
pub struct OpenError {
    pub directory: PathBuf,
    pub source: io::Error,
}

/// The trail of one installation. Clones are the same trail.
#[derive(Clone)]
pub struct AuditTrail {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    /// Of events that wait.
    bytes: AtomicUsize,
    /// Events that are missing, and of which the trail does not say so yet.
    lost: AtomicU64,
}

enum Message {
    Event(Box<Event>),
    /// Says when all before it is written.
    Flush(SyncSender<()>),
    End,
}

impl AuditTrail {
    /// The trail in `directory`, which is made where it is not.
    ///
    /// # Errors
    /// When the directory or the thread cannot be made.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let failed = |source| OpenError { directory: directory.to_owned(), source };
        let segments = Segments::open(directory, options.bytes_max).map_err(failed)?;
        let (queue, waiting) = sync_channel(QUEUE_EVENTS_MAX);
        let shared = Arc::new(Shared::default());
        // It is there before the first loss, so that one is seen to come.
        shared.lose(0);
        let mut writer = Writer {
            segments: Box::new(segments),
            shared: Arc::clone(&shared),
            options,
            is_failing: false,
        };
        let thread = Builder::new().name("audit-trail".to_owned());
        let thread = thread.spawn(move || writer.run(&waiting)).map_err(failed)?;
        let thread = Mutex::new(Some(thread));
        let inner = Inner { directory: directory.to_owned(), queue, shared, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands an event to who writes it. Neither waits nor fails: where there is no room, the event is counted as lost.
    pub fn record(&self, event: Event) {
        let Inner { queue, shared, .. } = &*self.inner;
        let bytes = event.bytes();
        if shared.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX
            || queue.try_send(Message::Event(Box::new(event))).is_err()
        {
            shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            shared.lose(1);
        }
    }

    /// Waits until all that was recorded before is written or lost. Blocks.
    pub fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.inner.queue.send(Message::Flush(done)).is_ok() {
            // A writer that is gone has nothing to write any more.
            let _ = is_done.recv();
        }
    }

    /// Writes what waits, and ends; gives a disk that hangs a few seconds. Blocks.
    pub fn end(&self) {
        let (done, is_done) = sync_channel(1);
        let queue = &self.inner.queue;
        let flush = queue.try_send(Message::Flush(done));
        if flush.is_ok() && is_done.recv_timeout(END_TIMEOUT).is_err() {
            return;
        }
        if matches!(queue.try_send(Message::End), Err(TrySendError::Full(_))) {
            return;
        }
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has caught nothing that could panic.
            let _ = thread.join();
        }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = &self.inner.directory;
        formatter.debug_struct("AuditTrail").field("directory", directory).finish_non_exhaustive()
    }
}

impl Shared {
    fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
        counter!("outport_audit_events_lost_total").increment(events);
    }
}

/// Where lines go: the segments, or what a test puts there.
trait Lines: Send {
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
    fn sync(&mut self);
}

impl Lines for Segments {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        Segments::write(self, lines)
    }
    fn sync(&mut self) {
        Segments::sync(self);
    }
}

struct Writer {
    segments: Box<dyn Lines>,
    shared: Arc<Shared>,
    options: Options,
    is_failing: bool,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<Message>) {
        let mut batch = Batch::default();
        while let Ok(first) = waiting.recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Event(event) => {
                        let bytes = event.bytes();
                        batch.add(&event);
                        drop(event);
                        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
                        if batch.lines.len() > BATCH_BYTES_MAX {
                            self.write(&mut batch);
                        }
                    }
                    Message::Flush(done) => {
                        self.write(&mut batch);
                        // Who asked may have gone.
                        let _ = done.send(());
                    }
                    Message::End => {
                        self.write(&mut batch);
                        self.segments.sync();
                        return;
                    }
                }
                next = waiting.try_recv().ok();
            }
            self.write(&mut batch);
        }
    }

    /// Writes all of it, after what is to be said of a gap before it.
    fn write(&mut self, batch: &mut Batch) {
        let Batch { lines, events, last_ms } = std::mem::take(batch);
        if events == 0 {
            return;
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        let mut text = String::new();
        if lost > 0 {
            let Options { account, region, .. } = &self.options;
            text = gap_line(account, region, last_ms, lost, &new_id());
        }
        text += &lines;
        match self.segments.write(text.as_bytes()) {
            Ok(()) => {
                counter!("outport_audit_events_total").increment(events);
                if lost > 0 {
                    tracing::warn!(
                        event = "audit_events_lost",
                        events = lost,
                        "events are missing in the audit trail, which says so at the place"
                    );
                }
                self.is_failing = false;
            }
            Err(error) => {
                // Those of before were counted in the metric when they were lost.
                self.shared.lost.fetch_add(lost, Ordering::Relaxed);
                self.shared.lose(events);
                if !self.is_failing {
                    tracing::error!(
                        event = "audit_trail_not_written",
                        %error,
                        "the audit trail cannot be written: calls go on, and are missing in it"
                    );
                }
                self.is_failing = true;
            }
        }
    }
}

/// Lines that are written together.
#[derive(Default)]
struct Batch {
    lines: String,
    events: u64,
    last_ms: TimestampMs,
}

impl Batch {
    fn add(&mut self, event: &Event) {
        let recipients = event.recipients();
        let shared_id = (recipients.len() > 1).then(new_id);
        for recipient in recipients {
            self.lines += &event.line(&new_id(), recipient, shared_id.as_deref());
        }
        self.events += 1;
        self.last_ms = event.ended_at_ms;
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::tests::event;

    fn options() -> Options {
        Options {
            bytes_max: 1 << 20,
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    fn written(directory: &Path) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        let mut files: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
        lines
    }

    #[test]
    fn what_is_recorded_is_written_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let trail = AuditTrail::open(directory.path(), options()).unwrap();
        for at_ms in 0..100 {
            trail.record(event("DeleteCluster", at_ms * 1000));
        }
        trail.end();
        let written = written(directory.path());
        assert_eq!(written.len(), 100);
        assert_eq!(written[99]["eventTime"], "1970-01-01T00:01:39Z");
        assert_ne!(written[0]["eventID"], written[1]["eventID"]);
        // What comes too late is lost, and nothing else.
        trail.record(event("DeleteCluster", 0));
        trail.flush();
        trail.end();
    }

    /// A disk that is full until somebody makes room.
    struct Disk {
        has_room: Arc<Mutex<bool>>,
        lines: Arc<Mutex<String>>,
    }

    impl Lines for Disk {
        fn write(&mut self, lines: &[u8]) -> io::Result<()> {
            if !*self.has_room.lock().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *self.lines.lock().unwrap() += std::str::from_utf8(lines).unwrap();
            Ok(())
        }
        fn sync(&mut self) {}
    }

    #[test]
    fn a_gap_is_said_once_there_is_room() {
        let (has_room, lines) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(String::new())));
        let shared = Arc::new(Shared::default());
        let mut writer = Writer {
            segments: Box::new(Disk { has_room: has_room.clone(), lines: lines.clone() }),
            shared: shared.clone(),
            options: options(),
            is_failing: false,
        };
        let mut write = |count: i64| {
            let mut batch = Batch::default();
            (0..count).for_each(|at_ms| batch.add(&event("DeleteCluster", at_ms)));
            writer.write(&mut batch);
        };
        write(3);
        write(2);
        assert_eq!(shared.lost.load(Ordering::Relaxed), 5);
        *has_room.lock().unwrap() = true;
        write(1);
        write(1);
        let lines = lines.lock().unwrap();
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let lines: Vec<_> = lines.lines().map(read).collect();
        let names: Vec<_> = lines.iter().map(|line| line["eventName"].as_str().unwrap()).collect();
        assert_eq!(names, ["AuditTrailGap", "DeleteCluster", "DeleteCluster"]);
        assert_eq!(lines[0]["serviceEventDetails"]["eventsLost"], 5);
        assert_eq!(lines[0]["recipientAccountId"], "000000000000");
    }

    /// Nobody empties the queue: what has no room in it is lost, and whoever records does not wait.
    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let (queue, waiting) = sync_channel(2);
        let inner = Inner {
            directory: PathBuf::new(),
            queue,
            shared: Arc::default(),
            thread: Mutex::default(),
        };
        let trail = AuditTrail { inner: Arc::new(inner) };
        for at_ms in 0..5 {
            trail.record(event("DeleteCluster", at_ms));
        }
        assert_eq!(trail.inner.shared.lost.load(Ordering::Relaxed), 3);
        let waiting_bytes = 2 * event("DeleteCluster", 0).bytes();
        assert_eq!(trail.inner.shared.bytes.load(Ordering::Relaxed), waiting_bytes);
        drop(waiting);
    }
}
