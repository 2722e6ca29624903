//! A bounded queue of lines and the thread that writes them.
//!
//! **Invariant:** lines come out whole, in order, once; where some are missing stands how many.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing_subscriber::fmt::MakeWriter;

use super::lost;

/// What may wait to be written. A longer line is never taken.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// The way to one stream.
pub struct Lane {
    shared: Arc<Shared>,
    name: &'static str,
    open: Open,
}

type Open = Box<dyn Fn() -> Box<dyn Write + Send> + Send + Sync>;

struct Shared {
    queue: Mutex<Queue>,
    /// Something came.
    more: Condvar,
    /// Everything is written or lost.
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Entry>,
    bytes: usize,
    /// Lines that did not fit behind the last of the queue.
    lost: u64,
    /// The thread is there.
    is_served: bool,
    is_writing: bool,
}

struct Entry {
    line: Vec<u8>,
    /// How many are missing before it.
    lost_before: u64,
}

impl Lane {
    /// The thread starts with the first line; `open` gives it the stream.
    pub fn new<W: Write + Send + 'static>(
        name: &'static str,
        open: impl Fn() -> W + Send + Sync + 'static,
    ) -> Self {
        let (queue, more, idle) = (Mutex::default(), Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { queue, more, idle });
        Self { shared, name, open: Box::new(move || Box::new(open())) }
    }

    /// Takes a line, with its end; or counts it when there is no room. Never waits for the stream.
    pub fn put(&self, line: Vec<u8>) {
        let mut queue = self.shared.lock();
        if !queue.is_served {
            queue.is_served = self.start();
        }
        if !queue.is_served || queue.bytes + line.len() > QUEUE_BYTES_MAX {
            queue.lost += 1;
        } else {
            queue.bytes += line.len();
            let lost_before = std::mem::take(&mut queue.lost);
            queue.lines.push_back(Entry { line, lost_before });
        }
        self.shared.more.notify_one();
    }

    /// One event of the log.
    pub fn line(&'static self) -> Line {
        Line(self)
    }

    /// Waits until everything is written or lost, at most until `deadline`.
    pub fn finish(&self, deadline: Instant) {
        let mut queue = self.shared.lock();
        while queue.is_served && !queue.is_idle() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.idle.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether there is a thread now. Without one (too many processes) the next line tries again.
    fn start(&self) -> bool {
        let (shared, stream) = (self.shared.clone(), (self.open)());
        let thread = std::thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || shared.write_to(stream)).is_ok()
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.lost == 0 && !self.is_writing
    }

    /// The next line; an empty one when only the number of lost ones is to be said.
    fn take(&mut self) -> Option<Entry> {
        if let Some(entry) = self.lines.pop_front() {
            self.bytes -= entry.line.len();
            if self.lines.is_empty() {
                // A flood is over: its memory is given back.
                self.lines = VecDeque::new();
            }
            return Some(entry);
        }
        let lost_before = std::mem::take(&mut self.lost);
        (lost_before > 0).then(|| Entry { line: Vec::new(), lost_before })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, stream: impl Write) {
        let mut pen = Pen { stream, is_torn: false, lost: 0 };
        loop {
            let entry = self.next();
            pen.write(&entry);
        }
    }

    fn next(&self) -> Entry {
        let mut queue = self.lock();
        queue.is_writing = false;
        loop {
            if let Some(entry) = queue.take() {
                queue.is_writing = true;
                return entry;
            }
            self.idle.notify_all();
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Writes lines and knows which are missing.
struct Pen<W> {
    stream: W,
    /// The last line is there in part.
    is_torn: bool,
    /// Lines that are missing and of which nothing is said yet.
    lost: u64,
}

impl<W: Write> Pen<W> {
    fn write(&mut self, entry: &Entry) {
        self.lost += entry.lost_before;
        let written = self.say_what_is_lost().and_then(|()| self.put(&entry.line));
        if written.is_err() && !entry.line.is_empty() {
            self.lost += 1;
        }
    }

    fn say_what_is_lost(&mut self) -> io::Result<()> {
        if self.lost == 0 {
            return Ok(());
        }
        let end = if self.is_torn { "\n" } else { "" };
        let notice = format!("{end}{}", lost(self.lost));
        self.put(notice.as_bytes())?;
        self.lost = 0;
        Ok(())
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    self.is_torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The log's end of a lane. Each write is an event of the log, whole.
#[derive(Clone, Copy)]
pub struct Line(&'static Lane);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Line {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        *self
    }
}

#[cfg(test)]
mod tests;
