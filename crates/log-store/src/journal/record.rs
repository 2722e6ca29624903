//! One appended batch as bytes: the body of a journal frame is a row of these.
//!
//! **Invariant:** the cursor of a source and the events that it covers are one record, so both are
//! on disk or neither is.

use outport_model::TimestampMs;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::event::{EventKey, StreamNumber};

const KIND_EVENTS: u8 = 1;
const KIND_SOURCE: u8 = 2;

/// A borrowed event, as the journal and the segments handle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawEvent<'a> {
    pub key: EventKey,
    pub ingestion_ms: TimestampMs,
    pub message: &'a str,
}

/// A cursor that is committed together with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CursorMove {
    pub source: String,
    pub to_cursor: u64,
}

/// What a record says of itself, without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub stream: StreamNumber,
    pub ingestion_ms: TimestampMs,
    pub first_sequence: u64,
    pub cursor: Option<CursorMove>,
    pub events: u32,
}

/// Writes a record. `messages` are in the order in which they came; event `n` gets the sequence
/// `first_sequence + n`.
pub(crate) fn encode<'a>(
    out: &mut Vec<u8>,
    head: &RecordHead,
    messages: impl Iterator<Item = (TimestampMs, &'a str)>,
) {
    let start = out.len();
    out.extend([0; 4]);
    out.push(if head.events == 0 { KIND_SOURCE } else { KIND_EVENTS });
    out.extend(head.stream.to_le_bytes());
    out.extend(head.ingestion_ms.to_le_bytes());
    out.extend(head.first_sequence.to_le_bytes());
    match &head.cursor {
        None => out.push(0),
        Some(cursor) => {
            out.push(cursor.source.len() as u8);
            out.extend(cursor.source.as_bytes());
            out.extend(cursor.to_cursor.to_le_bytes());
        }
    }
    out.extend(head.events.to_le_bytes());
    let mut before_ms = 0;
    for (timestamp_ms, message) in messages {
        put_signed(out, timestamp_ms - before_ms);
        put_varint(out, message.len() as u64);
        out.extend(message.as_bytes());
        before_ms = timestamp_ms;
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes the next record of a frame's body: its head and a reader of its events.
pub(crate) fn next<'a>(body: &mut Reader<'a>) -> Option<(RecordHead, EventReader<'a>)> {
    let length = body.u32()? as usize;
    decode(body.bytes(length)?)
}

/// Reads one record without its length in front.
pub(crate) fn decode(bytes: &[u8]) -> Option<(RecordHead, EventReader<'_>)> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let stream = reader.i64()?;
    let ingestion_ms = reader.i64()?;
    let first_sequence = reader.u64()?;
    let cursor = match reader.u8()? {
        0 => None,
        length => {
            let source = reader.text(length.into())?.to_owned();
            Some(CursorMove { source, to_cursor: reader.u64()? })
        }
    };
    let events = reader.u32()?;
    if kind != (if events == 0 { KIND_SOURCE } else { KIND_EVENTS }) {
        return None;
    }
    let head = RecordHead { stream, ingestion_ms, first_sequence, cursor, events };
    let left = events;
    let event_reader = EventReader {
        reader,
        left,
        key: EventKey { timestamp_ms: 0, sequence: first_sequence },
        ingestion_ms,
    };
    Some((head, event_reader))
}

/// Reads the events of a record in the order in which they came.
pub(crate) struct EventReader<'a> {
    reader: Reader<'a>,
    left: u32,
    key: EventKey,
    ingestion_ms: TimestampMs,
}

impl<'a> EventReader<'a> {
    /// The next event, `Ok(None)` after the last, `Err` when the bytes are not a record.
    pub fn next_event(&mut self) -> Result<Option<RawEvent<'a>>, MalformedRecord> {
        if self.left == 0 {
            return if self.reader.is_empty() { Ok(None) } else { Err(MalformedRecord) };
        }
        self.left -= 1;
        let event = self.read_event().ok_or(MalformedRecord)?;
        Ok(Some(event))
    }

    fn read_event(&mut self) -> Option<RawEvent<'a>> {
        let timestamp_ms = self.key.timestamp_ms.checked_add(self.reader.signed()?)?;
        let length = usize::try_from(self.reader.varint()?).ok()?;
        let message = self.reader.text(length)?;
        let key = EventKey { timestamp_ms, sequence: self.key.sequence };
        self.key = EventKey { timestamp_ms, sequence: key.sequence.checked_add(1)? };
        Some(RawEvent { key, ingestion_ms: self.ingestion_ms, message })
    }
}

/// The bytes had the right checksum and yet are not a record: written by another program.
#[derive(Debug)]
pub(crate) struct MalformedRecord;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: RecordHead, messages: &[(TimestampMs, &str)]) {
        let mut out = Vec::new();
        encode(&mut out, &head, messages.iter().copied());
        let mut body = Reader::new(&out);
        let (read_head, mut events) = next(&mut body).unwrap();
        assert_eq!(read_head, head);
        assert!(body.is_empty());
        for (n, (timestamp_ms, message)) in messages.iter().enumerate() {
            let event = events.next_event().unwrap().unwrap();
            assert_eq!((event.key.timestamp_ms, event.message), (*timestamp_ms, *message));
            assert_eq!(event.key.sequence, head.first_sequence + n as u64);
        }
        assert!(events.next_event().unwrap().is_none());
        for cut in 0..out.len() {
            let mut reader = Reader::new(&out[..cut]);
            assert!(next(&mut reader).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn records_read_back_and_cut_ones_do_not() {
        let cursor = Some(CursorMove { source: "task/app/0".into(), to_cursor: 77 });
        let head =
            RecordHead { stream: 4, ingestion_ms: 9, first_sequence: 100, cursor, events: 0 };
        check(head.clone(), &[]);
        check(RecordHead { events: 2, ..head.clone() }, &[(5, "a"), (3, "größe")]);
        check(RecordHead { events: 1, cursor: None, ..head }, &[(1_700_000_000_000, "")]);
    }

    /// The bytes of version 1, as written by the first release.
    #[test]
    fn old_bytes_read_back() {
        let hex = "2d00000001040000000000000009000000000000006400000000000000\
                   01734d0000000000000002000000\
                   0a0161030162";
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        let (head, mut events) = next(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(head.cursor, Some(CursorMove { source: "s".into(), to_cursor: 77 }));
        assert_eq!(events.next_event().unwrap().unwrap().message, "a");
        let second = events.next_event().unwrap().unwrap();
        assert_eq!((second.key.timestamp_ms, second.message), (3, "b"));
    }
}
