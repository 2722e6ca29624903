//! The shim's end of a log.
//!
//! **Invariant:** what stands in a segment before its known size is whole frames: a write that fails
//! half-way is cut off again and its lines are counted as dropped. Every dropped line is said in exactly
//! one frame that is in a file: a frame that could not be written says nothing.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::frame::{HEADER_BYTES, encode_dropped, encode_line};
use super::{LogCursor, LogStream, SEGMENT_FIRST, segment_path};
use crate::private;
use crate::spec::{LogMode, LogSettings};

/// How often a full log looks whether the agent has shipped.
pub(crate) const SHIPPED_POLL: Duration = Duration::from_millis(10);

/// Frames are gathered up to this size before they are written.
const BUFFER_BYTES: usize = 128 << 10;

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

#[derive(Debug)]
pub(crate) struct LogWriter {
    directory: PathBuf,
    settings: LogSettings,
    file: File,
    /// The oldest first; never empty.
    segments: VecDeque<Segment>,
    buffer: Vec<u8>,
    buffered: Dropped,
    shipped: LogCursor,
    shipped_read: Instant,
    /// Dropped, and not yet said so in a frame.
    unsaid: Dropped,
    /// Said in a frame that is not written yet.
    said: Dropped,
    dropped_lines: u64,
    time_ns: u64,
}

impl LogWriter {
    /// Begins a new log in `directory`, which is made.
    pub fn create(directory: &Path, settings: LogSettings) -> io::Result<LogWriter> {
        private::make_directories(directory)?;
        let file = open_segment(directory, SEGMENT_FIRST)?;
        Ok(LogWriter {
            directory: directory.to_owned(),
            settings,
            file,
            segments: VecDeque::from([Segment { number: SEGMENT_FIRST, bytes: 0 }]),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            buffered: Dropped::default(),
            shipped: LogCursor::default(),
            shipped_read: Instant::now(),
            unsaid: Dropped::default(),
            said: Dropped::default(),
            dropped_lines: 0,
            time_ns: 0,
        })
    }

    /// Whether, in blocking mode, the container must wait.
    pub fn is_full(&mut self) -> bool {
        let LogMode::Blocking { unshipped_bytes_max } = self.settings.mode else { return false };
        self.unshipped_after_look(unshipped_bytes_max) >= unshipped_bytes_max
    }

    /// Takes a line, or drops it by the mode. `time_ns` may step back: the log's time does not.
    pub fn push(&mut self, stream: LogStream, time_ns: u64, bytes: &[u8], partial: bool) {
        self.time_ns = self.time_ns.max(time_ns);
        let frame = (HEADER_BYTES + bytes.len()) as u64;
        if let LogMode::NonBlocking { unshipped_bytes_max } = self.settings.mode {
            let room = unshipped_bytes_max.saturating_sub(frame);
            if self.unshipped_after_look(room) > room {
                self.drop_lines(Dropped { lines: 1, bytes: bytes.len() as u64 });
                return;
            }
        }
        self.make_room(frame);
        self.say_dropped();
        encode_line(&mut self.buffer, self.time_ns, stream, partial, bytes);
        self.buffered.lines += 1;
        self.buffered.bytes += bytes.len() as u64;
    }

    /// Writes what has been gathered.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let Some(segment) = self.segments.back_mut() else { return };
        if self.file.write_all(&self.buffer).is_ok() {
            segment.bytes += self.buffer.len() as u64;
        } else {
            // A full disk: whole frames only, and the container goes on.
            let _ = self.file.set_len(segment.bytes);
            let (lost, unsaid) = (self.buffered, self.said);
            self.drop_lines(lost);
            // The frame that said so is lost with them.
            self.unsaid.lines += unsaid.lines;
            self.unsaid.bytes += unsaid.bytes;
        }
        self.buffer.clear();
        self.buffered = Dropped::default();
        self.said = Dropped::default();
    }

    /// Writes what is left, the count of the dropped included, and gives that count.
    pub fn finish(&mut self) -> u64 {
        self.flush();
        self.say_dropped();
        self.flush();
        self.dropped_lines
    }

    fn drop_lines(&mut self, dropped: Dropped) {
        self.unsaid.lines += dropped.lines;
        self.unsaid.bytes += dropped.bytes;
        self.dropped_lines += dropped.lines;
    }

    fn say_dropped(&mut self) {
        if self.unsaid.lines > 0 {
            let Dropped { lines, bytes } = std::mem::take(&mut self.unsaid);
            encode_dropped(&mut self.buffer, self.time_ns, lines, bytes);
            self.said.lines += lines;
            self.said.bytes += bytes;
        }
    }

    fn make_room(&mut self, frame: u64) {
        let written = self.segments.back().map_or(0, |segment| segment.bytes);
        let filled = written + self.buffer.len() as u64;
        if filled > 0 && filled + frame > self.settings.segment_bytes_max {
            self.flush();
            self.rotate();
        } else if self.buffer.len() + frame as usize > BUFFER_BYTES {
            self.flush();
        }
    }

    /// Without a new file, as on a full disk, the present one grows on.
    fn rotate(&mut self) {
        let number = self.segments.back().map_or(SEGMENT_FIRST, |last| last.number + 1);
        let Ok(file) = open_segment(&self.directory, number) else { return };
        self.file = file;
        self.segments.push_back(Segment { number, bytes: 0 });
        self.look_at_shipped();
        if let LogMode::KeepNewest { total_bytes_max } = self.settings.mode {
            while self.segments.len() > 1 && self.unshipped(LogCursor::default()) > total_bytes_max
            {
                self.remove_oldest();
            }
        }
    }

    fn unshipped_after_look(&mut self, enough: u64) -> u64 {
        if self.unshipped(self.shipped) > enough && self.shipped_read.elapsed() >= SHIPPED_POLL {
            self.look_at_shipped();
        }
        self.unshipped(self.shipped)
    }

    fn unshipped(&self, cursor: LogCursor) -> u64 {
        let left = |segment: &Segment| match segment.number.cmp(&cursor.segment) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => segment.bytes.saturating_sub(cursor.offset),
            std::cmp::Ordering::Greater => segment.bytes,
        };
        self.segments.iter().map(left).sum::<u64>() + self.buffer.len() as u64
    }

    /// Reads the agent's cursor and deletes what lies before it.
    fn look_at_shipped(&mut self) {
        self.shipped_read = Instant::now();
        if let Ok(cursor) = LogCursor::shipped(&self.directory) {
            self.shipped = cursor;
        }
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|oldest| oldest.number < self.shipped.segment)
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            // A file that stays is found and removed with the container.
            let _ = fs::remove_file(segment_path(&self.directory, oldest.number));
        }
    }
}

fn open_segment(directory: &Path, number: u64) -> io::Result<File> {
    private::options().append(true).create(true).open(segment_path(directory, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogContent, LogReader};

    /// A file that takes no byte, as on a full disk.
    fn full() -> File {
        private::options().write(true).open("/dev/full").unwrap()
    }

    #[test]
    fn every_line_is_kept_or_said_to_be_dropped() {
        let scratch = tempfile::tempdir().unwrap();
        let mut log = LogWriter::create(scratch.path(), LogSettings::default()).unwrap();
        let push = |log: &mut LogWriter, count: u64| {
            for _ in 0..count {
                log.push(LogStream::Stdout, 1, b"line", false);
                log.flush();
            }
        };
        push(&mut log, 5);
        for _ in 0..3 {
            let file = std::mem::replace(&mut log.file, full());
            push(&mut log, 7);
            log.file = file;
            push(&mut log, 2);
        }
        assert_eq!(log.finish(), 21);
        let mut reader = LogReader::new(scratch.path(), LogCursor::default());
        let (mut kept, mut dropped) = (0, 0);
        while let Some(frame) = reader.next().unwrap() {
            match frame.content {
                LogContent::Line { .. } => kept += 1,
                LogContent::Dropped { lines, bytes } => {
                    assert_eq!(bytes, lines * 4);
                    dropped += lines;
                }
            }
        }
        assert_eq!((kept, dropped), (11, 21));
    }
}
