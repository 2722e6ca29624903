//! A group.

use std::sync::Arc;

use outport_model::iam::{Group, NameKey};

use super::attachments::Attachments;
use super::key::{KeyOf, account_key};
use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::Index;
use crate::tables::Related;

account_key!(GroupKey { name: NameKey });

impl KeyOf for GroupKey {
    type Row = Group;
}

impl Row for Group {
    type Key = GroupKey;
    type Index = Attachments<GroupKey>;
    const TABLE: &'static str = "iam_group";
    fn key(&self) -> GroupKey {
        GroupKey::new(&self.account, &self.name)
    }
}

impl Related for Group {}

impl Index<Group> for Attachments<GroupKey> {
    fn add(&mut self, row: &Arc<Group>) {
        self.add(&row.key(), &row.policies.attached, None);
    }

    fn remove(&mut self, row: &Group) {
        self.remove(&row.key(), &row.policies.attached, None);
    }
}

impl ColdTable<Group> {
    /// Which have a managed policy.
    pub fn with_policy(&self) -> &Attachments<GroupKey> {
        &self.index
    }
}
