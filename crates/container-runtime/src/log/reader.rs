//! The agent's end of a log: frames from a cursor on, while the shim writes or after it is gone.
//!
//! What no frame can be read from is passed over, and said where it stood ([`LogContent::Damaged`]): up to the next whole
//! frame in the segment, else up to what the shim writes next. A frame that is not whole at the end of the last segment is
//! waited for, as the shim may be writing it, until whole frames follow it or the shim is gone.
//!
//! **Invariant:** a reader gives each frame once and in order, across rotation and its own restarts
//! from any `next` cursor; it never gives a frame that is not whole, and a cursor never goes back.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::frame::{FRAME_BYTES_MAX, Parsed, find_behind, parse};
use super::{LogContent, LogCursor, LogFrame, SEGMENT_FIRST, segment_path, segments};

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
    /// Nobody writes to the log any more.
    is_ended: bool,
    /// Of the last frame.
    time_ns: u64,
}

/// What to do where no whole frame was read.
enum Step {
    /// Look again at the cursor.
    Go,
    /// There is no more yet.
    Wait,
    /// Say that nothing can be read up to `next`.
    Pass { from: LogCursor, bytes: Option<u64>, next: LogCursor },
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
            is_ended: false,
            time_ns: 0,
        }
    }

    /// Where the next frame begins: what [`LogCursor::mark_shipped`] is to be told once all frames
    /// before it are safe.
    pub fn cursor(&self) -> LogCursor {
        self.cursor
    }

    /// Tells the reader that the shim is gone: what is not whole then never will be.
    pub fn set_ended(&mut self) {
        self.is_ended = true;
    }

    /// The next frame; `None` when there is none yet. Once the shim is gone, `None` is the end.
    ///
    /// # Errors
    /// When the disk fails.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<LogFrame>> {
        loop {
            let step = if self.file.is_none() {
                self.open()?
            } else {
                match parse(&self.buffer[self.taken..]) {
                    Parsed::Frame(time_ns, content, length) => {
                        return Ok(Some(self.take(time_ns, content, length)));
                    }
                    Parsed::Short if self.fill()? => continue,
                    Parsed::Short | Parsed::Damaged => self.look_behind()?,
                }
            };
            match step {
                Step::Go => {}
                Step::Wait => return Ok(None),
                Step::Pass { from, bytes, next } => {
                    self.go_to(next);
                    let content = LogContent::Damaged { from, bytes };
                    return Ok(Some(LogFrame { time_ns: self.time_ns, content, next }));
                }
            }
        }
    }

    fn take(&mut self, time_ns: u64, content: LogContent, length: usize) -> LogFrame {
        self.taken += length;
        self.cursor.offset += length as u64;
        self.time_ns = time_ns;
        LogFrame { time_ns, content, next: self.cursor }
    }

    fn go_to(&mut self, cursor: LogCursor) {
        self.cursor = cursor;
        self.file = None;
        self.buffer = Vec::new();
        self.taken = 0;
    }

    /// Opens the cursor's segment, or the one behind one that is given up.
    fn open(&mut self) -> io::Result<Step> {
        let found = match segments(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Step::Wait),
            found => found?,
        };
        let from = self.cursor;
        // Whoever has read nothing yet begins at the oldest there is.
        let is_begun = from.segment >= SEGMENT_FIRST;
        let is_given_up = from.is_given_up();
        let wanted = from.segment + u64::from(is_given_up);
        let Some(segment) = found.into_iter().find(|segment| *segment >= wanted) else {
            // The shim never removes the segment that it writes.
            return Ok(match is_begun && !is_given_up {
                true => Step::Pass { from, bytes: None, next: from.given_up() },
                false => Step::Wait,
            });
        };
        if segment > wanted && is_begun {
            let from = if is_given_up { LogCursor { segment: wanted, offset: 0 } } else { from };
            return Ok(Step::Pass { from, bytes: None, next: LogCursor { segment, offset: 0 } });
        }
        if segment != from.segment {
            self.cursor = LogCursor { segment, offset: 0 };
        }
        let mut file = match File::open(segment_path(&self.directory, segment)) {
            // Removed since we looked: look again at the next call.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Step::Wait),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.cursor.offset))?;
        self.file = Some(file);
        self.buffer.clear();
        self.taken = 0;
        Ok(Step::Go)
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

    /// Finds out why no whole frame stands at the cursor, and where to go on.
    fn look_behind(&mut self) -> io::Result<Step> {
        let from = self.cursor;
        // In this order: what a later segment follows is complete.
        let later = segments(&self.directory)?.into_iter().find(|one| *one > from.segment);
        let may_grow = later.is_none() && !self.is_ended;
        let begin = |segment| LogCursor { segment, offset: 0 };
        if self.read_again()? < from.offset {
            let next = later.map_or(from.given_up(), begin);
            return Ok(Step::Pass { from, bytes: None, next });
        }
        if self.buffer.is_empty() {
            if later.is_none() {
                return Ok(Step::Wait);
            }
            self.go_to(begin(from.segment + 1));
            return Ok(Step::Go);
        }
        let may_be_written = match parse(&self.buffer) {
            Parsed::Frame(..) => return Ok(Step::Go),
            Parsed::Short => may_grow,
            Parsed::Damaged => false,
        };
        let passed = match find_behind(&self.buffer, may_be_written) {
            None if may_be_written => return Ok(Step::Wait),
            found => found.unwrap_or(self.buffer.len()) as u64,
        };
        let next = LogCursor { offset: from.offset + passed, ..from };
        Ok(Step::Pass { from, bytes: Some(passed), next })
    }

    /// Reads anew what stands behind the cursor, up to a frame's length, and answers how long the file is: a shim that finds
    /// the disk full cuts off what it wrote by half, and some of that may be in the buffer.
    fn read_again(&mut self) -> io::Result<u64> {
        let Some(file) = &mut self.file else { return Ok(self.cursor.offset) };
        let length = file.metadata()?.len();
        self.buffer = Vec::new();
        self.taken = 0;
        file.seek(SeekFrom::Start(self.cursor.offset))?;
        file.take(FRAME_BYTES_MAX as u64).read_to_end(&mut self.buffer)?;
        Ok(length)
    }
}
