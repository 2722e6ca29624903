//! A revision of a task definition.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{Family, Revision, Scope};

use crate::row::Row;
use crate::rows::key::key;
use crate::rows::task_definition_family::FamilyKey;
use crate::table::{Grouping, Index, Members, Rows, Table};
use crate::tables::Related;

key!(TaskDefinitionKey { family: Family, revision: Revision });

impl Row for TaskDefinition {
    type Key = TaskDefinitionKey;
    type Index = TaskDefinitionIndex;
    const TABLE: &'static str = "task_definition";
    fn key(&self) -> TaskDefinitionKey {
        TaskDefinitionKey::new(&self.scope, self.family.clone(), self.revision)
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
    by_family: Grouping<FamilyKey, Revision, TaskDefinition>,
    by_status: Members<(Scope, TaskDefinitionStatus), (Family, Revision)>,
    active_revisions: OrdMap<FamilyKey, usize>,
    families: Members<(Scope, FamilyStatus), Family>,
}

impl Index<TaskDefinition> for TaskDefinitionIndex {
    fn add(&mut self, row: &Arc<TaskDefinition>) {
        let family = family_of(row);
        let before = self.family_status(&family);
        self.by_family.add(family.clone(), row.revision, row);
        self.by_status.add((row.scope.clone(), row.status), (row.family.clone(), row.revision));
        if row.status == TaskDefinitionStatus::Active {
            *self.active_revisions.entry(family.clone()).or_default() += 1;
        }
        self.list_family(&family, before);
    }

    fn remove(&mut self, row: &TaskDefinition) {
        let family = family_of(row);
        let before = self.family_status(&family);
        self.by_family.remove(&family, &row.revision);
        self.by_status
            .remove(&(row.scope.clone(), row.status), &(row.family.clone(), row.revision));
        if row.status == TaskDefinitionStatus::Active
            && let Some(count) = self.active_revisions.get_mut(&family)
        {
            *count -= 1;
            if *count == 0 {
                self.active_revisions.remove(&family);
            }
        }
        self.list_family(&family, before);
    }
}

impl TaskDefinitionIndex {
    /// `None` for a family without revisions.
    fn family_status(&self, family: &FamilyKey) -> Option<FamilyStatus> {
        if self.by_family.get(family).is_empty() {
            return None;
        }
        let is_active = self.active_revisions.contains_key(family);
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

impl Table<TaskDefinition> {
    /// Every revision of a family that is kept, in any status.
    pub fn of_family(&self, family: &FamilyKey) -> &Rows<Revision, TaskDefinition> {
        self.index.by_family.get(family)
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
