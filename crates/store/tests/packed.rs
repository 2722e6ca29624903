//! Revisions of task definitions are held as text: what is asked for is always what was put last.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::sync::Arc;

use outport_model::Revision;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_store::journal::MemoryJournal;
use outport_store::keys::FamilyKey;
use outport_store::{ManualClock, Row, SeededIds, Store, Transaction};

/// More than are kept at hand once they were asked for.
const REVISIONS: Revision = 3_000;

fn open(journal: &MemoryJournal) -> Store {
    let (clock, ids) = (Arc::new(ManualClock::at(7)), Arc::new(SeededIds::new(1)));
    Store::with_journal(journal.clone(), clock, ids).unwrap()
}

fn definition(revision: Revision) -> TaskDefinition {
    let golden = include_bytes!("golden/task_definition.v1.json");
    let row: TaskDefinition = serde_json::from_slice(golden).unwrap();
    let document = format!("{{\"revision\":{revision}}}");
    TaskDefinition { revision, document, status: TaskDefinitionStatus::Active, ..row }
}

async fn write(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let done = store.write(|tx| {
        change(tx);
        Ok::<_, Infallible>(())
    });
    done.await.unwrap();
}

/// Every revision is `expected`, however it is asked for.
fn check(store: &Store, expected: impl Fn(Revision) -> TaskDefinition) {
    let table = &store.snapshot().task_definitions;
    assert_eq!(table.len(), REVISIONS as usize);
    for _ in 0..2 {
        for revision in 1..=REVISIONS {
            let row = expected(revision);
            assert_eq!(*table.get(&row.key()).unwrap(), row);
        }
    }
    assert!(table.iter().zip(1..).all(|(row, revision)| *row == expected(revision)));
}

#[tokio::test]
async fn every_revision_is_what_was_put_last() {
    let journal = MemoryJournal::default();
    let store = open(&journal);
    write(&store, |tx| (1..=REVISIONS).map(definition).for_each(|row| tx.put(row))).await;
    check(&store, definition);
    let before = store.snapshot();

    let deregistered = |revision| match revision % 2 == 0 {
        true => TaskDefinition { status: TaskDefinitionStatus::Inactive, ..definition(revision) },
        false => definition(revision),
    };
    write(&store, |tx| (1..=REVISIONS).map(deregistered).for_each(|row| tx.put(row))).await;
    check(&store, deregistered);
    let old = before.task_definitions.get(&definition(2).key()).unwrap();
    assert_eq!(*old, definition(2), "a snapshot does not change");
    assert_eq!(*store.snapshot().task_definitions.get(&old.key()).unwrap(), deregistered(2));
    check(&open(&journal), deregistered);
}

#[tokio::test]
async fn the_newest_active_revision_is_known() {
    let store = open(&MemoryJournal::default());
    let family = FamilyKey::new(&definition(1).scope, definition(1).family);
    let newest = || store.snapshot().task_definitions.newest_active(&family);
    assert_eq!(newest(), None);
    write(&store, |tx| (1..=3).map(definition).for_each(|row| tx.put(row))).await;
    assert_eq!(newest(), Some(3));
    write(&store, |tx| {
        let status = TaskDefinitionStatus::Inactive;
        tx.put(TaskDefinition { status, ..definition(3) });
    })
    .await;
    assert_eq!(newest(), Some(2));
    write(&store, |tx| drop(tx.remove::<TaskDefinition>(&definition(2).key()))).await;
    assert_eq!(newest(), Some(1));
}
