//! The account as IAM knows it: its row is made when there is first something to keep.

use std::sync::Arc;

use outport_identity::Call;
use outport_model::iam::Account;
use outport_store::Tables;

pub fn find<'a>(tables: &'a Tables, call: &Call) -> Option<&'a Arc<Account>> {
    tables.accounts.get(&call.account)
}

/// To be changed and put.
pub fn find_or_new(tables: &Tables, call: &Call) -> Account {
    match find(tables, call) {
        Some(account) => Account::clone(account),
        None => Account::new(call.account.clone(), call.now_ms),
    }
}
