//! One frame of a log file, a promise to every later version:
//!
//! ```text
//! 0   u32  length of the payload          all numbers little-endian
//! 4   u32  CRC-32 of everything from byte 8 on
//! 8   u64  time, nanoseconds since the epoch
//! 16  u8   1 stdout, 2 stderr, 3 dropped
//! 17  u8   1: partial, the line goes on in the next frame of the stream
//! 18  u16  zero
//! 20       payload: the line without its end; for `dropped` two u64, lines and bytes
//! ```

use super::LogCursor;

pub(super) const HEADER_BYTES: usize = 20;

/// A length beyond this is damage, not a frame.
const PAYLOAD_BYTES_MAX: u32 = 16 << 20;
/// The longest frame.
pub(super) const FRAME_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX as usize;
/// What is summed at most to find a frame behind damage: a container that writes what looks like the heads of long frames
/// costs its node no more than this.
const SOUGHT_BYTES_MAX: usize = 256 << 20;

const KIND_DROPPED: u8 = 3;
const FLAG_PARTIAL: u8 = 1;

/// Which of its two outputs a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    Stdout = 1,
    Stderr = 2,
}

/// One frame, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Nanoseconds since the epoch; never decreases within a log.
    pub time_ns: u64,
    pub content: LogContent,
    pub next: LogCursor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogContent {
    /// A line, or, if `partial`, a piece of one that the stream's next frame continues.
    Line { stream: LogStream, partial: bool, bytes: Vec<u8> },
    /// This much was dropped here.
    Dropped { lines: u64, bytes: u64 },
    /// Stands in no file: what was written from here up to the frame's `next` cannot be read any more. `bytes` of the file
    /// are passed over; `None` where the file is gone or shorter than what was read of it.
    Damaged { from: LogCursor, bytes: Option<u64> },
}

/// What stands at the beginning of some bytes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The frame's time, content and length on disk.
    Frame(u64, LogContent, usize),
    /// The bytes end before the frame does.
    Short,
    Damaged,
}

pub(super) fn encode_line(
    out: &mut Vec<u8>,
    time_ns: u64,
    stream: LogStream,
    partial: bool,
    bytes: &[u8],
) {
    encode(out, time_ns, stream as u8, if partial { FLAG_PARTIAL } else { 0 }, bytes);
}

pub(super) fn encode_dropped(out: &mut Vec<u8>, time_ns: u64, lines: u64, bytes: u64) {
    let payload = [lines.to_le_bytes(), bytes.to_le_bytes()].concat();
    encode(out, time_ns, KIND_DROPPED, 0, &payload);
}

fn encode(out: &mut Vec<u8>, time_ns: u64, kind: u8, flags: u8, payload: &[u8]) {
    let begin = out.len();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&time_ns.to_le_bytes());
    out.extend_from_slice(&[kind, flags, 0, 0]);
    out.extend_from_slice(payload);
    let sum = crc32fast::hash(&out[begin + 8..]);
    out[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some(header) = bytes.get(..HEADER_BYTES) else { return Parsed::Short };
    let u32_at = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let length = u32_at(0);
    if length > PAYLOAD_BYTES_MAX {
        return Parsed::Damaged;
    }
    let whole = HEADER_BYTES + length as usize;
    let Some(frame) = bytes.get(..whole) else { return Parsed::Short };
    if crc32fast::hash(&frame[8..]) != u32_at(4) {
        return Parsed::Damaged;
    }
    let time_ns = u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32;
    let payload = &frame[HEADER_BYTES..];
    let partial = header[17] & FLAG_PARTIAL != 0;
    let line = |stream| LogContent::Line { stream, partial, bytes: payload.to_vec() };
    let content = match header[16] {
        1 => line(LogStream::Stdout),
        2 => line(LogStream::Stderr),
        KIND_DROPPED => match payload.split_first_chunk::<8>() {
            Some((lines, bytes)) if bytes.len() == 8 => LogContent::Dropped {
                lines: u64::from_le_bytes(*lines),
                bytes: bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            },
            _ => return Parsed::Damaged,
        },
        _ => return Parsed::Damaged,
    };
    Parsed::Frame(time_ns, content, whole)
}

/// Where the first whole frame stands behind the beginning of some bytes that are none. With `until_end`, only frames
/// count that follow each other up to the very end: a line that is being written may hold the bytes of frames.
pub(super) fn find_behind(bytes: &[u8], until_end: bool) -> Option<usize> {
    let mut left = SOUGHT_BYTES_MAX;
    (1..bytes.len()).find(|at| {
        let mut rest = &bytes[*at..];
        loop {
            let Some(cost) = possible_length(rest) else { return false };
            let Some(enough) = left.checked_sub(cost) else { return false };
            left = enough;
            let Parsed::Frame(_, _, length) = parse(rest) else { return false };
            rest = &rest[length..];
            if !until_end || rest.is_empty() {
                return true;
            }
        }
    })
}

/// How long the frame is that may begin here and is all there, by its head alone.
fn possible_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER_BYTES)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let whole = HEADER_BYTES + length as usize;
    let is_known = (1..=KIND_DROPPED).contains(&header[16]);
    (is_known && length <= PAYLOAD_BYTES_MAX && whole <= bytes.len()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_frame_stay_as_they_are() {
        let mut out = Vec::new();
        encode_line(&mut out, 0x0102_0304_0506_0708, LogStream::Stderr, true, b"hi");
        let expected = "0200000095482d3c0807060504030201020100006869";
        assert_eq!(hex(&out), expected);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_seen() {
        let mut out = Vec::new();
        encode_line(&mut out, 7, LogStream::Stdout, false, b"some line");
        let line = LogContent::Line {
            stream: LogStream::Stdout,
            partial: false,
            bytes: b"some line".to_vec(),
        };
        assert_eq!(parse(&out), Parsed::Frame(7, line, out.len()));
        for length in 0..out.len() {
            assert_eq!(parse(&out[..length]), Parsed::Short, "cut at {length}");
        }
        for bit in 0..out.len() * 8 {
            let mut flipped = out.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&flipped), Parsed::Frame(..)), "bit {bit}");
        }
        let mut out = Vec::new();
        encode_dropped(&mut out, 9, 3, 0x0102_0304);
        let dropped = LogContent::Dropped { lines: 3, bytes: 0x0102_0304 };
        assert_eq!(parse(&out), Parsed::Frame(9, dropped, 36));
    }
}
