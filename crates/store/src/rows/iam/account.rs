//! An account.

use outport_model::AccountId;
use outport_model::iam::Account;

use crate::row::Row;
use crate::tables::Related;

impl Row for Account {
    type Key = AccountId;
    type Index = ();
    const TABLE: &'static str = "account";
    fn key(&self) -> AccountId {
        self.id.clone()
    }
}

impl Related for Account {}
