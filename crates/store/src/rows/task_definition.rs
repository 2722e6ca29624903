//! A revision of a task definition.

use std::sync::Arc;

use imbl::OrdSet;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{Family, Revision, Scope};

use crate::packed::PackedTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::rows::task_definition_family::FamilyKey;
use crate::table::{Index, Members};
use crate::tables::Related;

key!(TaskDefinitionKey { family: Family, revision: Revision });

impl Row for TaskDefinition {
    type Key = TaskDefinitionKey;
    type Index = TaskDefinitionIndex;
    const TABLE: &'static str = "task_definition";
    const VERSION: u32 = 2;
    fn key(&self) -> TaskDefinitionKey {
        TaskDefinitionKey::new(&self.scope, self.family.clone(), self.revision)
    }
    fn read(version: u32, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut row: Self = serde_json::from_slice(bytes)?;
        if version == 1 {
            row.non_blocking_logs = first_form::non_blocking_logs(bytes)?;
        }
        Ok(row)
    }
    fn strip(&mut self) {
        self.document = String::new();
    }
    fn share(&mut self, beside: &TaskDefinitionKey) {
        if self.scope == beside.scope {
            self.scope = beside.scope.clone();
        }
        if self.family == beside.family {
            self.family = beside.family.clone();
        }
    }
}

/// The form that had, beside the document, what was read in it.
mod first_form {
    use serde::Deserialize;
    use serde_json::{Error, Value};

    #[derive(Deserialize)]
    struct Row {
        document: String,
        containers: Vec<Container>,
    }

    #[derive(Deserialize)]
    struct Container {
        name: String,
        log: Log,
    }

    #[derive(Deserialize)]
    enum Log {
        Local,
        Awslogs { non_blocking: bool },
    }

    /// What `mode` was where the document did not say it: a container without one that did not block tells.
    pub(super) fn non_blocking_logs(bytes: &[u8]) -> Result<bool, Error> {
        let row: Row = serde_json::from_slice(bytes)?;
        let document: Value = serde_json::from_str(&row.document)?;
        let said = |name: &str| {
            let mut containers = document["containerDefinitions"].as_array()?.iter();
            let container = containers.find(|container| container["name"] == name)?;
            container["logConfiguration"]["options"].get("mode")
        };
        let is_default = |container: &Container| {
            matches!(container.log, Log::Awslogs { non_blocking: true })
                && said(&container.name).is_none()
        };
        Ok(row.containers.iter().any(is_default))
    }
}

impl Related for TaskDefinition {}

/// What ListTaskDefinitionFamilies filters by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FamilyStatus {
    /// A revision of it is ACTIVE.
    Active,
    /// It has revisions, of which none is ACTIVE.
    Inactive,
    /// It has revisions.
    Any,
}

#[derive(Clone, Debug, Default)]
pub struct TaskDefinitionIndex {
    by_family: Members<FamilyKey, Revision>,
    by_status: Members<(Scope, TaskDefinitionStatus), (Family, Revision)>,
    active: Members<FamilyKey, Revision>,
    families: Members<(Scope, FamilyStatus), Family>,
}

impl Index<TaskDefinition> for TaskDefinitionIndex {
    fn add(&mut self, row: &Arc<TaskDefinition>) {
        let family = family_of(row);
        let before = self.family_status(&family);
        self.by_family.add(family.clone(), row.revision);
        self.by_status.add((row.scope.clone(), row.status), (row.family.clone(), row.revision));
        if row.status == TaskDefinitionStatus::Active {
            self.active.add(family.clone(), row.revision);
        }
        self.list_family(&family, before);
    }

    fn remove(&mut self, row: &TaskDefinition) {
        let family = family_of(row);
        let before = self.family_status(&family);
        self.by_family.remove(&family, &row.revision);
        self.by_status
            .remove(&(row.scope.clone(), row.status), &(row.family.clone(), row.revision));
        self.active.remove(&family, &row.revision);
        self.list_family(&family, before);
    }
}

impl TaskDefinitionIndex {
    /// `None` for a family without revisions.
    fn family_status(&self, family: &FamilyKey) -> Option<FamilyStatus> {
        if self.by_family.get(family).is_empty() {
            return None;
        }
        let is_active = !self.active.get(family).is_empty();
        Some(if is_active { FamilyStatus::Active } else { FamilyStatus::Inactive })
    }

    fn list_family(&mut self, key: &FamilyKey, before: Option<FamilyStatus>) {
        let after = self.family_status(key);
        if before == after {
            return;
        }
        let group = |status| (key.scope.clone(), status);
        if let Some(before) = before {
            self.families.remove(&group(before), &key.family);
            self.families.remove(&group(FamilyStatus::Any), &key.family);
        }
        if let Some(after) = after {
            self.families.add(group(after), key.family.clone());
            self.families.add(group(FamilyStatus::Any), key.family.clone());
        }
    }
}

fn family_of(row: &TaskDefinition) -> FamilyKey {
    FamilyKey::new(&row.scope, row.family.clone())
}

impl PackedTable<TaskDefinition> {
    /// Every revision of a family that is kept, in any status.
    pub fn of_family(&self, family: &FamilyKey) -> &OrdSet<Revision> {
        self.index.by_family.get(family)
    }
    /// The newest ACTIVE revision of a family.
    pub fn newest_active(&self, family: &FamilyKey) -> Option<Revision> {
        self.index.active.get(family).get_max().copied()
    }
    /// The revisions in a status, in the order of their families and numbers.
    pub fn in_status(
        &self,
        scope: &Scope,
        status: TaskDefinitionStatus,
    ) -> &OrdSet<(Family, Revision)> {
        self.index.by_status.get(&(scope.clone(), status))
    }
    /// The keys of the revisions in a status, of every account and region.
    pub fn all_in_status(
        &self,
        status: TaskDefinitionStatus,
    ) -> impl Iterator<Item = TaskDefinitionKey> {
        let groups = self.index.by_status.iter().filter(move |((_, found), _)| *found == status);
        groups.flat_map(|((scope, _), revisions)| {
            let key = |(family, revision): &(Family, Revision)| {
                TaskDefinitionKey::new(scope, family.clone(), *revision)
            };
            revisions.iter().map(key)
        })
    }
    /// The families that have revisions, by whether one of them is ACTIVE.
    pub fn families(&self, scope: &Scope, status: FamilyStatus) -> &OrdSet<Family> {
        self.index.families.get(&(scope.clone(), status))
    }
}
