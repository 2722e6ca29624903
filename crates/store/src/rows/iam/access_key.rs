//! An access key. Its id is known in the whole installation: a request tells no more.

use std::sync::Arc;

use imbl::OrdSet;
use outport_model::AccountId;
use outport_model::iam::{AccessKey, NameKey};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::table::{Index, Members};
use crate::tables::Related;

/// `AKIA…`.
pub type AccessKeyKey = String;

impl Row for AccessKey {
    type Key = AccessKeyKey;
    type Index = OwnerIndex;
    const TABLE: &'static str = "iam_access_key";
    fn key(&self) -> AccessKeyKey {
        self.id.clone()
    }
}

impl Related for AccessKey {}

type Owner = (AccountId, Option<NameKey>);

#[derive(Clone, Debug, Default)]
pub struct OwnerIndex(Members<Owner, AccessKeyKey>);

fn owner(row: &AccessKey) -> Owner {
    (row.account.clone(), row.user.clone())
}

impl Index<AccessKey> for OwnerIndex {
    fn add(&mut self, row: &Arc<AccessKey>) {
        self.0.add(owner(row), row.id.clone());
    }

    fn remove(&mut self, row: &AccessKey) {
        self.0.remove(&owner(row), &row.id);
    }
}

impl ColdTable<AccessKey> {
    /// The keys of a user, or of an account's root.
    pub fn of_owner(&self, account: &AccountId, user: Option<&NameKey>) -> &OrdSet<AccessKeyKey> {
        self.index.0.get(&(account.clone(), user.cloned()))
    }
}
