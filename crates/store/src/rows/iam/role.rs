//! A role.

use std::sync::Arc;

use imbl::OrdMap;
use outport_model::iam::{NameKey, Role, ServiceLinkedRole};
use outport_model::{AccountId, NewIds};

use super::attachments::Attachments;
use super::key::{KeyOf, account_key};
use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::Index;
use crate::tables::{Related, Tables};
use crate::transaction::Transaction;

account_key!(RoleKey { name: NameKey });

impl KeyOf for RoleKey {
    type Row = Role;
}

impl Row for Role {
    type Key = RoleKey;
    type Index = RoleIndex;
    const TABLE: &'static str = "iam_role";
    fn key(&self) -> RoleKey {
        RoleKey::new(&self.account, &self.name)
    }
}

impl Related for Role {}

#[derive(Clone, Debug, Default)]
pub struct RoleIndex {
    policies: Attachments<RoleKey>,
    by_id: OrdMap<String, RoleKey>,
}

impl Index<Role> for RoleIndex {
    fn add(&mut self, row: &Arc<Role>) {
        let key = row.key();
        self.policies.add(&key, &row.policies.attached, row.permissions_boundary.as_ref());
        self.by_id.insert(row.id.clone(), key);
    }

    fn remove(&mut self, row: &Role) {
        let key = row.key();
        self.policies.remove(&key, &row.policies.attached, row.permissions_boundary.as_ref());
        self.by_id.remove(&row.id);
    }
}

impl ColdTable<Role> {
    /// Which have a managed policy.
    pub fn with_policy(&self) -> &Attachments<RoleKey> {
        &self.index.policies
    }
    /// Whose unique id it is.
    pub fn with_id(&self, id: &str) -> Option<&Arc<Role>> {
        self.get(self.index.by_id.get(id)?)
    }
}

impl Tables {
    /// The ARN of the role of a service, such as `ecs.amazonaws.com`, that the account does not have.
    pub fn missing_service_linked_role(
        &self,
        account: &AccountId,
        service: &str,
    ) -> Option<String> {
        let role = ServiceLinkedRole::of(service)?.row(account, None, String::new(), 0);
        (!self.roles.contains(&role.key())).then(|| role.arn())
    }
}

impl Transaction<'_> {
    /// Makes the role of a service that has no suffix, such as `ecs.amazonaws.com`, unless the account has it: what a service does
    /// at its first use. Whether it was made.
    pub fn ensure_role_of_service(&mut self, account: &AccountId, service: &str) -> bool {
        let Some(linked) = ServiceLinkedRole::of(service) else { return false };
        let id = self.hex17("AROA").to_ascii_uppercase();
        let row = linked.row(account, None, id, self.now_ms());
        self.ensure_service_linked_role(row)
    }

    /// The same with a row of who has made one.
    pub fn ensure_service_linked_role(&mut self, role: Role) -> bool {
        let is_new = !self.roles.contains(&role.key());
        if is_new {
            self.put(role);
        }
        is_new
    }
}
