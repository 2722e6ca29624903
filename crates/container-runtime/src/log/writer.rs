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

/// Lines that are in no file.
#[derive(Debug, Default, Clone, Copy)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

impl std::ops::AddAssign for Dropped {
    fn add_assign(&mut self, more: Dropped) {
        self.lines += more.lines;
        self.bytes += more.bytes;
    }
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
    /// In the files and not before the cursor.
    unshipped_bytes: u64,
    /// In non-blocking mode: a line was dropped, and nothing was shipped since.
    is_dropping: bool,
    frames: u64,
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
            unshipped_bytes: 0,
            is_dropping: false,
            frames: 0,
            unsaid: Dropped::default(),
            said: Dropped::default(),
            dropped_lines: 0,
            time_ns: 0,
        })
    }

    /// Whether, in blocking mode, the container must wait.
    pub fn is_full(&mut self) -> bool {
        let LogMode::Blocking { unshipped_bytes_max } = self.settings.mode else { return false };
        self.look_if(self.unshipped() >= unshipped_bytes_max);
        self.unshipped() >= unshipped_bytes_max
    }

    /// Whether, in non-blocking mode, there is no room: then lines need not be looked at one by one, see
    /// [`LogWriter::drop_whole`].
    pub fn is_dropping(&mut self) -> bool {
        self.look_if(self.is_dropping);
        self.is_dropping
    }

    /// Drops lines that nobody has looked at.
    pub fn drop_whole(&mut self, lines: u64, bytes: u64) {
        self.drop_lines(Dropped { lines, bytes });
    }

    /// How many lines, and pieces of lines, were taken so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes a line, or drops it by the mode. `time_ns` may step back: the log's time does not.
    pub fn push(&mut self, stream: LogStream, time_ns: u64, bytes: &[u8], partial: bool) {
        self.time_ns = self.time_ns.max(time_ns);
        self.frames += 1;
        let frame = (HEADER_BYTES + bytes.len()) as u64;
        if let LogMode::NonBlocking { unshipped_bytes_max } = self.settings.mode {
            let room = unshipped_bytes_max.saturating_sub(frame);
            self.look_if(self.unshipped() > room);
            if self.unshipped() > room {
                self.is_dropping = true;
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
        self.leave_damaged();
        let Some(segment) = self.segments.back_mut() else { return };
        if self.file.write_all(&self.buffer).is_ok() {
            segment.bytes += self.buffer.len() as u64;
            self.unshipped_bytes += self.buffer.len() as u64;
        } else {
            // A full disk: whole frames only, and the container goes on.
            let is_cut = self.file.metadata().is_ok_and(|found| found.len() > segment.bytes);
            let _ = self.file.set_len(segment.bytes);
            // The agent may have read beyond that, and reads on from there only.
            let is_left = is_cut && segment.bytes > 0;
            let (lost, unsaid) = (self.buffered, self.said);
            self.drop_lines(lost);
            // The frame that said so is lost with them.
            self.unsaid += unsaid;
            if is_left {
                self.rotate();
            }
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
        self.unsaid += dropped;
        self.dropped_lines += dropped.lines;
    }

    fn say_dropped(&mut self) {
        if self.unsaid.lines > 0 {
            let unsaid = std::mem::take(&mut self.unsaid);
            encode_dropped(&mut self.buffer, self.time_ns, unsaid.lines, unsaid.bytes);
            self.said += unsaid;
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
            while self.segments.len() > 1 && self.beyond(LogCursor::default()) > total_bytes_max {
                self.remove_oldest();
            }
        }
    }

    fn unshipped(&self) -> u64 {
        self.unshipped_bytes + self.buffer.len() as u64
    }

    /// What the files have behind a cursor.
    fn beyond(&self, cursor: LogCursor) -> u64 {
        let left = |segment: &Segment| match segment.number.cmp(&cursor.segment) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => segment.bytes.saturating_sub(cursor.offset),
            std::cmp::Ordering::Greater => segment.bytes,
        };
        self.segments.iter().map(left).sum()
    }

    /// Begins a new segment where somebody has emptied, cut or removed the present one: nobody can read what is added to it.
    fn leave_damaged(&mut self) {
        let Some(last) = self.segments.back() else { return };
        let found = fs::metadata(segment_path(&self.directory, last.number));
        if !found.is_ok_and(|found| found.len() == last.bytes) {
            self.rotate();
        }
    }

    fn look_if(&mut self, is_due: bool) {
        if is_due && self.shipped_read.elapsed() >= SHIPPED_POLL {
            // A container that is held back until its log is shipped would wait for what cannot be read.
            self.leave_damaged();
            self.look_at_shipped();
        }
    }

    /// Reads the agent's cursor and deletes what lies before it.
    fn look_at_shipped(&mut self) {
        self.shipped_read = Instant::now();
        if let Ok(cursor) = LogCursor::shipped(&self.directory)
            && self.has_written(cursor)
        {
            self.is_dropping &= cursor == self.shipped;
            self.shipped = cursor;
        }
        self.unshipped_bytes = self.beyond(self.shipped);
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|oldest| oldest.number < self.shipped.segment)
        {
            self.remove_oldest();
        }
    }

    /// What was never written was not shipped: somebody else has written in the cursor's file.
    fn has_written(&self, cursor: LogCursor) -> bool {
        let last = self.segments.back();
        last.is_some_and(|last| (cursor.segment, cursor.offset) <= (last.number, last.bytes))
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
                LogContent::Damaged { .. } => panic!("{frame:?}"),
            }
        }
        assert_eq!((kept, dropped), (11, 21));
    }

    /// The agent may have read what is cut off again. Not one file after another, while not a frame has room.
    #[test]
    fn what_a_full_disk_cut_off_is_followed_by_another_segment() {
        use nix::fcntl::{FcntlArg, SealFlag, fcntl};
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let scratch = tempfile::tempdir().unwrap();
        let mut log = LogWriter::create(scratch.path(), LogSettings::default()).unwrap();
        log.push(LogStream::Stdout, 1, b"line", false);
        log.flush();
        for expected in [2, 2] {
            // Takes two pages, and no more.
            let file = memfd_create("log", MFdFlags::MFD_ALLOW_SEALING).unwrap();
            nix::unistd::ftruncate(&file, 8192).unwrap();
            fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
            log.file = File::from(file);
            log.push(LogStream::Stdout, 1, &[b'x'; 20_000], false);
            log.flush();
            assert_eq!(log.segments.back().unwrap().number, expected);
        }
    }

    /// The file has no checksum: an older shim reads the two numbers and nothing else.
    #[test]
    fn a_cursor_beyond_what_was_written_deletes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let mode = LogMode::NonBlocking { unshipped_bytes_max: 1 << 20 };
        let settings = LogSettings { mode, segment_bytes_max: 200, line_bytes_max: 100 };
        let mut log = LogWriter::create(scratch.path(), settings).unwrap();
        for _ in 0..20 {
            log.push(LogStream::Stdout, 1, &[b'x'; 80], false);
        }
        log.flush();
        let segments = log.segments.len();
        assert!(segments > 3);
        let good = LogCursor { segment: SEGMENT_FIRST, offset: 100 };
        for bit in 0..128 {
            let number = u128::from(good.segment) | u128::from(good.offset) << 64;
            let flipped = number ^ 1 << bit;
            let cursor = LogCursor { segment: flipped as u64, offset: (flipped >> 64) as u64 };
            let is_possible = cursor.segment <= log.segments.back().unwrap().number;
            cursor.mark_shipped(scratch.path()).unwrap();
            if is_possible {
                continue;
            }
            log.look_at_shipped();
            assert_eq!(
                (log.segments.len(), log.shipped),
                (segments, LogCursor::default()),
                "bit {bit}"
            );
        }
        good.mark_shipped(scratch.path()).unwrap();
        log.look_at_shipped();
        assert_eq!(log.shipped, good);
    }

    /// Whatever is shipped meanwhile, by an agent that reads on and off.
    #[test]
    fn what_is_not_shipped_is_counted_as_the_files_have_it() {
        let scratch = tempfile::tempdir().unwrap();
        let mode = LogMode::NonBlocking { unshipped_bytes_max: 3_000 };
        let settings = LogSettings { mode, segment_bytes_max: 1_000, line_bytes_max: 100 };
        let mut log = LogWriter::create(scratch.path(), settings).unwrap();
        let (mut kept, mut dropped, mut pushed) = (0, 0, 0);
        let mut reader = LogReader::new(scratch.path(), LogCursor::default());
        for round in 0..200_u64 {
            for number in 0..round % 40 {
                pushed += 1;
                match log.is_dropping() {
                    true => log.drop_whole(1, 7),
                    false => log.push(LogStream::Stdout, 1, &[b'x'; 80], number % 3 == 0),
                }
            }
            log.flush();
            assert_eq!(log.unshipped_bytes, log.beyond(log.shipped), "round {round}");
            assert!(log.unshipped() <= 3_000, "round {round}");
            if round % 7 == 0 {
                while let Some(frame) = reader.next().unwrap() {
                    match frame.content {
                        LogContent::Line { .. } => kept += 1,
                        LogContent::Dropped { lines, .. } => dropped += lines,
                        LogContent::Damaged { .. } => panic!("{frame:?}"),
                    }
                }
                reader.cursor().mark_shipped(scratch.path()).unwrap();
                log.look_at_shipped();
                assert!(!log.is_dropping && log.unshipped() == 0);
            }
        }
        assert_eq!(log.finish(), log.dropped_lines);
        while let Some(frame) = reader.next().unwrap() {
            match frame.content {
                LogContent::Line { .. } => kept += 1,
                LogContent::Dropped { lines, .. } => dropped += lines,
                LogContent::Damaged { .. } => panic!("{frame:?}"),
            }
        }
        assert_eq!((kept + dropped, dropped), (pushed, log.dropped_lines));
        assert!(dropped > 0);
    }
}
