//! A store in a directory of its own, with a clock that tests move.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use outport_model::{AccountId, Region, Scope, TimestampMs};

use crate::clock::Clock;
use crate::disk::{Disk, RealDisk};
use crate::group::NewLogGroup;
use crate::pattern::FilterPattern;
use crate::store::{
    EventPage, FilterEvents, FilteredPage, GetEvents, LogStore, LogStoreOptions, PutOutcome,
    Shipment, StreamSelection,
};
use crate::{InputLogEvent, LogGroupName, LogStoreError, LogStreamName, NodeLogEvent, SourceId};

/// Enough for every test but the one that reaches it.
pub const GROUPS_MAX: u64 = 40;
pub const NOW: TimestampMs = 1_700_000_000_000;

/// The wall clock and how far it was set; the steady one is the difference.
pub struct TestClock(pub AtomicI64, pub AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> TimestampMs {
        self.0.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst) - self.1.load(Ordering::SeqCst)
    }
}

pub struct Rig {
    pub store: Arc<LogStore>,
    pub clock: Arc<TestClock>,
}

pub fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

pub fn group(name: &str) -> LogGroupName {
    LogGroupName::parse(name).unwrap()
}

pub fn stream(name: &str) -> LogStreamName {
    LogStreamName::parse(name).unwrap()
}

pub fn event(timestamp_ms: TimestampMs, message: &str) -> InputLogEvent {
    InputLogEvent { timestamp_ms, message: message.to_owned() }
}

pub fn try_open(directory: &Path, seal_bytes: u64) -> Result<Arc<LogStore>, LogStoreError> {
    open_with(
        directory,
        seal_bytes,
        Arc::new(RealDisk),
        Arc::new(TestClock(AtomicI64::new(NOW), AtomicI64::new(0))),
    )
}

pub fn open_with(
    directory: &Path,
    seal_bytes: u64,
    disk: Arc<dyn Disk>,
    clock: Arc<TestClock>,
) -> Result<Arc<LogStore>, LogStoreError> {
    let options = LogStoreOptions {
        seal_bytes,
        seals_in_background: false,
        groups_max: GROUPS_MAX,
        ..LogStoreOptions::default()
    };
    LogStore::open_on(disk, directory.to_owned(), clock, options)
}

impl Rig {
    pub fn open(directory: &Path, seal_bytes: u64) -> Self {
        Self::open_on(directory, seal_bytes, Arc::new(RealDisk))
    }

    pub fn open_on(directory: &Path, seal_bytes: u64, disk: Arc<dyn Disk>) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(NOW), AtomicI64::new(0)));
        let store = open_with(directory, seal_bytes, disk, clock.clone()).unwrap();
        Self { store, clock }
    }

    /// With the group `g` and in it the streams `a` and `b`.
    pub fn with_streams(self) -> Self {
        let new = NewLogGroup::named(group("g"));
        self.store.create_group(&scope(), new).unwrap();
        for name in ["a", "b"] {
            self.store.create_stream(&scope(), &group("g"), &stream(name)).unwrap();
        }
        self
    }

    pub fn advance(&self, by_ms: i64) {
        self.clock.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub fn put(&self, name: &str, events: &[(TimestampMs, &str)]) -> PutOutcome {
        let events: Vec<_> = events.iter().map(|(at, message)| event(*at, message)).collect();
        self.store.put_events(&scope(), &group("g"), &stream(name), &events).unwrap()
    }

    pub fn get(&self, name: &str, request: &GetEvents) -> EventPage {
        self.store.get_events(&scope(), &group("g"), &stream(name), request).unwrap()
    }

    /// All messages of a stream, oldest first.
    pub fn messages(&self, name: &str) -> Vec<String> {
        messages_of(&self.store, name).unwrap()
    }

    pub fn filter(&self, pattern: &str, change: impl FnOnce(&mut FilterEvents)) -> FilteredPage {
        let mut request = FilterEvents {
            streams: StreamSelection::All,
            start_ms: None,
            end_ms: None,
            pattern: FilterPattern::parse(pattern).unwrap(),
            limit: None,
            token: None,
        };
        change(&mut request);
        self.store.filter_events(&scope(), &group("g"), &request).unwrap()
    }

    pub fn filtered(&self, pattern: &str) -> Vec<String> {
        self.filter(pattern, |_| ()).events.into_iter().map(|found| found.event.message).collect()
    }

    pub fn ship(&self, from: u64, to: u64) -> Result<u64, LogStoreError> {
        ship(&self.store, from, to)
    }
}

pub fn messages_of(store: &LogStore, name: &str) -> Result<Vec<String>, LogStoreError> {
    let mut request = GetEvents { start_from_head: true, ..GetEvents::default() };
    let mut messages = Vec::new();
    loop {
        let page = store.get_events(&scope(), &group("g"), &stream(name), &request)?;
        if page.events.is_empty() {
            return Ok(messages);
        }
        messages.extend(page.events.into_iter().map(|event| event.message));
        request.token = Some(page.next_forward_token);
    }
}

/// Ships the lines of a file in which line `n` is `line n` and takes ten bytes.
pub fn ship(store: &LogStore, from: u64, to: u64) -> Result<u64, LogStoreError> {
    let events = (from.div_ceil(10)..to / 10).map(|line| NodeLogEvent {
        timestamp_ms: NOW + line as i64,
        message: format!("line {line}"),
        end_cursor: line * 10 + 10,
    });
    let shipment = Shipment {
        source: SourceId::parse("task/app/0").unwrap(),
        from_cursor: from,
        to_cursor: to,
        events: events.collect(),
    };
    store.append_from_node(&scope(), &group("g"), &stream("a"), &shipment)
}

pub fn lines(to: u64) -> Vec<String> {
    (0..to / 10).map(|line| format!("line {line}")).collect()
}
