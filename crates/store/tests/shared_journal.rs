//! A journal that several processes share, as a key-value store with leases would be one: small transactions, one
//! leader, and followers that hear what it committed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Region, Scope};
use outport_store::error::JournalError;
use outport_store::journal::{Change, InstanceId, Journal, StoredChange, StoredRow, Take};
use outport_store::keys::AccountSettingKey;
use outport_store::{FaultKind, ManualClock, OpenError, Row, SeededIds, Store, WriteError};

/// Changes that the cluster takes in one transaction. etcd's default is 128.
const CHANGES_PER_TRANSACTION_MAX: usize = 4;

/// What all processes share.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<ClusterState>>);

#[derive(Default)]
struct ClusterState {
    rows: BTreeMap<(String, String), StoredRow>,
    /// Every change, in order: what followers hear.
    history: Vec<StoredChange>,
    transactions: Vec<usize>,
    leader: usize,
}

impl Cluster {
    fn elect(&self, member: usize) {
        self.0.lock().unwrap().leader = member;
    }

    fn member(&self, member: usize) -> Store {
        let journal = Member { cluster: self.clone(), member, heard: 0 };
        let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
        Store::with_journal_thread(journal, clock, ids).unwrap()
    }
}

/// One process's hold on it.
struct Member {
    cluster: Cluster,
    member: usize,
    /// How much of the history it has.
    heard: usize,
}

impl Journal for Member {
    fn load(&mut self, take: Take<'_>) -> Result<InstanceId, OpenError> {
        let state = self.cluster.0.lock().unwrap();
        self.heard = state.history.len();
        state.rows.values().cloned().try_for_each(take)?;
        Ok("0".repeat(8))
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError> {
        let mut state = self.cluster.0.lock().unwrap();
        if state.leader != self.member || self.heard != state.history.len() {
            return Err(JournalError::NotLeader);
        }
        // Whole writes only, as many as fit; one that is too large by itself goes alone.
        let (mut count, mut changes) = (0, 0);
        for write in writes {
            if count > 0 && changes + write.len() > CHANGES_PER_TRANSACTION_MAX {
                break;
            }
            (count, changes) = (count + 1, changes + write.len());
        }
        for change in writes[..count].iter().flatten() {
            let place = (change.table.to_owned(), change.key.clone());
            let row = change.row.as_ref().map(|row| StoredRow {
                table: change.table.to_owned(),
                key: change.key.clone(),
                version: row.version(),
                bytes: row.encode().unwrap(),
            });
            let old = match &row {
                Some(row) => state.rows.insert(place, row.clone()),
                None => state.rows.remove(&place),
            };
            state.history.push(StoredChange { row, old });
        }
        state.transactions.push(changes);
        self.heard = state.history.len();
        Ok(count)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn leads(&mut self) -> bool {
        let state = self.cluster.0.lock().unwrap();
        state.leader == self.member && self.heard == state.history.len()
    }

    fn follow(&mut self) -> Result<Vec<StoredChange>, JournalError> {
        let state = self.cluster.0.lock().unwrap();
        let news = state.history[self.heard..].to_vec();
        self.heard = state.history.len();
        Ok(news)
    }
}

fn setting(name: &str, value: &str) -> AccountSetting {
    AccountSetting {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        principal_arn: "root".into(),
        name: name.into(),
        value: value.into(),
    }
}

fn key(name: &str) -> AccountSettingKey {
    setting(name, "").key()
}

async fn put(store: &Store, rows: Vec<AccountSetting>) -> Result<(), FaultKind> {
    let written = store.write(|tx| {
        rows.into_iter().for_each(|row| tx.put(row));
        Ok::<_, ()>(())
    });
    written.await.map_err(|error| match error {
        WriteError::Fault(fault) => fault.kind,
        WriteError::Rejected(()) => unreachable!("it says yes"),
    })
}

fn values(store: &Store) -> Vec<String> {
    store.snapshot().account_settings.iter().map(|row| row.value.clone()).collect()
}

/// Waits until the store says what it is expected to.
async fn await_values(store: &Store, expected: &[&str]) {
    let seen = async {
        let mut watch = store.watch();
        while values(store) != expected {
            watch.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), seen).await;
    assert!(in_time.is_ok(), "{:?} is not {expected:?}", values(store));
}

#[tokio::test]
async fn a_journal_takes_as_many_whole_writes_as_it_can() {
    let cluster = Cluster::default();
    let store = cluster.member(0);
    let done = Arc::new(AtomicUsize::new(0));
    let write = |number: usize| {
        let (store, done) = (store.clone(), done.clone());
        let rows = (0..3).map(|part| setting(&format!("{number}-{part}"), "1")).collect();
        async move {
            put(&store, rows).await.unwrap();
            done.fetch_add(1, Ordering::SeqCst);
        }
    };
    let writes: Vec<_> = (0..20).map(|number| tokio::spawn(write(number))).collect();
    for write in writes {
        write.await.unwrap();
    }
    assert_eq!(done.load(Ordering::SeqCst), 20);
    assert_eq!(store.snapshot().account_settings.len(), 60);
    let state = cluster.0.lock().unwrap();
    assert_eq!(state.transactions, [3; 20], "no write is torn, none is joined beyond the limit");
}

#[tokio::test]
async fn a_follower_sees_what_the_leader_commits_and_is_woken_by_its_keys() {
    let cluster = Cluster::default();
    let (leader, follower) = (cluster.member(0), cluster.member(1));
    let mut woken = follower.watch_row::<AccountSetting>(&key("a"));
    let mut other = follower.watch_row::<AccountSetting>(&key("b"));
    put(&leader, vec![setting("a", "1")]).await.unwrap();
    await_values(&follower, &["1"]).await;
    tokio::time::timeout(Duration::from_secs(30), woken.changed()).await.unwrap().unwrap();
    let removed = leader.write(|tx| {
        tx.remove::<AccountSetting>(&key("a"));
        Ok::<_, ()>(())
    });
    removed.await.unwrap();
    await_values(&follower, &[]).await;
    assert!(futures_now(other.changed()).is_none(), "nothing happened there");
}

#[tokio::test]
async fn who_leads_no_more_takes_nothing_and_who_leads_now_goes_on_from_there() {
    let cluster = Cluster::default();
    let (first, second) = (cluster.member(0), cluster.member(1));
    put(&first, vec![setting("a", "1")]).await.unwrap();
    assert_eq!(put(&second, vec![setting("b", "2")]).await, Err(FaultKind::NotLeader));
    await_values(&second, &["1"]).await;
    cluster.elect(1);
    put(&second, vec![setting("b", "2")]).await.unwrap();
    assert_eq!(put(&first, vec![setting("a", "lost")]).await, Err(FaultKind::NotLeader));
    await_values(&first, &["1", "2"]).await;
    await_values(&second, &["1", "2"]).await;
}

#[tokio::test]
async fn who_led_and_writes_nothing_hears_of_the_one_that_leads_now() {
    let cluster = Cluster::default();
    let (first, second) = (cluster.member(0), cluster.member(1));
    put(&first, vec![setting("a", "1")]).await.unwrap();
    await_values(&second, &["1"]).await;
    cluster.elect(1);
    put(&second, vec![setting("b", "2")]).await.unwrap();
    await_values(&first, &["1", "2"]).await;
}

/// Its state would not be the leader's, and one day it might lead.
#[tokio::test]
async fn a_follower_that_cannot_read_what_the_leader_wrote_is_closed() {
    let cluster = Cluster::default();
    let (leader, follower) = (cluster.member(0), cluster.member(1));
    put(&leader, vec![setting("a", "1")]).await.unwrap();
    await_values(&follower, &["1"]).await;
    let of_the_future = StoredRow {
        table: "account_setting".into(),
        key: key("b").to_string(),
        version: 99,
        bytes: "{}".into(),
    };
    let change = StoredChange { row: Some(of_the_future), old: None };
    cluster.0.lock().unwrap().history.push(change);
    let closed = async {
        while put(&follower, vec![setting("c", "1")]).await != Err(FaultKind::Closed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
    assert_eq!(values(&follower), ["1"]);
}

fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}
