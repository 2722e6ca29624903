//! Whom a commit wakes: who waits for the keys that it touched, and nobody else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use outport_model::account_setting::AccountSetting;
use outport_model::network::NetworkInterface;
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::service::Service;
use outport_model::task::{ServiceMembership, Task};
use outport_model::{
    AccountId, DeploymentId, DesiredStatus, NodeId, Region, Scope, SecurityGroupId, ServiceName,
    TaskStatus,
};
use outport_store::journal::MemoryJournal;
use outport_store::keys::ServiceKey;
use outport_store::{
    KEYS_COLLECTED_MAX, Keys, ManualClock, Row, RowWatch, SeededIds, Store, Transaction,
};
use serde::de::DeserializeOwned;

fn store_on(journal: MemoryJournal) -> Store {
    let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
    Store::with_journal(journal, clock, ids).unwrap()
}

fn store() -> Store {
    store_on(MemoryJournal::default())
}

fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn write(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let written = store.write(|tx| {
        change(tx);
        Ok::<_, ()>(())
    });
    ready(written).expect("the journal is in memory").unwrap();
}

fn golden<R: DeserializeOwned>(name: &str) -> R {
    let path = format!("{}/tests/golden/{name}.v1.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn is_woken<K: Ord + Clone>(watch: &mut RowWatch<K>) -> bool {
    let woken = ready(watch.changed()).is_some_and(|outcome| outcome.is_ok());
    watch.mark_seen();
    woken
}

fn setting(name: &str, value: &str) -> AccountSetting {
    AccountSetting {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        principal_arn: "root".into(),
        name: name.into(),
        value: value.into(),
    }
}

/// A running task of a service on node `n1`.
fn task() -> Task {
    Task {
        node: Some(NodeId::new("n1")),
        service: Some(ServiceMembership {
            service: ServiceName::new("web"),
            deployment: DeploymentId::new("1"),
        }),
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Running,
        ..golden("task")
    }
}

#[test]
fn a_row_wakes_who_waits_for_it_and_nobody_else() {
    let store = store();
    let watch = |name: &str| store.watch_row::<AccountSetting>(&setting(name, "").key());
    let (mut own, mut other) = (watch("a"), watch("b"));
    assert!(!is_woken(&mut own), "nothing happened yet");
    write(&store, |tx| tx.put(setting("a", "1")));
    assert_eq!((is_woken(&mut own), is_woken(&mut other)), (true, false));
    write(&store, |tx| tx.put(setting("a", "1")));
    assert!(!is_woken(&mut own), "putting what is there is no change");
    write(&store, |tx| {
        tx.remove::<AccountSetting>(&setting("a", "").key());
    });
    assert!(is_woken(&mut own));
}

#[test]
fn what_is_not_committed_wakes_nobody() {
    let journal = MemoryJournal::default();
    let store = store_on(journal.clone());
    let mut watch = store.watch_row::<AccountSetting>(&setting("a", "").key());
    let mut touched = store.touched_rows::<AccountSetting>();
    touched.take();
    let rejected = store.write(|tx| {
        tx.put(setting("a", "1"));
        Err::<(), _>(())
    });
    ready(rejected).unwrap().unwrap_err();
    journal.set_broken(true);
    let failed = store.write(|tx| {
        tx.put(setting("a", "1"));
        Ok::<_, ()>(())
    });
    ready(failed).unwrap().unwrap_err();
    assert!(!is_woken(&mut watch));
    assert_eq!(touched.take(), Keys::These(BTreeSet::new()));
    assert!(ready(touched.changed()).is_none());
}

/// A change of a task; whether its node and its service are woken.
#[track_caller]
fn check(before: Option<Task>, after: Option<Task>, expected: (bool, bool)) {
    let store = store();
    let key = task().key();
    if let Some(before) = before {
        write(&store, |tx| tx.put(before));
    }
    let mut node = store.watch_row::<Node>(&NodeId::new("n1"));
    let service = ServiceKey::new(&task().scope, task().cluster, ServiceName::new("web"));
    let mut service = store.watch_row::<Service>(&service);
    write(&store, |tx| match after {
        Some(after) => tx.put(after),
        None => {
            tx.remove::<Task>(&key);
        }
    });
    assert_eq!((is_woken(&mut node), is_woken(&mut service)), expected);
}

#[test]
fn a_node_hears_of_what_it_is_told_and_not_of_what_it_said() {
    let stopping = Task { desired_status: DesiredStatus::Stopped, ..task() };
    let stopped = Task { last_status: TaskStatus::Stopped, ..stopping.clone() };
    let pending = Task { last_status: TaskStatus::Pending, ..task() };
    check(None, Some(task()), (true, true));
    check(Some(pending), Some(task()), (false, true));
    check(Some(task()), Some(stopping.clone()), (true, true));
    check(Some(stopping), Some(stopped.clone()), (true, true));
    check(Some(stopped), None, (true, true));
    check(Some(task()), Some(Task { node: Some(NodeId::new("n2")), ..task() }), (true, true));
}

#[test]
fn a_node_hears_of_its_keys_and_of_the_interfaces_of_its_tasks() {
    let store = store();
    let interface = NetworkInterface { task: task().id, ..golden("network_interface") };
    write(&store, |tx| {
        tx.put(task());
        tx.put(interface.clone());
    });
    let mut node = store.watch_row::<Node>(&NodeId::new("n1"));
    let groups = vec![SecurityGroupId::new("sg-2")];
    write(&store, |tx| tx.put(NetworkInterface { security_groups: groups, ..interface }));
    assert!(is_woken(&mut node));
    let identity = NodeIdentity { node: NodeId::new("n1"), ..golden("node_identity") };
    write(&store, |tx| tx.put(identity));
    assert!(is_woken(&mut node));
}

#[test]
fn a_collection_has_each_key_once_until_it_has_no_room() {
    let store = store();
    let mut touched = store.touched_rows::<AccountSetting>();
    assert_eq!(touched.take(), Keys::All, "nobody has looked yet");
    for value in ["1", "2"] {
        write(&store, |tx| tx.put(setting("a", value)));
    }
    write(&store, |tx| tx.put(setting("b", "1")));
    assert!(ready(touched.changed()).is_some());
    let keys = ["a", "b"].map(|name| setting(name, "").key());
    assert_eq!(touched.take(), Keys::These(BTreeSet::from(keys)));
    assert_eq!(touched.take(), Keys::These(BTreeSet::new()));
    write(&store, |tx| {
        (0..=KEYS_COLLECTED_MAX).for_each(|number| tx.put(setting(&number.to_string(), "1")));
    });
    assert_eq!(touched.take(), Keys::All);
}

#[test]
fn who_waits_learns_that_the_store_is_closed() {
    let store = store();
    let mut watch = store.watch_row::<AccountSetting>(&setting("a", "").key());
    drop(store);
    assert!(ready(watch.changed()).unwrap().is_err());
}
