//! A revision of a task definition.

use std::sync::Arc;

use outport_model::task_definition::TaskDefinition;
use outport_model::{Family, Revision};

use crate::row::Row;
use crate::rows::key::key;
use crate::rows::task_definition_family::FamilyKey;
use crate::table::{Grouping, Index, Rows, Table};
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

#[derive(Clone, Debug, Default)]
pub struct TaskDefinitionIndex {
    by_family: Grouping<FamilyKey, Revision, TaskDefinition>,
}

impl Index<TaskDefinition> for TaskDefinitionIndex {
    fn add(&mut self, row: &Arc<TaskDefinition>) {
        self.by_family.add(FamilyKey::new(&row.scope, row.family.clone()), row.revision, row);
    }
    fn remove(&mut self, row: &TaskDefinition) {
        self.by_family.remove(&FamilyKey::new(&row.scope, row.family.clone()), &row.revision);
    }
}

impl Table<TaskDefinition> {
    /// Every revision of a family that is kept, in any status.
    pub fn of_family(&self, family: &FamilyKey) -> &Rows<Revision, TaskDefinition> {
        self.index.by_family.get(family)
    }
}
