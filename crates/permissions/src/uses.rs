//! When access keys and roles were last used.
//!
//! **Invariant:** a request waits for none of it: uses are collected in memory and written to the rows in rounds, so that a
//! crash may lose the uses of one round.
//!
//! Source: API reference, GetAccessKeyLastUsed and RoleLastUsed: AWS, too, tells of a use some time after it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use outport_identity::{Credential, Principal};
use outport_model::iam::{AccessKey, LastUse, Role, RoleUse};
use outport_model::{AccountId, Region, TimestampMs};
use outport_store::keys::RoleKey;
use outport_store::{Fault, Store, Transaction, WriteError};

/// Keys and roles that are collected between two rounds; further ones wait for the next.
const USES_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    /// A long-term key.
    Key(String),
    /// A role: its account, name and id.
    Role(AccountId, String, String),
}

/// What was used since the last round.
#[derive(Default)]
pub struct Uses(Mutex<BTreeMap<Used, LastUse>>);

impl Uses {
    pub fn note(
        &self,
        credential: &Credential,
        service: &str,
        region: &Region,
        at_ms: TimestampMs,
    ) {
        let used = match (&credential.principal, &credential.session) {
            (Principal::AssumedRole { account, role, role_id, .. }, _) => {
                Used::Role(account.clone(), role.clone(), role_id.clone())
            }
            (_, None) => Used::Key(credential.access_key_id.as_str().to_owned()),
            (_, Some(_)) => return,
        };
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = uses.get_mut(&used) {
            last.at_ms = at_ms;
            if last.service != service {
                last.service = service.to_owned();
            }
        } else if uses.len() < USES_MAX {
            let last = LastUse { at_ms, service: service.to_owned(), region: region.clone() };
            uses.insert(used, last);
        }
    }

    /// Writes what was collected to the rows that are still there.
    ///
    /// # Errors
    /// Those of the store: what was collected is lost then.
    pub async fn write(&self, store: &Store) -> Result<(), Fault> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let written = store.write(|tx| {
            for (used, last) in &uses {
                note_in(tx, used, last);
            }
            Ok::<(), Infallible>(())
        });
        match written.await {
            Ok(()) => Ok(()),
            Err(WriteError::Fault(fault)) => Err(fault),
            Err(WriteError::Rejected(never)) => match never {},
        }
    }
}

fn note_in(tx: &mut Transaction<'_>, used: &Used, last: &LastUse) {
    match used {
        Used::Key(id) => {
            tx.update::<AccessKey>(id, |key| key.last_use = Some(last.clone()));
        }
        Used::Role(account, name, id) => {
            let key = RoleKey::new(account, name.as_str());
            if tx.roles.get(&key).is_some_and(|role| role.id == *id) {
                let LastUse { at_ms, region, .. } = last.clone();
                tx.update::<Role>(&key, |role| role.last_use = Some(RoleUse { at_ms, region }));
            }
        }
    }
}
