//! A user.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use outport_model::iam::{NameKey, User};

use super::attachments::Attachments;
use super::group::GroupKey;
use super::key::{KeyOf, account_key};
use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::{Index, Members};
use crate::tables::Related;

account_key!(UserKey { name: NameKey });

impl KeyOf for UserKey {
    type Row = User;
}

impl Row for User {
    type Key = UserKey;
    type Index = UserIndex;
    const TABLE: &'static str = "iam_user";
    fn key(&self) -> UserKey {
        UserKey::new(&self.account, &self.name)
    }
}

impl Related for User {}

#[derive(Clone, Debug, Default)]
pub struct UserIndex {
    policies: Attachments<UserKey>,
    members: Members<GroupKey, UserKey>,
    by_id: OrdMap<String, UserKey>,
}

impl Index<User> for UserIndex {
    fn add(&mut self, row: &Arc<User>) {
        let key = row.key();
        self.policies.add(&key, &row.policies.attached, row.permissions_boundary.as_ref());
        for group in &row.groups {
            self.members.add(GroupKey::new(&row.account, group), key.clone());
        }
        self.by_id.insert(row.id.clone(), key);
    }

    fn remove(&mut self, row: &User) {
        let key = row.key();
        self.policies.remove(&key, &row.policies.attached, row.permissions_boundary.as_ref());
        for group in &row.groups {
            self.members.remove(&GroupKey::new(&row.account, group), &key);
        }
        self.by_id.remove(&row.id);
    }
}

impl ColdTable<User> {
    /// Who has a managed policy.
    pub fn with_policy(&self) -> &Attachments<UserKey> {
        &self.index.policies
    }
    /// Whose unique id it is.
    pub fn with_id(&self, id: &str) -> Option<&Arc<User>> {
        self.get(self.index.by_id.get(id)?)
    }
    /// Who is in a group.
    pub fn in_group(&self, group: &GroupKey) -> &OrdSet<UserKey> {
        self.index.members.get(group)
    }
}
