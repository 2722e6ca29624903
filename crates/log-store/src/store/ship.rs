//! Shipping: a node sends the lines of a container, exactly once, however often it must repeat.
//!
//! **Invariant:** the events of a source that are in a stream are exactly those up to its committed
//! cursor: both are one record of the journal.

use outport_model::{Scope, TimestampMs};

use super::LogStore;
use crate::commit::{Append, Appender};
use crate::error::{LogStoreError, ShipmentRefusal};
use crate::event::{NodeLogEvent, StreamNumber, TIMESTAMP_MS_MAX, counted_bytes};
use crate::limits::{CURSOR_MAX, EVENT_BYTES_MAX, NODE_BATCH_BYTES_MAX, NODE_BATCH_EVENTS_MAX};
use crate::names::{LogStreamName, SourceId};
use crate::seen_group::GroupNamed;

/// A range of a source, and the events in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    pub source: SourceId,
    pub from_cursor: u64,
    /// At or behind the end of the last event.
    pub to_cursor: u64,
    /// In the order of their cursors. An event with an empty message is passed over, as AWS keeps
    /// none.
    pub events: Vec<NodeLogEvent>,
}

impl LogStore {
    /// Appends what of a shipment is not committed yet, and answers the committed cursor: on disk,
    /// together with the events before it. A repeat appends nothing.
    pub fn append_from_node(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
        shipment: &Shipment,
    ) -> Result<u64, LogStoreError> {
        check_shipment(shipment)?;
        let stream = self.stream_number(scope, group, stream)?;
        // Not while the appenders are locked: to count asks for the journals.
        if !shipment.events.is_empty() {
            self.check_room()?;
        }
        let mut answer = 0;
        let decide = |cursor: Option<u64>| {
            let committed = cursor.unwrap_or(0);
            if shipment.from_cursor > committed {
                return Err(ShipmentRefusal::Gap { committed }.into());
            }
            answer = committed.max(shipment.to_cursor);
            if shipment.to_cursor <= committed {
                return Ok(None);
            }
            let new = shipment.events.iter().filter(|event| event.end_cursor > committed);
            let messages: Vec<(TimestampMs, &str)> = new
                .filter(|event| !event.message.is_empty())
                .map(|event| (event.timestamp_ms, event.message.as_str()))
                .collect();
            Ok(Some(Append { to_cursor: Some(shipment.to_cursor), messages }))
        };
        self.append_with_cursor(stream, &shipment.source, decide)?;
        Ok(answer)
    }

    /// Says where a source starts that is shipped to this stream for the first time and whose
    /// beginning is gone. A source that is known keeps its cursor. Answers the committed cursor.
    pub fn open_source(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
        source: &SourceId,
        at_cursor: u64,
    ) -> Result<u64, LogStoreError> {
        if at_cursor > CURSOR_MAX {
            return Err(ShipmentRefusal::CursorsNotRising.into());
        }
        let stream = self.stream_number(scope, group, stream)?;
        let mut answer = 0;
        self.append_with_cursor(stream, source, |cursor| {
            answer = cursor.unwrap_or(at_cursor);
            let opened = Append { to_cursor: Some(at_cursor), messages: Vec::new() };
            Ok(cursor.is_none().then_some(opened))
        })?;
        Ok(answer)
    }

    /// The committed cursor of a source; `None` when it was never shipped to this stream.
    pub fn source_cursor(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
        source: &SourceId,
    ) -> Result<Option<u64>, LogStoreError> {
        let stream = self.stream_number(scope, group, stream)?;
        let mut answer = None;
        self.append_with_cursor(stream, source, |cursor| {
            answer = cursor;
            Ok(None)
        })?;
        Ok(answer)
    }

    fn append_with_cursor<'a>(
        &self,
        stream: StreamNumber,
        source: &SourceId,
        decide: impl FnOnce(Option<u64>) -> Result<Option<Append<'a>>, LogStoreError>,
    ) -> Result<(), LogStoreError> {
        let source = source.as_str();
        let ingestion_ms = self.clock.now_ms();
        let appender = Appender { stream, ingestion_ms, source: Some(source) };
        let in_catalog = |source: &str| self.catalog.read(|read| read.cursor(stream, source));
        self.seal_when_stuck();
        self.commit.append(&appender, in_catalog, decide)?;
        self.seal_when_full();
        Ok(())
    }

    fn stream_number(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
    ) -> Result<StreamNumber, LogStoreError> {
        self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            Ok(read.stream(&group, stream)?.id)
        })
    }
}

fn check_shipment(shipment: &Shipment) -> Result<(), ShipmentRefusal> {
    let events = &shipment.events;
    if events.len() > NODE_BATCH_EVENTS_MAX {
        let max = NODE_BATCH_EVENTS_MAX;
        return Err(ShipmentRefusal::TooManyEvents { events: events.len(), max });
    }
    let mut cursor = shipment.from_cursor;
    let mut bytes_of_all = 0;
    for event in events {
        if event.end_cursor <= cursor {
            return Err(ShipmentRefusal::CursorsNotRising);
        }
        cursor = event.end_cursor;
        if !(0..=TIMESTAMP_MS_MAX).contains(&event.timestamp_ms) {
            return Err(ShipmentRefusal::InvalidTimestamp { timestamp_ms: event.timestamp_ms });
        }
        let bytes = counted_bytes(&event.message);
        if bytes > EVENT_BYTES_MAX {
            return Err(ShipmentRefusal::EventTooLarge { bytes, max: EVENT_BYTES_MAX });
        }
        bytes_of_all += bytes;
    }
    if cursor > shipment.to_cursor || shipment.to_cursor > CURSOR_MAX {
        return Err(ShipmentRefusal::CursorsNotRising);
    }
    if bytes_of_all > NODE_BATCH_BYTES_MAX {
        let max = NODE_BATCH_BYTES_MAX;
        return Err(ShipmentRefusal::TooManyBytes { bytes: bytes_of_all, max });
    }
    Ok(())
}
