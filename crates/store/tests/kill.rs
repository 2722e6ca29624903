//! SIGKILL at random moments under the load of many clients: no acknowledged write is lost, none is
//! done twice, and none is there that nobody asked for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Region, Scope};
use outport_store::keys::AccountSettingKey;
use outport_store::{Ids, RandomIds, Store, SystemClock, Tables, Transaction};

const CLIENTS: usize = 64;
const KILLS: usize = 20;
/// The writer lives at most this long after its first acknowledgement.
const LIFE_MAX_MS: u64 = 60;
/// Where the writer of a kill works; without it the test below is a test of its own.
const DIRECTORY: &str = "OUTPORT_STORE_KILL_DIRECTORY";

fn open(directory: &Path) -> Store {
    Store::open(directory, Arc::new(SystemClock), Arc::new(RandomIds)).unwrap()
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn count_of(tables: &Tables, name: &str) -> u64 {
    let key = AccountSettingKey::new(&scope(), name, "root");
    tables.account_settings.get(&key).map_or(0, |row| row.value.parse().unwrap())
}

/// Adds one to the client's own count and to the count of all, and returns the client's.
fn count_up(tx: &mut Transaction<'_>, client: &str) -> u64 {
    for name in [client, "all"] {
        let value = (count_of(tx, name) + 1).to_string();
        let row = AccountSetting {
            scope: scope(),
            principal_arn: "root".into(),
            name: name.into(),
            value,
        };
        tx.put(row);
    }
    count_of(tx, client)
}

/// Every client writes `writes` times, one after the other, and says each count that it was given.
fn write_as_many_clients(
    directory: &Path,
    writes: usize,
    say: impl Fn(&str, u64) + Sync + Send + 'static,
) {
    let store = open(directory);
    let say = Arc::new(say);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let (store, say) = (store.clone(), Arc::clone(&say));
            clients.spawn(async move {
                let client = format!("client-{client:02}");
                for _ in 0..writes {
                    let write = |tx: &mut Transaction<'_>| Ok::<_, ()>(count_up(tx, &client));
                    say(&client, store.write(write).await.unwrap());
                }
            });
        }
        while clients.join_next().await.is_some() {}
    });
}

#[test]
fn a_writer_says_each_count_once() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // Started by the test below, to be killed.
        write_as_many_clients(&PathBuf::from(directory), usize::MAX, |client, count| {
            let line = format!("{client} {count}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write_as_many_clients(directory.path(), 3, |_, count| assert!((1..=3).contains(&count)));
    let store = open(directory.path());
    assert_eq!(count_of(&store.snapshot(), "all"), 3 * CLIENTS as u64);
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut writes = 0;
    for _ in 0..KILLS {
        for (client, count) in run_and_kill(directory.path()) {
            let last = acknowledged.entry(client).or_default();
            assert!(count > *last, "a count was given twice");
            *last = count;
            writes += 1;
        }
        let store = open(directory.path());
        let snapshot = store.snapshot();
        let mut sum = 0;
        for client in 0..CLIENTS {
            let client = format!("client-{client:02}");
            let stored = count_of(&snapshot, &client);
            let last = acknowledged.entry(client.clone()).or_default();
            // One write of each client may have been under way, on disk but not acknowledged.
            assert!(
                (*last..=*last + 1).contains(&stored),
                "{client}: {stored}, acknowledged {last}"
            );
            *last = stored;
            sum += stored;
        }
        assert_eq!(count_of(&snapshot, "all"), sum, "a write is all or nothing");
    }
    assert!(writes > KILLS, "the writers wrote");
}

/// What a writer acknowledged before it was killed, in its order.
fn run_and_kill(directory: &Path) -> Vec<(String, u64)> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_writer_says_each_count_once", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while said.is_empty() {
        let line = lines.next().expect("the writer writes").unwrap();
        said.extend(parse(&line));
    }
    // The moment is random, and nothing waits for it to be right: any moment must do.
    let mut byte = [0; 2];
    RandomIds.fill(&mut byte);
    let life =
        Duration::from_micros(u64::from(u16::from_le_bytes(byte)) * LIFE_MAX_MS * 1000 / 65_536);
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

fn parse(line: &str) -> Option<(String, u64)> {
    // The test harness's own words come before the first line, without a line break.
    let line = line.rsplit_once("... ").map_or(line, |(_, rest)| rest);
    let (client, count) = line.split_once(' ')?;
    if !client.starts_with("client-") {
        return None;
    }
    Some((client.to_owned(), count.parse().ok()?))
}
