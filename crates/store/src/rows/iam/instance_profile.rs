//! An instance profile.

use std::sync::Arc;

use imbl::OrdSet;
use outport_model::iam::{InstanceProfile, NameKey};

use super::key::{KeyOf, account_key};
use super::role::RoleKey;
use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::{Index, Members};
use crate::tables::Related;

account_key!(InstanceProfileKey { name: NameKey });

impl KeyOf for InstanceProfileKey {
    type Row = InstanceProfile;
}

impl Row for InstanceProfile {
    type Key = InstanceProfileKey;
    type Index = RoleIndex;
    const TABLE: &'static str = "iam_instance_profile";
    fn key(&self) -> InstanceProfileKey {
        InstanceProfileKey::new(&self.account, &self.name)
    }
}

impl Related for InstanceProfile {}

#[derive(Clone, Debug, Default)]
pub struct RoleIndex(Members<RoleKey, InstanceProfileKey>);

impl Index<InstanceProfile> for RoleIndex {
    fn add(&mut self, row: &Arc<InstanceProfile>) {
        if let Some(role) = &row.role {
            self.0.add(RoleKey::new(&row.account, role), row.key());
        }
    }

    fn remove(&mut self, row: &InstanceProfile) {
        if let Some(role) = &row.role {
            self.0.remove(&RoleKey::new(&row.account, role), &row.key());
        }
    }
}

impl ColdTable<InstanceProfile> {
    /// Those that hold a role.
    pub fn with_role(&self, role: &RoleKey) -> &OrdSet<InstanceProfileKey> {
        self.index.0.get(role)
    }
}
