//! The agent's end of a log: frames from a cursor on, while the shim writes or after it is gone.
//!
//! **Invariant:** a reader gives each frame once and in order, across rotation and its own restarts
//! from any `next` cursor; it never gives a frame that is not whole.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::frame::{Parsed, parse};
use super::{LogContent, LogCursor, LogFrame, segment_path, segments};

/// Read at a time; a reader that has caught up holds none of it.
const READ_BYTES: usize = 64 << 10;

/// Reads one log.
#[derive(Debug)]
pub struct LogReader {
    directory: PathBuf,
    /// The beginning of the next frame to give.
    cursor: LogCursor,
    file: Option<File>,
    /// Bytes of the segment from the cursor on, after `taken`.
    buffer: Vec<u8>,
    taken: usize,
    damaged_segments: u64,
}

impl LogReader {
    /// A reader from `cursor` on. The log need not be there yet.
    pub fn new(log_dir: &Path, cursor: LogCursor) -> LogReader {
        LogReader {
            directory: log_dir.to_owned(),
            cursor,
            file: None,
            buffer: Vec::new(),
            taken: 0,
            damaged_segments: 0,
        }
    }

    /// Where the next frame begins: what [`LogCursor::mark_shipped`] is to be told once all frames
    /// before it are safe.
    pub fn cursor(&self) -> LogCursor {
        self.cursor
    }

    /// Segments that end, or go wrong, in the middle of a frame although a later one is there: a
    /// crash of the host, since a shim writes whole frames.
    pub fn damaged_segments(&self) -> u64 {
        self.damaged_segments
    }

    /// The next frame; `None` when there is none yet. Once the shim is gone, `None` is the end.
    ///
    /// # Errors
    /// When the disk fails.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<LogFrame>> {
        loop {
            if self.file.is_none() && !self.open()? {
                return Ok(None);
            }
            match parse(&self.buffer[self.taken..]) {
                Parsed::Frame(time_ns, content, length) => {
                    return Ok(Some(self.take(time_ns, content, length)));
                }
                Parsed::Damaged => {
                    if !self.leave_segment(true)? {
                        return Ok(None);
                    }
                }
                Parsed::Short => {
                    if self.fill()? {
                        continue;
                    }
                    let torn = self.taken < self.buffer.len();
                    if !self.leave_segment(torn)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether bytes that are no whole frame stand at the end: after the shim is gone, a torn tail.
    pub fn has_torn_tail(&self) -> bool {
        self.taken < self.buffer.len()
    }

    fn take(&mut self, time_ns: u64, content: LogContent, length: usize) -> LogFrame {
        self.taken += length;
        self.cursor.offset += length as u64;
        LogFrame { time_ns, content, next: self.cursor }
    }

    /// Opens the cursor's segment, or the oldest after it if it is gone.
    fn open(&mut self) -> io::Result<bool> {
        let found = match segments(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let Some(segment) = found.into_iter().find(|segment| *segment >= self.cursor.segment)
        else {
            return Ok(false);
        };
        if segment != self.cursor.segment {
            self.cursor = LogCursor { segment, offset: 0 };
        }
        let mut file = match File::open(segment_path(&self.directory, segment)) {
            // Removed since we looked: look again at the next call.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.cursor.offset))?;
        self.file = Some(file);
        self.buffer.clear();
        self.taken = 0;
        Ok(true)
    }

    fn fill(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let length = file.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *length.as_ref().unwrap_or(&0));
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        Ok(length? > 0)
    }

    /// Goes to the next segment if there is one: then the present one is complete, so one more look
    /// at its end comes first.
    fn leave_segment(&mut self, damaged: bool) -> io::Result<bool> {
        let later = segments(&self.directory)?.into_iter().find(|one| *one > self.cursor.segment);
        let Some(later) = later else { return Ok(false) };
        if !damaged && self.fill()? {
            return Ok(true);
        }
        if damaged && self.fill()? && matches!(parse(&self.buffer), Parsed::Frame(..)) {
            return Ok(true);
        }
        self.damaged_segments += u64::from(damaged);
        self.cursor = LogCursor { segment: later, offset: 0 };
        self.file = None;
        self.buffer.clear();
        self.taken = 0;
        Ok(true)
    }
}
