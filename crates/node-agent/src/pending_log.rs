//! Makes the events of a log stream out of the frames of a container's log.
//!
//! **Invariant:** the cursor of an event is behind all that was read for it and before all that was not.

use outport_container_runtime::LogStream;
use outport_node_protocol::LogEvent;

use crate::control_plane::now_ms;

/// Pieces of a longer line become events of their own, cut by the shim. Source: the awslogs driver's largest
/// event, 256 KiB less the 26 bytes that CloudWatch Logs counts for each.
pub const EVENT_BYTES_MAX: usize = 262_144 - EVENT_OVERHEAD_BYTES;
/// Into an event with less room no further character may fit.
const CHARACTER_BYTES_MAX: usize = 4;
/// What CloudWatch Logs counts for an event beside its message.
pub const EVENT_OVERHEAD_BYTES: usize = 26;

/// What was read and not shipped yet.
#[derive(Default)]
pub struct Pending {
    pub events: Vec<LogEvent>,
    pub bytes: usize,
    /// The line whose end was not seen yet, and what it was written to.
    pub line: Vec<u8>,
    line_stream: Option<LogStream>,
    /// How long the event will be, see [`shown_bytes`].
    line_shown_bytes: usize,
    line_time_ms: i64,
    /// Behind the last piece of it.
    line_cursor: u64,
}

impl Pending {
    pub fn add(
        &mut self,
        stream: LogStream,
        bytes: &[u8],
        time_ms: i64,
        partial: bool,
        cursor: u64,
    ) {
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

    /// A line of this node's own. The container's line that it interrupts ends before it.
    pub fn add_note(&mut self, message: String, cursor: u64) {
        self.end_line();
        self.line = message.into_bytes();
        self.line_time_ms = now_ms();
        self.line_cursor = cursor;
        self.end_line();
    }

    /// An empty line is no event: CloudWatch Logs takes none.
    pub fn end_line(&mut self) {
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
}
