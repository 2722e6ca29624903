//! What a store promises to its writers and readers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, NewIds, Region, Scope};
use outport_store::error::JournalError;
use outport_store::journal::{Change, InstanceId, Journal, MemoryJournal, Take};
use outport_store::keys::AccountSettingKey;
use outport_store::{FaultKind, ManualClock, OpenError, SeededIds, Store, Transaction, WriteError};

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn setting(name: &str, value: &str) -> AccountSetting {
    AccountSetting {
        scope: scope(),
        principal_arn: "arn:aws:iam::000000000000:root".into(),
        name: name.into(),
        value: value.into(),
    }
}

fn key(name: &str) -> AccountSettingKey {
    AccountSettingKey::new(&scope(), name, "arn:aws:iam::000000000000:root")
}

fn on(journal: impl Journal) -> Store {
    let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
    Store::with_journal(journal, clock, ids).unwrap()
}

/// The answer of a future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

fn put(store: &Store, name: &str, value: &str) -> Result<(), WriteError<()>> {
    now(store.write(|tx| {
        tx.put(setting(name, value));
        Ok(())
    }))
}

fn values(store: &Store) -> Vec<String> {
    store.snapshot().account_settings.iter().map(|row| row.value.clone()).collect()
}

#[test]
fn a_rejected_write_leaves_no_trace() {
    let store = on(MemoryJournal::default());
    let answer = now(store.write(|tx| {
        tx.put(setting("a", "1"));
        assert!(tx.account_settings.contains(&key("a")), "a write sees itself");
        Err::<(), _>("no")
    }));
    assert!(matches!(answer, Err(WriteError::Rejected("no"))));
    assert!(values(&store).is_empty());
    assert_eq!(store.snapshot().version(), 0);
}

#[test]
fn a_panicking_write_leaves_no_trace_and_the_store_goes_on() {
    let store = on(MemoryJournal::default());
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        now(store.write::<(), ()>(|tx| {
            tx.put(setting("a", "1"));
            panic!("a bug");
        }))
    }));
    assert!(broken.is_err());
    put(&store, "b", "2").unwrap();
    assert_eq!(values(&store), ["2"]);
}

#[test]
fn a_snapshot_never_changes() {
    let store = on(MemoryJournal::default());
    put(&store, "a", "1").unwrap();
    let before = store.snapshot();
    put(&store, "a", "2").unwrap();
    assert_eq!(before.account_settings.get(&key("a")).unwrap().value, "1");
    assert_eq!(values(&store), ["2"]);
}

#[test]
fn what_changes_nothing_wakes_nobody() {
    let store = on(MemoryJournal::default());
    put(&store, "a", "1").unwrap();
    let version = store.snapshot().version();
    put(&store, "a", "1").unwrap();
    now(store.write(|tx| {
        tx.remove::<AccountSetting>(&key("none"));
        Ok::<_, ()>(())
    }))
    .unwrap();
    assert_eq!(store.snapshot().version(), version);
    let mut watch = store.watch();
    put(&store, "a", "2").unwrap();
    now(watch.changed()).unwrap();
    assert_eq!(watch.version(), version + 1);
}

#[test]
fn a_full_disk_takes_the_write_back_and_goes_on_when_there_is_space() {
    let disk = MemoryJournal::default();
    let store = on(disk.clone());
    put(&store, "a", "1").unwrap();
    disk.set_broken(true);
    let Err(WriteError::Fault(fault)) = put(&store, "b", "2") else { panic!("it is not on disk") };
    assert_eq!(fault.kind, FaultKind::Full);
    assert_eq!(values(&store), ["1"]);
    now(store.write(|tx| {
        assert!(!tx.account_settings.contains(&key("b")), "nobody sees it");
        Ok::<_, ()>(())
    }))
    .unwrap();
    disk.set_broken(false);
    put(&store, "c", "3").unwrap();
    assert_eq!(values(&store), ["1", "3"]);
    assert_eq!(values(&on(disk)), ["1", "3"], "and a restart finds the same");
}

/// A journal that commits when it is let.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    fails: bool,
    arrived: usize,
    sizes: Vec<usize>,
}

impl Gate {
    fn open(&self, fails: bool) {
        let mut state = self.0.0.lock().unwrap();
        (state.open, state.fails) = (true, fails);
        self.0.1.notify_all();
    }
    fn wait_for_arrivals(&self, count: usize) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| state.arrived < count).unwrap());
    }
}

impl Journal for Gate {
    fn bytes(&self) -> u64 {
        0
    }

    fn load(&mut self, _take: Take<'_>) -> Result<InstanceId, OpenError> {
        Ok(InstanceId::new())
    }
    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError> {
        let mut state = self.0.0.lock().unwrap();
        state.arrived += 1;
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| !state.open).unwrap();
        state.sizes.push(writes.len());
        if state.fails { Err(JournalError::Io("broken".into())) } else { Ok(writes.len()) }
    }
}

fn behind(gate: &Gate) -> Store {
    let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
    Store::with_journal_thread(gate.clone(), clock, ids).unwrap()
}

type Outcomes = Vec<Result<(), WriteError<()>>>;

/// One write that reaches the journal, then `count` more that find it busy, then `then`.
fn crowd(gate: &Gate, store: &Store, count: usize, then: impl FnOnce()) -> Outcomes {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let accepted = Arc::new(AtomicUsize::new(0));
        let write = |index: usize| {
            let (store, accepted) = (store.clone(), Arc::clone(&accepted));
            async move {
                store
                    .write(|tx: &mut Transaction<'_>| {
                        accepted.fetch_add(1, Ordering::SeqCst);
                        tx.put(setting(&format!("{index:04}"), &tx.uuid()));
                        Ok(())
                    })
                    .await
            }
        };
        let first = tokio::spawn(write(0));
        tokio::task::yield_now().await;
        gate.wait_for_arrivals(1);
        let others: Vec<_> = (1..=count).map(|index| tokio::spawn(write(index))).collect();
        while accepted.load(Ordering::SeqCst) <= count {
            tokio::task::yield_now().await;
        }
        assert!(values(store).is_empty(), "nothing is visible before it is on disk");
        assert!(!first.is_finished(), "nothing is acknowledged before it is on disk");
        then();
        let mut outcomes = vec![first.await.unwrap()];
        for other in others {
            outcomes.push(other.await.unwrap());
        }
        outcomes
    })
}

#[test]
fn writes_that_wait_share_one_commit() {
    let gate = Gate::default();
    let store = behind(&gate);
    let outcomes = crowd(&gate, &store, 500, || gate.open(false));
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(gate.0.0.lock().unwrap().sizes, [1, 500]);
    let distinct: BTreeSet<String> = values(&store).into_iter().collect();
    assert_eq!(distinct.len(), 501, "every write is there, with ids of its own");
}

#[test]
fn a_failed_commit_takes_all_back_that_was_built_on_it() {
    let gate = Gate::default();
    let store = behind(&gate);
    let outcomes = crowd(&gate, &store, 20, || gate.open(true));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(WriteError::Fault(_)))));
    assert!(values(&store).is_empty());
    assert_eq!(store.snapshot().version(), 0);
}

#[test]
fn an_answer_never_rests_on_a_write_that_is_not_on_disk() {
    let gate = Gate::default();
    let store = behind(&gate);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let create = |store: Store| async move {
            store
                .write(|tx| {
                    if tx.account_settings.contains(&key("a")) {
                        return Err("it exists");
                    }
                    tx.put(setting("a", "1"));
                    Ok(())
                })
                .await
        };
        let first = tokio::spawn(create(store.clone()));
        tokio::task::yield_now().await;
        gate.wait_for_arrivals(1);
        let second = tokio::spawn(create(store.clone()));
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "it saw a row that may yet be taken back");
        gate.open(true);
        assert!(matches!(first.await.unwrap(), Err(WriteError::Fault(_))));
        assert!(matches!(second.await.unwrap(), Err(WriteError::Fault(_))));
    });
}
