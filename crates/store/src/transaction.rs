//! One change of the state: reads what was accepted before it, collects what it puts and removes.

use std::ops::Deref;
use std::sync::Arc;

use outport_model::capacity::StartedTask;
use outport_model::event::{DEFAULT_BUS, EcsChange, EventBody, PendingEvent};
use outport_model::kms::{KmsAlias, KmsGrant, KmsKey};
use outport_model::network::NetworkInterface;
use outport_model::secret::{Secret, SecretValue};
use outport_model::task_end::TaskEnd;
use outport_model::{ContainerInstanceId, DeploymentId, NewIds, Now, TaskId, TimestampMs};

use crate::host::Ids;
use crate::identifiers;
use crate::journal::{self, Change, Encode};
use crate::row::Row;
use crate::rows::PENDING_EVENTS_MAX;
use crate::rows::keys::{KmsKeyKey, NetworkInterfaceKey, SecretKey, SecretValueKey};
use crate::table::Keeps;
use crate::tables::{InTables, Tables, Touched};

/// What a write leaves: the state with it, what the journal is to keep of it, and the keys that it touched.
pub(crate) struct Write {
    pub(crate) tables: Tables,
    pub(crate) changes: Vec<Change>,
    pub(crate) touched: Touched,
}

/// Reads see every write that was accepted before, and this one's own puts.
pub struct Transaction<'a> {
    tables: Tables,
    changes: Vec<Change>,
    /// Events of ECS that the changes are: nobody's growth, in a store that is full.
    told: Vec<Change>,
    touched: Touched,
    now: Now,
    ids: &'a dyn Ids,
}

impl Deref for Transaction<'_> {
    type Target = Tables;
    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(tables: Tables, now: Now, ids: &'a dyn Ids) -> Self {
        Self {
            tables,
            changes: Vec::new(),
            told: Vec::new(),
            touched: Touched::default(),
            now,
            ids,
        }
    }

    pub(crate) fn into_write(mut self) -> Write {
        self.changes.append(&mut self.told);
        Write { tables: self.tables, changes: self.changes, touched: self.touched }
    }

    /// Inserts the row or replaces the one under its key. Putting what is there already is no change.
    pub fn put<R: InTables>(&mut self, row: R) {
        let key = row.key();
        let old = R::table(&self.tables).row(&key);
        if old.as_ref().is_some_and(|old| **old == row) {
            return;
        }
        let (new, written) = R::table_mut(&mut self.tables).insert(row);
        self.note::<R>(&key, (Some(new), Some(written)), old);
    }

    /// Removes the row and returns it; `None`, and no change, when there is none.
    pub fn remove<R: InTables>(&mut self, key: &R::Key) -> Option<Arc<R>> {
        let removed = R::table_mut(&mut self.tables).remove(key)?;
        self.note::<R>(key, (None, None), Some(Arc::clone(&removed)));
        Some(removed)
    }

    fn note<R: InTables>(
        &mut self,
        key: &R::Key,
        (new, written): (Option<Arc<R>>, Option<Arc<dyn Encode>>),
        old: Option<Arc<R>>,
    ) {
        R::touched(&mut self.touched).insert(key.clone());
        R::relate(&mut self.tables, old.as_deref(), new.as_deref(), &mut self.touched);
        let told = R::events(&self.tables, old.as_deref(), new.as_deref());
        let old = old.map(|row| -> Arc<dyn Encode> { row });
        self.changes.push(Change { table: R::TABLE, key: key.to_string(), row: written, old });
        told.into_iter().for_each(|change| self.tell(change));
    }

    /// Puts an event of ECS on the default bus, unless too many wait there already.
    fn tell(&mut self, change: EcsChange) {
        if self.pending_events.len() >= PENDING_EVENTS_MAX {
            metrics::counter!("outport_events_dropped_total", "kind" => change.kind()).increment(1);
            return;
        }
        self.put(PendingEvent {
            scope: change.scope().clone(),
            bus: DEFAULT_BUS.to_owned(),
            made_at_ms: self.now.wall_ms,
            id: identifiers::uuid(self.ids),
            body: EventBody::Ecs(Box::new(change)),
            deliveries: None,
        });
        // The one that this has put.
        self.told.extend(self.changes.pop());
    }

    /// Changes a row in place; false when there is none. `change` must not change the key.
    pub fn update<R: InTables>(&mut self, key: &R::Key, change: impl FnOnce(&mut R)) -> bool {
        let Some(row) = R::table(&self.tables).row(key) else { return false };
        let mut row = R::clone(&row);
        change(&mut row);
        debug_assert!(row.key().cmp(key).is_eq(), "an update keeps the key");
        self.put(row);
        true
    }

    /// Writes the rows of a task that was placed.
    pub fn put_started(&mut self, started: StartedTask) {
        self.put(started.task);
        if let Some(interface) = started.interface {
            self.put(interface);
        }
        if let Some(cursor) = started.cursor {
            self.put(cursor);
        }
    }

    /// Writes the end of a task: its row, and that it holds nothing any more.
    pub fn put_end(&mut self, end: TaskEnd) {
        if let Some(id) = end.network_interface {
            self.remove::<NetworkInterface>(&NetworkInterfaceKey::new(&end.task.scope, id));
        }
        self.put(end.task);
    }

    /// Removes a secret with the values of its versions.
    pub fn remove_secret(&mut self, key: &SecretKey) {
        let Some(secret) = self.remove::<Secret>(key) else { return };
        for version in secret.versions.values() {
            let value = SecretValueKey::new(&key.scope, key.name.as_str(), version.serial);
            self.remove::<SecretValue>(&value);
        }
    }

    /// Removes a key of KMS with its aliases and grants.
    pub fn remove_kms_key(&mut self, key: &KmsKeyKey) {
        let aliases = self.kms_aliases.of_key(key).map(|alias| alias.key()).collect::<Vec<_>>();
        let grants = self.kms_grants.of_key(key).map(|grant| grant.key()).collect::<Vec<_>>();
        for alias in aliases {
            self.remove::<KmsAlias>(&alias);
        }
        for grant in grants {
            self.remove::<KmsGrant>(&grant);
        }
        self.remove::<KmsKey>(key);
    }

    /// Whether it leaves more rows than it found.
    pub fn adds_rows(&self) -> bool {
        journal::rows_added(&self.changes) > 0
    }

    /// Whether it leaves more bytes of rows than it found. Dear: for a store that is full.
    pub fn adds_bytes(&self) -> bool {
        // A row that cannot be encoded fails the commit.
        journal::bytes_added(&self.changes).is_ok_and(|bytes| bytes > 0)
    }

    /// The time of this transaction, the same for all of it, for what it writes down.
    pub fn now_ms(&self) -> TimestampMs {
        self.now.wall_ms
    }

    /// The time of this transaction, for what it decides.
    pub fn now(&self) -> Now {
        self.now
    }

    pub fn container_instance_id(&self) -> ContainerInstanceId {
        identifiers::container_instance_id(self.ids)
    }
}

impl NewIds for Transaction<'_> {
    fn task_id(&self) -> TaskId {
        identifiers::task_id(self.ids)
    }
    fn uuid(&self) -> String {
        identifiers::uuid(self.ids)
    }
    fn hex17(&self, prefix: &str) -> String {
        format!("{prefix}{}", identifiers::hex(self.ids, 17))
    }
    fn deployment_id(&self) -> DeploymentId {
        identifiers::deployment_id(self.ids)
    }
    fn service_deployment_id(&self) -> outport_model::ServiceDeploymentId {
        identifiers::service_deployment_id(self.ids)
    }
}
