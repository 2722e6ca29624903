//! A block: the events of one stream, in order, compressed, with a filter of their trigrams.
//!
//! ```text
//! header 80 bytes | trigram filter | zstd(times, sequences, ingestion times, lengths, messages)
//! ```
//!
//! **Invariant:** every byte is under a checksum that is compared before the byte is used, and the
//! header repeats what the catalog says of the block, so neither can be wrong unnoticed.

use crc32fast::hash as crc32;

use super::trigrams::{FILTER_BYTES_MAX, TrigramCollector, TrigramFilter};
use crate::bytes::{Reader, put_signed, put_varint};
use crate::event::{EventKey, StreamNumber};
use crate::journal::record::RawEvent;
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_EVENTS_MAX};

const BLOCK_MAGIC: u32 = 0x4f50_4c42;
pub(crate) const BLOCK_HEADER_BYTES: usize = 80;

/// What a block says of itself; the catalog keeps the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHead {
    pub stream: StreamNumber,
    pub first: EventKey,
    pub last: EventKey,
    pub events: u32,
    pub message_bytes: u32,
    pub filter_bytes: u32,
    pub packed_bytes: u32,
}

impl BlockHead {
    /// Bytes of the whole block on disk.
    pub fn block_bytes(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + u64::from(self.filter_bytes) + u64::from(self.packed_bytes)
    }

    /// Bytes of the part that tells whether a search has to read the rest.
    pub fn front_bytes(&self) -> usize {
        BLOCK_HEADER_BYTES + self.filter_bytes as usize
    }
}

/// Writes the block of `events`, which are in order and not empty, at the end of `out`.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    stream: StreamNumber,
    events: &[RawEvent<'_>],
    level: i32,
    collector: &mut TrigramCollector,
) -> std::io::Result<Option<BlockHead>> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
    let message_bytes: usize = events.iter().map(|event| event.message.len()).sum();
    let mut columns = Vec::with_capacity(message_bytes + events.len() * 12);
    let mut before = RawEvent { key: EventKey::FIRST, ingestion_ms: 0, message: "" };
    for event in events {
        put_signed(&mut columns, event.key.timestamp_ms - before.key.timestamp_ms);
        put_signed(&mut columns, event.key.sequence.wrapping_sub(before.key.sequence) as i64);
        put_signed(&mut columns, event.ingestion_ms - before.ingestion_ms);
        put_varint(&mut columns, event.message.len() as u64);
        before = *event;
    }
    for event in events {
        columns.extend(event.message.as_bytes());
        collector.add(event.message.as_bytes());
    }
    let filter = collector.finish();
    let packed = zstd::bulk::compress(&columns, level)?;
    let head = BlockHead {
        stream,
        first: first.key,
        last: last.key,
        events: events.len() as u32,
        message_bytes: message_bytes as u32,
        filter_bytes: filter.as_bytes().len() as u32,
        packed_bytes: packed.len() as u32,
    };
    put_header(out, &head, columns.len() as u32, crc32(filter.as_bytes()), crc32(&packed));
    out.extend(filter.as_bytes());
    out.extend(packed);
    Ok(Some(head))
}

fn put_header(
    out: &mut Vec<u8>,
    head: &BlockHead,
    unpacked: u32,
    filter_crc: u32,
    packed_crc: u32,
) {
    let start = out.len();
    out.extend(BLOCK_MAGIC.to_le_bytes());
    out.extend(head.stream.to_le_bytes());
    for key in [head.first, head.last] {
        out.extend(key.timestamp_ms.to_le_bytes());
        out.extend(key.sequence.to_le_bytes());
    }
    let sizes = [head.events, head.message_bytes, head.filter_bytes, head.packed_bytes, unpacked];
    for number in sizes.into_iter().chain([filter_crc, packed_crc]) {
        out.extend(number.to_le_bytes());
    }
    let crc = crc32(&out[start..]);
    out.extend(crc.to_le_bytes());
    out.extend([0; 4]);
    debug_assert_eq!(out.len() - start, BLOCK_HEADER_BYTES);
}

/// The header and the filter of a block, read and checked.
pub(crate) struct BlockFront {
    pub head: BlockHead,
    pub filter: TrigramFilter,
    unpacked_bytes: usize,
    packed_crc: u32,
}

impl BlockFront {
    /// Reads what `encode` wrote in front of the packed events.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(BLOCK_HEADER_BYTES)?;
        let mut reader = Reader::new(header);
        let magic = reader.u32()?;
        let stream = reader.i64()?;
        let first = EventKey { timestamp_ms: reader.i64()?, sequence: reader.u64()? };
        let last = EventKey { timestamp_ms: reader.i64()?, sequence: reader.u64()? };
        let events = reader.u32()?;
        let message_bytes = reader.u32()?;
        let filter_bytes = reader.u32()?;
        let packed_bytes = reader.u32()?;
        let unpacked_bytes = reader.u32()? as usize;
        let filter_crc = reader.u32()?;
        let packed_crc = reader.u32()?;
        let header_crc = reader.u32()?;
        // The last four bytes are room for later and are not read by this version.
        let valid = magic == BLOCK_MAGIC
            && header_crc == crc32(&header[..BLOCK_HEADER_BYTES - 8])
            && filter_bytes as usize <= FILTER_BYTES_MAX
            && unpacked_bytes <= BLOCK_BYTES_MAX
            && events as usize <= BLOCK_EVENTS_MAX;
        let filter = rest.get(..filter_bytes as usize)?;
        if !valid || crc32(filter) != filter_crc {
            return None;
        }
        let head =
            BlockHead { stream, first, last, events, message_bytes, filter_bytes, packed_bytes };
        let filter = TrigramFilter::from_bytes(filter)?;
        Some(Self { head, filter, unpacked_bytes, packed_crc })
    }

    /// Unpacks the events of the block from what follows its front.
    pub fn unpack(&self, packed: &[u8]) -> Option<BlockEvents> {
        if crc32(packed) != self.packed_crc {
            return None;
        }
        let columns = zstd::bulk::decompress(packed, self.unpacked_bytes).ok()?;
        BlockEvents::read(columns, self.head.events as usize, self.head.message_bytes as usize)
    }
}

/// The unpacked events of a block.
pub(crate) struct BlockEvents {
    columns: Vec<u8>,
    rows: Vec<Row>,
}

struct Row {
    key: EventKey,
    ingestion_ms: i64,
    start: usize,
    end: usize,
}

impl BlockEvents {
    fn read(columns: Vec<u8>, events: usize, message_bytes: usize) -> Option<Self> {
        let mut start = columns.len().checked_sub(message_bytes)?;
        let mut reader = Reader::new(&columns[..start]);
        let mut rows = Vec::with_capacity(events);
        let (mut key, mut ingestion_ms) = (EventKey::FIRST, 0i64);
        for _ in 0..events {
            key = EventKey {
                timestamp_ms: key.timestamp_ms.checked_add(reader.signed()?)?,
                sequence: key.sequence.wrapping_add(reader.signed()? as u64),
            };
            ingestion_ms = ingestion_ms.checked_add(reader.signed()?)?;
            let end = start.checked_add(usize::try_from(reader.varint()?).ok()?)?;
            std::str::from_utf8(columns.get(start..end)?).ok()?;
            rows.push(Row { key, ingestion_ms, start, end });
            start = end;
        }
        if !reader.is_empty() || start != columns.len() {
            return None;
        }
        Some(Self { columns, rows })
    }

    /// The events, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RawEvent<'_>> {
        self.rows.iter().map(|row| RawEvent {
            key: row.key,
            ingestion_ms: row.ingestion_ms,
            // `read` has checked it; an empty text stands for the impossible.
            message: std::str::from_utf8(&self.columns[row.start..row.end]).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> (Vec<u8>, BlockHead, Vec<(EventKey, String)>) {
        let messages: Vec<(EventKey, String)> = (0..50u64)
            .map(|n| {
                let key = EventKey { timestamp_ms: 1000 + (n / 3) as i64, sequence: 900 - n * 2 };
                (key, format!("line {n} größe {}", n * n))
            })
            .collect();
        let events: Vec<RawEvent<'_>> = messages
            .iter()
            .map(|(key, message)| RawEvent { key: *key, ingestion_ms: 5000, message })
            .collect();
        let mut out = Vec::new();
        let head = encode(&mut out, 7, &events, 1, &mut TrigramCollector::new()).unwrap().unwrap();
        (out, head, messages)
    }

    fn read(bytes: &[u8], head: &BlockHead) -> Option<BlockEvents> {
        let front = BlockFront::parse(bytes.get(..head.front_bytes())?)?;
        if front.head != *head {
            return None;
        }
        front.unpack(&bytes[head.front_bytes()..])
    }

    #[test]
    fn a_block_reads_back() {
        let (bytes, head, messages) = block();
        assert_eq!(head.block_bytes(), bytes.len() as u64);
        let events = read(&bytes, &head).unwrap();
        let back: Vec<_> =
            events.iter().map(|event| (event.key, event.message.to_owned())).collect();
        assert_eq!(back, messages);
    }

    #[test]
    fn every_flipped_bit_is_found_or_harmless() {
        let (bytes, head, messages) = block();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[position] ^= 1 << bit;
                if let Some(events) = read(&flipped, &head) {
                    let back: Vec<_> =
                        events.iter().map(|event| (event.key, event.message.to_owned())).collect();
                    assert_eq!(back, messages, "byte {position} bit {bit}");
                }
            }
        }
    }
}
