//! A segment: a file of blocks, written once. Which blocks are in it, and which of them still
//! count, is in the catalog.
//!
//! **Invariant:** a segment under its final name is complete and on disk, and never changes.

pub(crate) mod block;
pub(crate) mod trigrams;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use self::block::{BlockEvents, BlockFront, BlockHead};
use self::trigrams::TrigramCollector;
use crate::disk::sync_directory_of;
use crate::error::LogStoreError;
use crate::event::StreamNumber;
use crate::journal::record::RawEvent;
use crate::limits::{BLOCK_BYTES_TARGET, BLOCK_EVENTS_MAX};

const FILE_HEADER: &[u8; 16] = b"OUTPLOGS\x01\0\0\0\0\0\0\0";

/// The number of a segment; never given twice in a store.
pub(crate) type SegmentNumber = i64;

/// A block and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub segment: SegmentNumber,
    pub offset: u64,
    pub head: BlockHead,
}

pub(crate) fn path_of(directory: &Path, number: SegmentNumber) -> PathBuf {
    directory.join(format!("{number:016}.segment"))
}

/// The number in the name of a segment file.
pub(crate) fn number_of(path: &Path) -> Option<SegmentNumber> {
    path.file_name()?.to_str()?.strip_suffix(".segment")?.parse().ok()
}

/// Writes a segment under a passing name; [`SegmentWriter::finish`] gives it its own.
pub(crate) struct SegmentWriter {
    number: SegmentNumber,
    path: PathBuf,
    passing_path: PathBuf,
    file: BufWriter<File>,
    offset: u64,
    level: i32,
    collector: TrigramCollector,
    blocks: Vec<BlockPlace>,
}

impl SegmentWriter {
    pub fn create(
        directory: &Path,
        number: SegmentNumber,
        level: i32,
    ) -> Result<Self, LogStoreError> {
        let path = path_of(directory, number);
        let passing_path = path.with_extension("tmp");
        let made = OpenOptions::new().write(true).create(true).truncate(true).open(&passing_path);
        let mut writer = Self {
            number,
            file: BufWriter::new(made.map_err(|source| disk_error(&passing_path, source))?),
            path,
            passing_path,
            offset: 0,
            level,
            collector: TrigramCollector::new(),
            blocks: Vec::new(),
        };
        writer.write(FILE_HEADER)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogStoreError> {
        self.file.write_all(bytes).map_err(|source| disk_error(&self.passing_path, source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Adds the events of one stream, in order.
    pub fn add_stream(
        &mut self,
        stream: StreamNumber,
        events: &[RawEvent<'_>],
    ) -> Result<(), LogStoreError> {
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0;
            let full = rest.iter().take(BLOCK_EVENTS_MAX).position(|event| {
                bytes += event.message.len();
                bytes >= BLOCK_BYTES_TARGET
            });
            let count = full.map_or(rest.len().min(BLOCK_EVENTS_MAX), |last| last + 1);
            let (events_of_block, behind) = rest.split_at(count);
            let mut out = Vec::new();
            let head =
                block::encode(&mut out, stream, events_of_block, self.level, &mut self.collector)
                    .map_err(|source| disk_error(&self.passing_path, source))?;
            if let Some(head) = head {
                self.blocks.push(BlockPlace { segment: self.number, offset: self.offset, head });
            }
            self.write(&out)?;
            rest = behind;
        }
        Ok(())
    }

    /// Takes over a block of another segment as it is.
    pub fn copy_block(
        &mut self,
        from: &SegmentFile,
        place: &BlockPlace,
    ) -> Result<(), LogStoreError> {
        let bytes = from.verified_block(place)?;
        self.blocks.push(BlockPlace {
            segment: self.number,
            offset: self.offset,
            head: place.head,
        });
        self.write(&bytes)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Brings the segment to disk under its own name and answers its blocks.
    pub fn finish(self) -> Result<Vec<BlockPlace>, LogStoreError> {
        let Self { path, passing_path, file, blocks, .. } = self;
        let done = file.into_inner().map_err(|error| error.into_error()).and_then(|file| {
            file.sync_all()?;
            std::fs::rename(&passing_path, &path)?;
            sync_directory_of(&path)
        });
        done.map_err(|source| disk_error(&path, source))?;
        Ok(blocks)
    }
}

/// An open segment.
pub(crate) struct SegmentFile {
    path: PathBuf,
    file: File,
}

impl SegmentFile {
    pub fn open(directory: &Path, number: SegmentNumber) -> Result<Self, LogStoreError> {
        let path = path_of(directory, number);
        let file = File::open(&path).map_err(|source| disk_error(&path, source))?;
        Ok(Self { path, file })
    }

    /// The header and filter of a block, which must be those that the catalog knows.
    pub fn front(&self, place: &BlockPlace) -> Result<BlockFront, LogStoreError> {
        let bytes = self.read(place, 0, place.head.front_bytes())?;
        match BlockFront::parse(&bytes) {
            Some(front) if front.head == place.head => Ok(front),
            _ => Err(self.damaged(place)),
        }
    }

    pub fn events(
        &self,
        place: &BlockPlace,
        front: &BlockFront,
    ) -> Result<BlockEvents, LogStoreError> {
        let packed =
            self.read(place, front.head.front_bytes(), front.head.packed_bytes as usize)?;
        front.unpack(&packed).ok_or_else(|| self.damaged(place))
    }

    fn verified_block(&self, place: &BlockPlace) -> Result<Vec<u8>, LogStoreError> {
        let front = self.front(place)?;
        self.events(place, &front)?;
        self.read(place, 0, place.head.block_bytes() as usize)
    }

    fn read(
        &self,
        place: &BlockPlace,
        from: usize,
        length: usize,
    ) -> Result<Vec<u8>, LogStoreError> {
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, place.offset + from as u64) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged(place)),
            Err(source) => Err(disk_error(&self.path, source)),
        }
    }

    fn damaged(&self, place: &BlockPlace) -> LogStoreError {
        let what = "a block does not match its checksums or the catalog";
        let offset = Some(place.offset);
        LogStoreError::Damaged { path: self.path.clone(), offset, what: what.into() }
    }
}

fn disk_error(path: &Path, source: io::Error) -> LogStoreError {
    LogStoreError::Disk { path: path.to_owned(), source }
}
