//! Ships what one container writes to its log stream, in order, each line once.
//!
//! The cursor of a log is `segment << 32 | offset`. The control plane commits it together with the
//! events, so a repeat after a crash of either side changes nothing. A stream that somebody deleted and
//! that is made again has no cursor: it begins at the one that this node has marked shipped.
//!
//! A receiver that refuses, such as a log group that is gone, is asked again for ever. Lines that will never be taken
//! are halved until those that are wrong stand alone; a line in their place says how many there were.
//!
//! **Invariant:** a line is marked shipped on this node only after the control plane has it on disk, or has said that it
//! will never take it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use outport_container_runtime::log::LogContent;
use outport_container_runtime::{LogCursor, LogReader, LogStream};
use outport_model::TaskId;
use outport_node_protocol::{LOG_BATCH_BYTES_MAX, LOG_EVENTS_PER_BATCH_MAX, LogBatch, LogEvent};
use tokio::sync::watch;

use crate::control_plane::{ControlPlane, now_ms};
use crate::link_error::LinkError;
use crate::log_news::{LogListener, LogNews};

/// A line that was just written may have company: this much is waited for it.
const LINGER: Duration = Duration::from_millis(20);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Pieces of a longer line become events of their own, cut by the shim. Source: the awslogs driver's largest
/// event, 256 KiB less the 26 bytes that CloudWatch Logs counts for each.
const EVENT_BYTES_MAX: usize = 262_144 - EVENT_OVERHEAD_BYTES;
/// Into an event with less room no further character may fit.
const CHARACTER_BYTES_MAX: usize = 4;
/// How often a batch is halved to find the lines that are never taken; then what is refused is dropped whole.
const SPLITS_PER_BATCH_MAX: usize = 64;
/// Of the control plane's word on lines that are not taken.
const REASON_CHARS_MAX: usize = 200;
/// What CloudWatch Logs counts for an event beside its message.
const EVENT_OVERHEAD_BYTES: usize = 26;

/// One container's log and where it goes.
pub struct LogShipper {
    pub control_plane: Arc<ControlPlane>,
    pub news: Arc<LogNews>,
    pub task: TaskId,
    pub container: String,
    pub directory: PathBuf,
    /// True once the container has ended: what is in the files then is all.
    pub ended: watch::Receiver<bool>,
    /// Lines that were dropped because they are never taken.
    pub dropped: u64,
}

/// Why shipping came to a halt.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    /// The control plane cannot be reached, or does not take it.
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Node(#[from] io::Error),
}

/// What was read and not shipped yet.
#[derive(Default)]
struct Pending {
    events: Vec<LogEvent>,
    bytes: usize,
    /// The line whose end was not seen yet, and what it was written to.
    line: Vec<u8>,
    line_stream: Option<LogStream>,
    /// How long the event will be, see [`shown_bytes`].
    line_shown_bytes: usize,
    line_time_ms: i64,
    /// Behind the last piece of it.
    line_cursor: u64,
}

impl LogShipper {
    /// Makes the stream if need be and answers the committed cursor.
    pub async fn open(&self) -> Result<u64, LinkError> {
        let shipped = LogCursor::shipped(&self.directory).unwrap_or_default();
        // A stream that was never shipped to begins where this node is: what it has delivered before, to one
        // that somebody has deleted since, does not come a second time.
        self.send(&self.batch(pack(shipped), pack(shipped), Vec::new())).await
    }

    /// Ships until the container has ended and all is delivered, or the control plane no longer knows the
    /// task. A refusal, such as of a group that somebody has deleted, is no end: the log is offered again,
    /// as the awslogs driver goes on offering what comes, and so is what this node lacks for the moment,
    /// such as descriptors.
    pub async fn run(mut self) {
        let mut retry = RETRY_FIRST;
        loop {
            let begun = Instant::now();
            let Err(error) = self.ship_all().await else { return };
            let (task, container) = (&self.task, &self.container);
            if error.is_final() {
                tracing::error!(%task, container, %error, "its log is not shipped any further");
                return;
            }
            if begun.elapsed() > RETRY_MAX {
                retry = RETRY_FIRST;
            }
            match retry < RETRY_MAX {
                true => {
                    tracing::warn!(%task, container, %error, "its log is not taken; trying again")
                }
                false => tracing::debug!(%task, container, %error, "its log is still not taken"),
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn ship_all(&mut self) -> Result<(), ShipError> {
        let news = self.news.clone();
        let listener = news.listen(&self.directory)?;
        let mut committed = self.open().await?;
        let mut reader = LogReader::new(&self.directory, unpack(committed));
        let mut pending = Pending::default();
        loop {
            // A sender that is gone has said all that it will say.
            let ended = self.ended.has_changed().is_err() || *self.ended.borrow_and_update();
            let room = news.room_for_batch().await;
            let more = read_batch(&mut reader, &mut pending, ended)?;
            if let Some(last) = pending.events.last() {
                let to = last.end_cursor;
                let events = std::mem::take(&mut pending.events);
                pending.bytes = 0;
                let answer = self.deliver(committed, events).await?;
                drop(room);
                if answer != to {
                    // Another attempt of ours got further, or less far: go on from there.
                    reader = LogReader::new(&self.directory, unpack(answer));
                    pending = Pending::default();
                }
                committed = answer;
                self.mark_shipped(unpack(committed)).await?;
                continue;
            }
            drop(room);
            if more {
                continue;
            }
            if pending.line.is_empty() {
                // What is behind the last event holds no text: empty lines.
                self.mark_shipped(reader.cursor()).await?;
            }
            if ended {
                return Ok(());
            }
            self.wait(&listener, ended).await;
        }
    }

    /// Lets the shim delete what was delivered. A full disk is waited for: a container that is held
    /// back until its log is shipped goes on only then.
    async fn mark_shipped(&self, cursor: LogCursor) -> io::Result<()> {
        let mut retry = RETRY_FIRST;
        loop {
            match cursor.mark_shipped(&self.directory) {
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    tracing::warn!(task = %self.task, %error, "its log waits for space on the disk");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
                marked => return marked,
            }
        }
    }

    /// Until something was written or the container ended.
    async fn wait(&mut self, listener: &LogListener, ended: bool) {
        if ended {
            return;
        }
        let written = tokio::select! {
            () = listener.grown() => true,
            // A sender that is gone has said that it ended.
            _ended_or_gone = self.ended.changed() => false,
        };
        if written {
            tokio::time::sleep(LINGER).await;
        }
    }

    fn batch(&self, from_cursor: u64, to_cursor: u64, events: Vec<LogEvent>) -> LogBatch {
        LogBatch {
            node: self.control_plane.node().clone(),
            task: self.task.clone(),
            container: self.container.clone(),
            from_cursor,
            to_cursor,
            events,
        }
    }

    /// Sends the events, and answers the cursor that is committed then. What will never be taken is left out.
    pub(crate) async fn deliver(
        &mut self,
        from: u64,
        events: Vec<LogEvent>,
    ) -> Result<u64, LinkError> {
        let (mut committed, mut splits_left) = (from, SPLITS_PER_BATCH_MAX);
        // Those that come first on top.
        let mut parts = vec![Part { events, is_note: false }];
        while let Some(part) = parts.pop() {
            let Some(to) = part.events.last().map(|last| last.end_cursor) else { continue };
            let batch = self.batch(committed, to, part.events);
            match self.send(&batch).await {
                Ok(answer) if answer == to => committed = answer,
                // Another attempt of ours got further, or less far.
                Ok(answer) => return Ok(answer),
                Err(LinkError::Unacceptable(reason)) if !part.is_note => {
                    let mut first = batch.events;
                    if first.len() == 1 || splits_left == 0 {
                        parts.push(self.drop_lines(&first, to, &reason));
                    } else {
                        splits_left -= 1;
                        let second = first.split_off(first.len() / 2);
                        parts.push(Part { events: second, is_note: false });
                        parts.push(Part { events: first, is_note: false });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(committed)
    }

    /// What stands in the place of lines that are never taken.
    fn drop_lines(&mut self, lines: &[LogEvent], end_cursor: u64, reason: &str) -> Part {
        let bytes: usize = lines.iter().map(|line| line.message.len()).sum();
        self.dropped += lines.len() as u64;
        let (task, container, lines, of_all) =
            (&self.task, &self.container, lines.len(), self.dropped);
        tracing::error!(%task, container, lines, bytes, of_all, reason, "log lines are dropped");
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let message = format!("[outport] log lines dropped: {lines} ({bytes} bytes): {reason}");
        let note = LogEvent { timestamp_ms: now_ms(), message, end_cursor };
        Part { events: vec![note], is_note: true }
    }

    async fn send(&self, batch: &LogBatch) -> Result<u64, LinkError> {
        Ok(self.control_plane.logs(batch).await?.committed)
    }
}

/// Of a delivery.
struct Part {
    events: Vec<LogEvent>,
    /// In the place of lines; it is not taken apart any further.
    is_note: bool,
}

impl ShipError {
    /// Whether nobody will ever want the rest: the control plane has forgotten the task, or the log's
    /// directory is gone with its container.
    fn is_final(&self) -> bool {
        match self {
            Self::Link(LinkError::Status { status, .. }) => *status == StatusCode::NOT_FOUND,
            Self::Link(_) => false,
            Self::Node(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

/// Reads up to one batch; whether more may be waiting. With `ended` the last line needs no end.
fn read_batch(reader: &mut LogReader, pending: &mut Pending, ended: bool) -> io::Result<bool> {
    while pending.events.len() < LOG_EVENTS_PER_BATCH_MAX
        && pending.bytes + EVENT_BYTES_MAX + EVENT_OVERHEAD_BYTES <= LOG_BATCH_BYTES_MAX
    {
        let Some(frame) = reader.next()? else {
            if ended {
                pending.end_line();
            }
            return Ok(false);
        };
        match frame.content {
            LogContent::Line { stream, partial, bytes } => {
                let time_ms = i64::try_from(frame.time_ns / 1_000_000).unwrap_or(i64::MAX);
                pending.add(stream, &bytes, time_ms, partial, pack(frame.next));
            }
            LogContent::Dropped { lines, bytes } => {
                tracing::warn!(lines, bytes, "log lines were dropped: the buffer was full");
            }
        }
    }
    Ok(true)
}

impl Pending {
    fn add(&mut self, stream: LogStream, bytes: &[u8], time_ms: i64, partial: bool, cursor: u64) {
        // A cursor is one place in the log: a line that another stream interrupts ends there, so
        // that no piece of it can lie before a committed cursor without having been shipped.
        let interrupts = self.line_stream.is_some_and(|open| open != stream);
        let shown_bytes = shown_bytes(bytes);
        if interrupts || self.line_shown_bytes + shown_bytes > EVENT_BYTES_MAX {
            self.end_line();
        }
        if self.line.is_empty() {
            self.line_time_ms = time_ms;
        }
        self.line_stream = Some(stream);
        self.line.extend_from_slice(bytes);
        self.line_shown_bytes += shown_bytes;
        self.line_cursor = cursor;
        if !partial || self.line_shown_bytes + CHARACTER_BYTES_MAX > EVENT_BYTES_MAX {
            self.end_line();
        }
    }

    /// An empty line is no event: CloudWatch Logs takes none.
    fn end_line(&mut self) {
        self.line_stream = None;
        self.line_shown_bytes = 0;
        let message = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if message.is_empty() {
            return;
        }
        self.bytes += message.len() + EVENT_OVERHEAD_BYTES;
        let (timestamp_ms, end_cursor) = (self.line_time_ms, self.line_cursor);
        self.events.push(LogEvent { timestamp_ms, message, end_cursor });
    }
}

/// How long bytes are as CloudWatch Logs shows and counts them: what is no UTF-8 becomes U+FFFD.
fn shown_bytes(bytes: &[u8]) -> usize {
    let invalid = |chunk: &std::str::Utf8Chunk<'_>| !chunk.invalid().is_empty();
    let shown = |chunk: std::str::Utf8Chunk<'_>| {
        chunk.valid().len()
            + if invalid(&chunk) { char::REPLACEMENT_CHARACTER.len_utf8() } else { 0 }
    };
    bytes.utf8_chunks().map(shown).sum()
}

/// A segment is far smaller than 4 GiB.
fn pack(cursor: LogCursor) -> u64 {
    cursor.segment << 32 | cursor.offset
}

fn unpack(cursor: u64) -> LogCursor {
    LogCursor { segment: cursor >> 32, offset: cursor & u64::from(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pending: &Pending) -> Vec<(&str, u64)> {
        pending.events.iter().map(|event| (event.message.as_str(), event.end_cursor)).collect()
    }

    #[test]
    fn pieces_are_joined_and_empty_lines_left_out() {
        let mut pending = Pending::default();
        pending.add(LogStream::Stdout, b"one ", 1, true, 10);
        pending.add(LogStream::Stdout, b"line", 2, false, 20);
        pending.add(LogStream::Stdout, b"", 3, false, 30);
        pending.add(LogStream::Stderr, b"two", 4, false, 40);
        assert_eq!(texts(&pending), [("one line", 20), ("two", 40)]);
        assert_eq!(pending.events[0].timestamp_ms, 1);
    }

    #[test]
    fn an_interrupted_line_ends_where_its_last_piece_does() {
        let mut pending = Pending::default();
        pending.add(LogStream::Stdout, b"half", 1, true, 10);
        pending.add(LogStream::Stderr, b"whole", 2, false, 20);
        assert_eq!(texts(&pending), [("half", 10), ("whole", 20)]);
    }

    /// As the shim cuts them: each piece is an event of its own, the last one ends the line.
    #[test]
    fn the_pieces_of_a_long_line_are_whole_events() {
        let mut pending = Pending::default();
        let piece = "é".repeat(EVENT_BYTES_MAX / 2);
        pending.add(LogStream::Stdout, piece.as_bytes(), 1, true, 10);
        assert_eq!(pending.events.len(), 1, "it does not wait for the next piece");
        pending.add(LogStream::Stdout, "é".as_bytes(), 2, false, 20);
        assert_eq!(texts(&pending), [(piece.as_str(), 10), ("é", 20)]);
        // Bytes that are shown as three each.
        let noise = vec![0xff; EVENT_BYTES_MAX / 3];
        for cursor in [30, 40] {
            pending.add(LogStream::Stdout, &noise, 3, true, cursor);
        }
        assert_eq!(pending.events.len(), 4);
        assert!(pending.events.iter().all(|event| event.message.len() <= EVENT_BYTES_MAX));
    }

    #[test]
    fn a_longer_line_becomes_several_events() {
        let mut pending = Pending::default();
        let piece = vec![b'x'; 16 << 10];
        for cursor in 1..=40 {
            pending.add(LogStream::Stdout, &piece, 1, true, cursor);
        }
        assert!(pending.events.len() >= 2);
        assert!(pending.events.iter().all(|event| event.message.len() <= EVENT_BYTES_MAX));
    }

    #[test]
    fn cursors_survive_the_trip() {
        let cursor = LogCursor { segment: 7, offset: 4_000_000 };
        assert_eq!(unpack(pack(cursor)), cursor);
    }
}
