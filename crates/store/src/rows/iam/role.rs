//! A role.

use std::sync::Arc;

use outport_model::iam::{NameKey, Role};

use super::attachments::Attachments;
use super::key::{KeyOf, account_key};
use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::Index;
use crate::tables::Related;
use crate::transaction::Transaction;

account_key!(RoleKey { name: NameKey });

impl KeyOf for RoleKey {
    type Row = Role;
}

impl Row for Role {
    type Key = RoleKey;
    type Index = Attachments<RoleKey>;
    const TABLE: &'static str = "iam_role";
    fn key(&self) -> RoleKey {
        RoleKey::new(&self.account, &self.name)
    }
}

impl Related for Role {}

impl Index<Role> for Attachments<RoleKey> {
    fn add(&mut self, row: &Arc<Role>) {
        self.add(&row.key(), &row.policies.attached, row.permissions_boundary.as_ref());
    }

    fn remove(&mut self, row: &Role) {
        self.remove(&row.key(), &row.policies.attached, row.permissions_boundary.as_ref());
    }
}

impl ColdTable<Role> {
    /// Which have a managed policy.
    pub fn with_policy(&self) -> &Attachments<RoleKey> {
        &self.index
    }
}

impl Transaction<'_> {
    /// Makes the role of a service, unless the account has it: what a service does at its first use. Whether it was made.
    pub fn ensure_service_linked_role(&mut self, role: Role) -> bool {
        let is_new = !self.roles.contains(&role.key());
        if is_new {
            self.put(role);
        }
        is_new
    }
}
