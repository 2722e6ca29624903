//! The container's two outputs on their way into the log.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use super::allowance::Allowance;
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

    /// Moves what is there, on the container's account; `false` at the end of the output. Where there is no room for a
    /// line, all of a read are counted and dropped at once.
    pub fn pump(&mut self, log: &mut LogWriter, allowance: &mut Allowance) -> bool {
        let length = match self.pipe.read(&mut self.buffer) {
            Ok(length) => length,
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        };
        let (stream, time_ns, frames) = (self.stream, now_ns(), log.frames());
        let mut read = &self.buffer[..length];
        if log.is_dropping() {
            let (lines, bytes, rest) = self.lines.pass_over(read);
            log.drop_whole(lines, bytes);
            read = rest;
        }
        let sink = |line: &[u8], partial: bool| log.push(stream, time_ns, line, partial);
        if length == 0 {
            self.lines.finish(sink);
        } else {
            self.lines.feed(read, sink);
        }
        log.flush();
        allowance.spend(length as u64, log.frames() - frames);
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
