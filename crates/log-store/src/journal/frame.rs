//! The bytes of a journal file: a header, then one frame for each group commit.
//!
//! **Invariant:** a frame is written only when everything before it is on disk. So a broken frame
//! with nothing valid behind it is the torn end of a write that nobody was told of, and a broken
//! frame with a valid one behind it is damage to something acknowledged.

use crc32fast::hash as crc32;

use crate::bytes::Reader;
use crate::limits::FRAME_BYTES_MAX;

const FILE_MAGIC: &[u8; 8] = b"OUTPLOGJ";
const FILE_VERSION: u32 = 1;
pub(crate) const FILE_HEADER_BYTES: u64 = 24;
const FRAME_MAGIC: u32 = 0x4f50_4c46;
pub(crate) const FRAME_HEADER_BYTES: usize = 24;

/// The first bytes of journal `number`.
pub(crate) fn file_header(number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_HEADER_BYTES as usize);
    out.extend(FILE_MAGIC);
    out.extend(FILE_VERSION.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend(crc32(&out).to_le_bytes());
    out
}

/// Whether these are the first bytes of journal `number`.
pub(crate) fn is_file_header(bytes: &[u8], number: u64) -> bool {
    bytes == file_header(number)
}

/// Fills in the header of a frame that stands at `offset`. The first [`FRAME_HEADER_BYTES`] of
/// `frame` are room for it, the rest is the body.
pub(crate) fn complete(frame: &mut [u8], offset: u64) {
    let (header, body) = frame.split_at_mut(FRAME_HEADER_BYTES);
    header[0..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&offset.to_le_bytes());
    header[16..20].copy_from_slice(&crc32(body).to_le_bytes());
    let header_crc = crc32(&header[..20]);
    header[20..24].copy_from_slice(&header_crc.to_le_bytes());
}

/// What a valid frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub body_bytes: usize,
    body_crc: u32,
}

impl FrameHeader {
    /// Reads the header of a frame that should stand at `offset`.
    pub fn parse(bytes: &[u8], offset: u64) -> Option<Self> {
        let mut reader = Reader::new(bytes.get(..FRAME_HEADER_BYTES)?);
        let magic = reader.u32()?;
        let body_bytes = reader.u32()? as usize;
        let own_offset = reader.u64()?;
        let body_crc = reader.u32()?;
        let header_crc = reader.u32()?;
        let valid = magic == FRAME_MAGIC
            && own_offset == offset
            && header_crc == crc32(&bytes[..20])
            && body_bytes <= FRAME_BYTES_MAX;
        valid.then_some(Self { body_bytes, body_crc })
    }

    pub fn accepts(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes && crc32(body) == self.body_crc
    }
}

/// The places in `bytes` where a frame may start.
pub(crate) fn candidates(bytes: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(bytes, &FRAME_MAGIC.to_le_bytes()).collect()
}
