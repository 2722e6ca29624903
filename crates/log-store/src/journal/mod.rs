//! A journal: the file that appends go to, with one frame for each group commit, and the index of
//! what is in it. When it is full it is sealed into a segment and removed.
//!
//! **Invariant:** the index holds only what is on disk, so whatever a reader sees stays.

pub(crate) mod frame;
pub(crate) mod index;
pub(crate) mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crc32fast::hash as crc32;

use self::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameHeader};
use self::index::{BatchPlace, IndexEntry, JournalIndex};
use self::record::{EventReader, RawEvent, RecordHead};
use crate::bytes::Reader;
use crate::disk::{AppendFile, Disk};
use crate::error::LogStoreError;

pub(crate) struct Journal {
    pub number: u64,
    path: PathBuf,
    file: Box<dyn AppendFile>,
    index: RwLock<JournalIndex>,
    /// Bytes that are on disk and indexed.
    length: AtomicU64,
}

impl Journal {
    pub fn path_of(directory: &Path, number: u64) -> PathBuf {
        directory.join(format!("{number:016}.journal"))
    }

    /// The number in the name of a journal file.
    pub fn number_of(path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".journal")?.parse().ok()
    }

    /// Makes journal `number`, empty and on disk.
    pub fn create(disk: &dyn Disk, directory: &Path, number: u64) -> Result<Self, LogStoreError> {
        let path = Self::path_of(directory, number);
        let made = disk.create(&path).and_then(|file| {
            file.write_at(&frame::file_header(number), 0)?;
            file.sync()?;
            Ok(file)
        });
        let file = match made {
            Ok(file) => file,
            Err(source) => {
                // What is left of it would stand in the way of the next try.
                let _ = std::fs::remove_file(&path);
                return Err(LogStoreError::Disk { path, source });
            }
        };
        Ok(Self::new(number, path, file, JournalIndex::default(), FILE_HEADER_BYTES))
    }

    /// Opens a journal after a stop of any kind. A torn end, which nobody was told of, is cut off
    /// when `is_last`; everything else that does not read is damage. `acknowledged_bytes`: how much of
    /// it somebody was told of at least; 0 when that is not known.
    pub fn open(
        disk: &dyn Disk,
        directory: &Path,
        number: u64,
        is_last: bool,
        acknowledged_bytes: u64,
    ) -> Result<Self, LogStoreError> {
        let path = Self::path_of(directory, number);
        let at = |source| LogStoreError::Disk { path: path.clone(), source };
        let file = disk.open(&path).map_err(at)?;
        let file_bytes = file.length().map_err(at)?;
        let damaged = |offset, what| damage(&path, offset, what);

        let mut header = vec![0; FILE_HEADER_BYTES.min(file_bytes) as usize];
        file.read_at(&mut header, 0).map_err(at)?;
        if !frame::is_file_header(&header, number) {
            // A crash while the file was made leaves it without a frame.
            if is_last && file_bytes.max(acknowledged_bytes) <= FILE_HEADER_BYTES {
                file.write_at(&frame::file_header(number), 0).map_err(at)?;
                file.truncate(FILE_HEADER_BYTES).map_err(at)?;
                let empty = JournalIndex::default();
                return Ok(Self::new(number, path, file, empty, FILE_HEADER_BYTES));
            }
            return Err(damaged(0, "there is not the header of this journal"));
        }

        let mut index = JournalIndex::default();
        let mut offset = FILE_HEADER_BYTES;
        while offset < file_bytes {
            let Some(body) = read_frame(&*file, offset, file_bytes).map_err(at)? else { break };
            let body_offset = offset + FRAME_HEADER_BYTES as u64;
            index_body(&body, body_offset, &mut index)
                .ok_or_else(|| damaged(offset, "a frame that is not of this version"))?;
            offset = body_offset + body.len() as u64;
        }
        if offset < acknowledged_bytes {
            return Err(damaged(offset, "an acknowledged frame is missing or changed"));
        }
        if offset < file_bytes {
            let acknowledged =
                !is_last || has_frame_behind(&*file, offset + 1, file_bytes).map_err(at)?;
            if acknowledged {
                return Err(damaged(offset, "an acknowledged frame does not match its checksum"));
            }
            tracing::info!(
                event = "log_journal_cut",
                path = %path.display(),
                offset,
                file_bytes,
                "cut the torn end of a log journal"
            );
            file.truncate(offset).map_err(at)?;
        } else if offset > acknowledged_bytes {
            // Whoever was killed may have written it without having synced it; from now on it counts.
            file.sync().map_err(at)?;
        }
        Ok(Self::new(number, path, file, index, offset))
    }

    fn new(
        number: u64,
        path: PathBuf,
        file: Box<dyn AppendFile>,
        index: JournalIndex,
        length: u64,
    ) -> Self {
        let index = RwLock::new(index);
        Self { number, path, file, index, length: AtomicU64::new(length) }
    }

    /// Writes one frame and returns when it is on disk. Only one caller at a time may be here. On
    /// failure the file is cut back, or left with an end that the next call cuts first.
    pub fn append(&self, frame: &mut [u8]) -> Result<(), LogStoreError> {
        let offset = self.length();
        frame::complete(frame, offset);
        let written = self.cut_rest(offset).and_then(|()| {
            self.file.write_at(frame, offset)?;
            self.file.sync()
        });
        if let Err(source) = written {
            if let Err(error) = self.cut_rest(offset) {
                tracing::warn!(
                    event = "log_journal_write_not_undone",
                    path = %self.path.display(),
                    %error,
                    "cannot take back a failed write to a log journal: the next start does"
                );
            }
            return Err(LogStoreError::Disk { path: self.path.clone(), source });
        }
        self.length.store(offset + frame.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Cuts off what a failed write may have left. A journal is put aside only after this.
    pub fn settle(&self) -> Result<(), LogStoreError> {
        self.cut_rest(self.length())
            .map_err(|source| LogStoreError::Disk { path: self.path.clone(), source })
    }

    fn cut_rest(&self, offset: u64) -> io::Result<()> {
        if self.file.length()? > offset { self.file.truncate(offset) } else { Ok(()) }
    }

    /// Makes what was appended visible.
    pub fn show(&self, entries: impl Iterator<Item = IndexEntry>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        entries.for_each(|entry| index.add(entry));
    }

    pub fn index(&self) -> RwLockReadGuard<'_, JournalIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.length() <= FILE_HEADER_BYTES
    }

    /// Hands every event of a batch to `each`, in the order in which they came.
    pub fn read_batch(
        &self,
        place: &BatchPlace,
        buffer: &mut Vec<u8>,
        mut each: impl FnMut(RawEvent<'_>),
    ) -> Result<(), LogStoreError> {
        buffer.resize(place.length as usize, 0);
        self.file
            .read_at(buffer, place.offset)
            .map_err(|source| LogStoreError::Disk { path: self.path.clone(), source })?;
        let damaged = |what| damage(&self.path, place.offset, what);
        if crc32(buffer) != place.crc {
            return Err(damaged("a batch does not match its checksum"));
        }
        let malformed = "a batch that is not of this version";
        let (_, mut events) = record::decode(buffer).ok_or_else(|| damaged(malformed))?;
        while let Some(event) = events.next_event().map_err(|_| damaged(malformed))? {
            each(event);
        }
        Ok(())
    }

    /// Removes the file of a journal that was sealed. Readers that hold it may go on.
    pub fn remove(&self) -> Result<(), LogStoreError> {
        std::fs::remove_file(&self.path)
            .map_err(|source| LogStoreError::Disk { path: self.path.clone(), source })
    }
}

fn damage(path: &Path, offset: u64, what: &'static str) -> LogStoreError {
    LogStoreError::Damaged { path: path.to_owned(), offset: Some(offset), what: what.into() }
}

/// The body of the frame at `offset`, or nothing when no whole and valid frame stands there.
fn read_frame(file: &dyn AppendFile, offset: u64, file_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let body_offset = offset + FRAME_HEADER_BYTES as u64;
    if body_offset > file_bytes {
        return Ok(None);
    }
    let mut header = [0; FRAME_HEADER_BYTES];
    file.read_at(&mut header, offset)?;
    let Some(header) = FrameHeader::parse(&header, offset) else { return Ok(None) };
    if body_offset + header.body_bytes as u64 > file_bytes {
        return Ok(None);
    }
    let mut body = vec![0; header.body_bytes];
    file.read_at(&mut body, body_offset)?;
    Ok(header.accepts(&body).then_some(body))
}

/// Whether any valid frame stands at or behind `from`: proof that what is before it was on disk.
fn has_frame_behind(file: &dyn AppendFile, from: u64, file_bytes: u64) -> io::Result<bool> {
    let mut rest = vec![0; file_bytes.saturating_sub(from) as usize];
    file.read_at(&mut rest, from)?;
    for position in frame::candidates(&rest) {
        if read_frame(file, from + position as u64, file_bytes)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn index_body(body: &[u8], body_offset: u64, index: &mut JournalIndex) -> Option<()> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let start = body.len() - reader.remaining() + 4;
        let (head, events) = record::next(&mut reader)?;
        let bytes = &body[start..body.len() - reader.remaining()];
        index.add(entry_of(head, events, bytes, body_offset + start as u64)?);
    }
    Some(())
}

fn entry_of(
    head: RecordHead,
    mut events: EventReader<'_>,
    bytes: &[u8],
    offset: u64,
) -> Option<IndexEntry> {
    let mut place = BatchPlace {
        offset,
        length: bytes.len() as u32,
        crc: crc32(bytes),
        message_bytes: 0,
        events: head.events,
        first_sequence: head.first_sequence,
        earliest_ms: i64::MAX,
        latest_ms: i64::MIN,
    };
    while let Some(event) = events.next_event().ok()? {
        place.message_bytes += event.message.len() as u32;
        place.earliest_ms = place.earliest_ms.min(event.key.timestamp_ms);
        place.latest_ms = place.latest_ms.max(event.key.timestamp_ms);
    }
    Some(IndexEntry { head, place })
}

/// Encodes a batch at the end of `frame` and says where it will stand in the journal, with offsets
/// from the start of the frame.
pub(crate) fn push_record<'a>(
    frame: &mut Vec<u8>,
    head: RecordHead,
    messages: impl Iterator<Item = (i64, &'a str)> + Clone,
) -> IndexEntry {
    let start = frame.len() + 4;
    record::encode(frame, &head, messages.clone());
    let place = BatchPlace {
        offset: start as u64,
        length: (frame.len() - start) as u32,
        crc: crc32(&frame[start..]),
        message_bytes: messages.clone().map(|(_, message)| message.len() as u32).sum(),
        events: head.events,
        first_sequence: head.first_sequence,
        earliest_ms: messages.clone().map(|(at, _)| at).min().unwrap_or(i64::MAX),
        latest_ms: messages.map(|(at, _)| at).max().unwrap_or(i64::MIN),
    };
    IndexEntry { head, place }
}
