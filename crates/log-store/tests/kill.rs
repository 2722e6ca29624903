//! SIGKILL at random moments, of the start too, under appends, sealing and changes of the catalog: the store opens, and
//! has every event that was acknowledged, once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outport_log_store::{
    Clock, GetEvents, InputLogEvent, LogGroupName, LogStore, LogStoreError, LogStoreOptions,
    LogStreamName, NewLogGroup, SystemClock,
};
use outport_model::{AccountId, Region, Scope};

const STREAMS: usize = 3;
const KILLS: u32 = 20;
const LIFE_MAX: Duration = Duration::from_millis(150);
/// Some ten appends: journals are put aside and sealed all the time.
const SEAL_BYTES: u64 = 1_500;
/// Where the writer of a kill works; without it the test below is a test of its own.
const DIRECTORY: &str = "OUTPORT_LOG_STORE_KILL_DIRECTORY";

fn open(directory: &Path) -> Result<Arc<LogStore>, LogStoreError> {
    // A thread that seals would keep the directory locked for a while, in the tests that go on; in the writer that is killed
    // it is one more thing that goes on at that moment.
    let seals_in_background = std::env::var_os(DIRECTORY).is_some();
    let options = LogStoreOptions {
        seal_bytes: SEAL_BYTES,
        seals_in_background,
        ..LogStoreOptions::default()
    };
    LogStore::open(directory, Arc::new(SystemClock), options)
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn group() -> LogGroupName {
    LogGroupName::parse("g").unwrap()
}

fn stream(name: &str) -> LogStreamName {
    LogStreamName::parse(name).unwrap()
}

/// The numbers in a stream, in their order.
fn numbers(store: &LogStore, name: &str) -> Vec<usize> {
    let mut request = GetEvents { start_from_head: true, ..GetEvents::default() };
    let mut numbers = Vec::new();
    loop {
        let page = store.get_events(&scope(), &group(), &stream(name), &request).unwrap();
        if page.events.is_empty() {
            return numbers;
        }
        let number =
            |message: &str| -> usize { message.split(' ').next().unwrap().parse().unwrap() };
        numbers.extend(page.events.iter().map(|event| number(&event.message)));
        request.token = Some(page.next_forward_token);
    }
}

fn ensure(made: Result<(), LogStoreError>) {
    match made {
        Ok(()) | Err(LogStoreError::GroupExists | LogStoreError::StreamExists) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Appends numbers to every stream, and says each; makes and deletes streams meanwhile.
fn write(directory: &Path, count: usize, say: impl Fn(&str, usize) + Sync) {
    let store = open(directory).unwrap();
    ensure(store.create_group(&scope(), NewLogGroup::named(group())).map(drop));
    std::thread::scope(|threads| {
        for number in 0..STREAMS {
            let (store, say) = (&store, &say);
            threads.spawn(move || {
                let name = format!("stream-{number}");
                ensure(store.create_stream(&scope(), &group(), &stream(&name)).map(drop));
                let first = numbers(store, &name).len();
                for number in first..first.saturating_add(count) {
                    let message = format!("{number} {}", "x".repeat(100));
                    let event = InputLogEvent { timestamp_ms: SystemClock.now_ms(), message };
                    store.put_events(&scope(), &group(), &stream(&name), &[event]).unwrap();
                    say(&name, number);
                    let passing = stream(&format!("passing-{name}"));
                    if number % 8 == 0 {
                        ensure(store.create_stream(&scope(), &group(), &passing).map(drop));
                        store.delete_stream(&scope(), &group(), &passing).unwrap();
                        store.maintain().unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_writer_says_each_number_once() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // Started by the test below, to be killed.
        write(&PathBuf::from(directory), usize::MAX, |name, number| {
            let line = format!("{name} {number}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 20, |_, _| ());
    let store = open(directory.path()).unwrap();
    assert_eq!(numbers(&store, "stream-0"), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged_and_is_taken_for_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, usize> = BTreeMap::new();
    for kill in 0..KILLS {
        for (name, number) in run_and_kill(directory.path(), kill % 3 == 0) {
            acknowledged.insert(name, number + 1);
        }
        let store = open(directory.path()).unwrap();
        for (name, acknowledged) in &mut acknowledged {
            let found = numbers(&store, name);
            assert_eq!(found, (0..found.len()).collect::<Vec<_>>(), "{name}");
            // One append may have been under way, on disk but not acknowledged.
            let range = *acknowledged..=*acknowledged + 1;
            assert!(range.contains(&found.len()), "{name}: {}, {range:?}", found.len());
            *acknowledged = found.len();
        }
    }
    assert_eq!(acknowledged.len(), STREAMS);
}

/// What a writer acknowledged before it was killed, in its order. It may be killed while it opens the store.
fn run_and_kill(directory: &Path, at_start: bool) -> Vec<(String, usize)> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_writer_says_each_number_once", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while !at_start && said.is_empty() {
        let line = lines.next().expect("the writer writes").unwrap();
        said.extend(parse(&line));
    }
    // The moment is random, and nothing waits for it to be right: any moment must do.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let life = LIFE_MAX * (now.subsec_micros() % 1_000) / 1_000;
    let killer = std::thread::spawn(move || {
        std::thread::park_timeout(life);
        writer.kill().unwrap();
        writer.wait().unwrap();
    });
    // A line that the kill cut short was not said.
    for line in lines.map_while(Result::ok) {
        said.extend(parse(&line));
    }
    killer.join().unwrap();
    said
}

fn parse(line: &str) -> Option<(String, usize)> {
    // The test harness's own words come before the first line, without a line break.
    let line = line.rsplit_once("... ").map_or(line, |(_, rest)| rest);
    let (name, number) = line.split_once(' ')?;
    if !name.starts_with("stream-") {
        return None;
    }
    Some((name.to_owned(), number.parse().ok()?))
}
