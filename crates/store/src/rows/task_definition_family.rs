//! The last revision of a family.

use outport_model::Family;
use outport_model::task_definition::TaskDefinitionFamily;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(FamilyKey { family: Family });

impl Row for TaskDefinitionFamily {
    type Key = FamilyKey;
    type Index = ();
    const TABLE: &'static str = "family";
    fn key(&self) -> FamilyKey {
        FamilyKey::new(&self.scope, self.family.clone())
    }
}

impl Related for TaskDefinitionFamily {}
