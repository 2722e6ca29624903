//! Ships what one container writes to its log stream, in order, each line once.
//!
//! The cursor of a log is `segment << 32 | offset`. The control plane commits it together with the
//! events, so a repeat after a crash of either side changes nothing. A stream that somebody deleted and
//! that is made again has no cursor: it begins at the one that this node has marked shipped.
//!
//! A receiver that refuses, such as a log group that is gone, is asked again for ever. Lines that will never be taken
//! are halved until those that are wrong stand alone; a line in their place says how many there were. So does one in the
//! place of what cannot be read of the log.
//!
//! **Invariant:** a line is marked shipped on this node only after the control plane has it on disk, or has said that it
//! will never take it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use outport_container_runtime::log::{LogContent, SEGMENT_FIRST};
use outport_container_runtime::{LogCursor, LogReader};
use outport_model::TaskId;
use outport_node_protocol::{LOG_BATCH_BYTES_MAX, LOG_EVENTS_PER_BATCH_MAX, LogBatch, LogEvent};
use tokio::sync::watch;

use crate::control_plane::{ControlPlane, now_ms};
use crate::link_error::LinkError;
use crate::log_damage::LogDamage;
use crate::log_wakeups::{LogListener, LogWakeups};
use crate::pending_log::{EVENT_BYTES_MAX, EVENT_OVERHEAD_BYTES, Pending};
use crate::retry::retry_while;

/// A line that was just written may have company: this much is waited for it.
const LINGER: Duration = Duration::from_millis(20);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often a batch is halved to find the lines that are never taken; then what is refused is dropped whole.
const SPLITS_PER_BATCH_MAX: usize = 64;
/// Of the control plane's word on lines that are not taken.
const REASON_CHARS_MAX: usize = 200;

/// One container's log and where it goes.
pub struct LogShipper {
    pub control_plane: Arc<ControlPlane>,
    pub wakeups: Arc<LogWakeups>,
    pub task: TaskId,
    pub container: String,
    pub directory: PathBuf,
    /// True once the container has ended: what is in the files then is all.
    pub ended: watch::Receiver<bool>,
    /// Lines that were dropped because they are never taken.
    pub dropped: u64,
    /// What could not be read of the log.
    pub damage: LogDamage,
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
                self.wakeups.lag.is_over(task, container, 0);
                tracing::error!(
                    event = "container_log_ended",
                    %task,
                    container,
                    path = %self.directory.display(),
                    %error,
                    "the log of a container is not shipped any further"
                );
                if let ShipError::Node(_) = error {
                    self.say_gone().await;
                }
                return;
            }
            if begun.elapsed() > RETRY_MAX {
                retry = RETRY_FIRST;
            }
            match retry < RETRY_MAX {
                true => {
                    tracing::warn!(
                        event = "container_log_not_taken",
                        %task,
                        container,
                        %error,
                        "the log of a container is not taken; trying again"
                    )
                }
                false => tracing::debug!(
                    event = "container_log_not_taken",
                    %task,
                    container,
                    %error,
                    "the log of a container is not taken; trying again"
                ),
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn ship_all(&mut self) -> Result<(), ShipError> {
        let wakeups = self.wakeups.clone();
        let listener = wakeups.listen(&self.directory)?;
        let mut committed = self.open().await?;
        let mut reader = LogReader::new(&self.directory, unpack(committed));
        let mut pending = Pending::default();
        loop {
            // A sender that is gone has said all that it will say.
            let ended = self.ended.has_changed().is_err() || *self.ended.borrow_and_update();
            let room = wakeups.room_for_batch().await;
            let more = self.read_batch(&mut reader, &mut pending, ended)?;
            if let Some(last) = pending.events.last() {
                let to = last.end_cursor;
                let events = std::mem::take(&mut pending.events);
                pending.bytes = 0;
                let (lines, oldest) =
                    (events.len(), events.first().map(|first| first.timestamp_ms));
                wakeups.lag.waits(&self.task, &self.container, oldest.unwrap_or_else(now_ms));
                let answer = self.deliver(committed, events).await?;
                drop(room);
                wakeups.lag.is_over(&self.task, &self.container, lines);
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

    /// Says that somebody has removed all there was of the log, in it as well if it is taken.
    async fn say_gone(&mut self) {
        let opened = retry_while(LinkError::is_passing, || self.open()).await;
        let mut from = unpack(*opened.as_ref().unwrap_or(&0));
        if from.is_given_up() {
            return;
        }
        from.segment = from.segment.max(SEGMENT_FIRST);
        let message = self.damage.say(&self.task, &self.container, &self.directory, from, None);
        let end_cursor = pack(from.given_up());
        let note = LogEvent { timestamp_ms: now_ms(), message, end_cursor };
        if let Ok(committed) = opened {
            // Not taken, it stands in this node's log only.
            let _ = self.deliver(committed, vec![note]).await;
        }
    }

    /// Lets the shim delete what was delivered. A full disk is waited for: a container that is held
    /// back until its log is shipped goes on only then.
    async fn mark_shipped(&self, cursor: LogCursor) -> io::Result<()> {
        let mut retry = RETRY_FIRST;
        loop {
            match cursor.mark_shipped(&self.directory) {
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    tracing::warn!(
                        event = "container_log_waits_for_space",
                        task = %self.task,
                        %error,
                        "the log of a container waits for space on the disk of the control plane"
                    );
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

    /// Reads up to one batch; whether more may be waiting. With `ended` the last line needs no end.
    fn read_batch(
        &mut self,
        reader: &mut LogReader,
        pending: &mut Pending,
        ended: bool,
    ) -> io::Result<bool> {
        if ended {
            reader.set_ended();
        }
        while pending.events.len() < LOG_EVENTS_PER_BATCH_MAX
            && pending.bytes + EVENT_BYTES_MAX + EVENT_OVERHEAD_BYTES <= LOG_BATCH_BYTES_MAX
        {
            let Some(frame) = reader.next()? else {
                if ended {
                    pending.end_line();
                }
                return Ok(false);
            };
            let cursor = pack(frame.next);
            match frame.content {
                LogContent::Line { stream, partial, bytes } => {
                    let time_ms = i64::try_from(frame.time_ns / 1_000_000).unwrap_or(i64::MAX);
                    pending.add(stream, &bytes, time_ms, partial, cursor);
                }
                LogContent::Dropped { lines, bytes } => {
                    tracing::warn!(
                        event = "container_log_lines_dropped",
                        lines,
                        bytes,
                        "a container wrote faster than its log is read: lines were dropped, as its log driver mode allows"
                    );
                }
                LogContent::Damaged { from, bytes } => {
                    let (task, container, directory) =
                        (&self.task, &self.container, &self.directory);
                    pending
                        .add_note(self.damage.say(task, container, directory, from, bytes), cursor);
                }
            }
        }
        Ok(true)
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
        tracing::error!(
            event = "container_log_lines_refused",
            %task,
            container,
            lines,
            bytes,
            of_all,
            reason,
            "log lines of a container are refused and dropped"
        );
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

    #[test]
    fn cursors_survive_the_trip() {
        let cursor = LogCursor { segment: 7, offset: 4_000_000 };
        assert_eq!(unpack(pack(cursor)), cursor);
    }
}
