//! The container's two outputs on their way into the log.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::log::{LineSplitter, LogStream, LogWriter};

/// One read: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

pub(super) struct Output {
    pipe: File,
    stream: LogStream,
    lines: LineSplitter,
    buffer: Vec<u8>,
}

impl Output {
    pub fn new(pipe: File, stream: LogStream, line_bytes_max: usize) -> Output {
        let lines = LineSplitter::new(line_bytes_max);
        Output { pipe, stream, lines, buffer: vec![0; READ_BYTES] }
    }

    /// Moves what is there; `false` at the end of the output.
    pub fn pump(&mut self, log: &mut LogWriter) -> bool {
        let length = match self.pipe.read(&mut self.buffer) {
            Ok(length) => length,
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        };
        let (stream, time_ns) = (self.stream, now_ns());
        let sink = |line: &[u8], partial: bool| log.push(stream, time_ns, line, partial);
        if length == 0 {
            self.lines.finish(sink);
        } else {
            self.lines.feed(&self.buffer[..length], sink);
        }
        log.flush();
        length > 0
    }

    /// Takes an unfinished line as it is.
    pub fn finish(&mut self, log: &mut LogWriter) {
        let (stream, time_ns) = (self.stream, now_ns());
        self.lines.finish(|line, partial| log.push(stream, time_ns, line, partial));
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
