//! Rough rates of the log store: durable appends of PutLogEvents batches and of shipments, and
//! searches over what they left.
//!
//! `cargo run --release -p outport-log-store --example append_bench [directory]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints what it measured")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use outport_log_store::{
    Clock, FilterEvents, FilterPattern, GetEvents, InputLogEvent, LogGroupName, LogStore,
    LogStoreError, LogStoreOptions, LogStreamName, NewLogGroup, NodeLogEvent, Shipment, SourceId,
    StreamSelection, SystemClock,
};
use outport_model::{AccountId, Region, Scope};

const BATCHES: usize = 200;
const EVENTS_PER_BATCH: usize = 4000;
const APPENDERS: usize = 4;
const SMALL_APPENDERS: usize = 32;
const SMALL_APPENDS: usize = 50;

struct Bench {
    store: Arc<LogStore>,
    scope: Scope,
    group: LogGroupName,
}

fn main() -> Result<(), LogStoreError> {
    let directory = std::env::args().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("outport-append-bench-{}", std::process::id())),
        PathBuf::from,
    );
    let store = LogStore::open(&directory, Arc::new(SystemClock), LogStoreOptions::default())?;
    let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
    let group = LogGroupName::parse("bench")?;
    store.create_group(&scope, NewLogGroup::named(group.clone()))?;
    let bench = Bench { store, scope, group };
    bench.small_appends()?;
    bench.large_batches()?;
    bench.searches()?;
    let bytes = bench.store.group(&bench.scope, &bench.group)?.stored_bytes;
    println!(
        "{} MB of events in {} MB of files",
        bytes / 1_000_000,
        disk_bytes(&directory) / 1_000_000
    );
    drop(bench);
    let start = Instant::now();
    drop(LogStore::open(&directory, Arc::new(SystemClock), LogStoreOptions::default())?);
    println!("opened again in {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    std::fs::remove_dir_all(&directory)
        .map_err(|source| LogStoreError::Disk { path: directory, source })
}

impl Bench {
    fn stream(&self, name: &str) -> Result<LogStreamName, LogStoreError> {
        let stream = LogStreamName::parse(name)?;
        self.store.ensure_stream(&self.scope, &self.group, &stream, false)?;
        Ok(stream)
    }

    /// Many containers that each ship a few lines at a time.
    fn small_appends(&self) -> Result<(), LogStoreError> {
        for appenders in [1, SMALL_APPENDERS] {
            let before = self.store.commit_number();
            let start = Instant::now();
            in_parallel(appenders, |appender| self.ship_lines(appenders, appender))?;
            let seconds = start.elapsed().as_secs_f64();
            let appends = appenders * SMALL_APPENDS;
            println!(
                "{appenders:2} shippers of 10 lines: {:.0} durable appends/s, {:.1} for each fdatasync",
                appends as f64 / seconds,
                appends as f64 / (self.store.commit_number() - before) as f64,
            );
        }
        Ok(())
    }

    fn ship_lines(&self, appenders: usize, appender: usize) -> Result<(), LogStoreError> {
        let stream = self.stream(&format!("ship/{appenders}/{appender}"))?;
        let now_ms = SystemClock.now_ms();
        let mut shipment = Shipment {
            source: SourceId::parse("file")?,
            from_cursor: 0,
            to_cursor: 0,
            events: Vec::new(),
        };
        for append in 0..SMALL_APPENDS as u64 {
            let event = |line| NodeLogEvent {
                timestamp_ms: now_ms,
                message: line_of(line),
                end_cursor: line as u64 + 1,
            };
            let first = append as usize * 10;
            shipment.events = (first..first + 10).map(event).collect();
            (shipment.from_cursor, shipment.to_cursor) = (append * 10, append * 10 + 10);
            self.store.append_from_node(&self.scope, &self.group, &stream, &shipment)?;
        }
        Ok(())
    }

    fn large_batches(&self) -> Result<(), LogStoreError> {
        let now_ms = SystemClock.now_ms();
        let cpu = cpu_seconds();
        let start = Instant::now();
        in_parallel(APPENDERS, |appender| {
            let stream = self.stream(&format!("put/{appender}"))?;
            for batch in 0..BATCHES / APPENDERS {
                let events: Vec<InputLogEvent> = (0..EVENTS_PER_BATCH)
                    .map(|n| InputLogEvent {
                        timestamp_ms: now_ms + batch as i64,
                        message: line_of(batch * EVENTS_PER_BATCH + n),
                    })
                    .collect();
                self.store.put_events(&self.scope, &self.group, &stream, &events)?;
            }
            Ok(())
        })?;
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let events = (BATCHES * EVENTS_PER_BATCH) as f64;
        println!(
            "{APPENDERS} appenders of batches: {:.0} events/s durable, {:.0} events/CPU-s (making them included)",
            events / wall,
            events / cpu
        );
        Ok(())
    }

    fn searches(&self) -> Result<(), LogStoreError> {
        for pattern in ["absentterm", "ERROR checkout", "\"user=u1234567 \"", "{ $.a = 1 }"] {
            let mut request = FilterEvents {
                streams: StreamSelection::All,
                start_ms: None,
                end_ms: None,
                pattern: FilterPattern::parse(pattern)
                    .unwrap_or_else(|_| FilterPattern::everything()),
                limit: None,
                token: None,
            };
            let start = Instant::now();
            let (mut found, mut pages) = (0, 0);
            loop {
                let page = self.store.filter_events(&self.scope, &self.group, &request)?;
                found += page.events.len();
                pages += 1;
                request.token = page.next_token;
                if request.token.is_none() {
                    break;
                }
            }
            println!(
                "search {pattern}: {found} found on {pages} pages in {:.1} ms",
                start.elapsed().as_secs_f64() * 1000.0
            );
        }
        let stream = self.stream("put/0")?;
        let newest = GetEvents { limit: Some(100), ..GetEvents::default() };
        let start = Instant::now();
        self.store.get_events(&self.scope, &self.group, &stream, &newest)?;
        println!("newest 100 of a stream: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    }
}

/// About 228 bytes, as of a web server.
fn line_of(n: usize) -> String {
    let mixed = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let level = if n.is_multiple_of(50) { "ERROR" } else { "INFO" };
    let service = ["checkout", "catalog", "payment", "search"][mixed % 4];
    format!(
        "2026-11-22T12:00:{:02}.{:03}Z {level} service={service} request_id={mixed:016x} method=GET \
         path=/api/v1/items/{} status={} duration_ms={} user=u{} agent=\"Mozilla/5.0 (X11; Linux \
         x86_64)\" bytes={} message=\"request handled\"",
        n / 1000 % 60,
        n % 1000,
        mixed % 5000,
        [200, 200, 200, 304, 404, 500][mixed % 6],
        mixed % 977,
        mixed * 7,
        mixed % 65_536,
    )
}

fn in_parallel(
    threads: usize,
    work: impl Fn(usize) -> Result<(), LogStoreError> + Sync,
) -> Result<(), LogStoreError> {
    std::thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        started.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// User and system time of this process, from the kernel's hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn disk_bytes(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => disk_bytes(&entry.path()),
        Ok(file) => file.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
