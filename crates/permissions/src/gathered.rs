//! The policies that a decision is about, gathered from the rows of IAM.
//!
//! **Invariant:** what was gathered is used again only while every table of IAM is the one that it was gathered from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_model::iam::{Account, Group, ManagedPolicy, Role, User};
use outport_policy::{Attached, Policy, Source};
use outport_store::{ColdTable, Tables};

use crate::compiled::Inline;
use crate::principal::Entity;

/// Users and roles whose policies are kept; with more, all are forgotten and gathered again as they ask.
const KEPT_MAX: usize = 20_000;

/// The policies of one layer.
#[derive(Default)]
pub struct Gathered {
    pub inline: Vec<Inline>,
    pub managed: Vec<(String, Arc<Policy>)>,
    /// Those without a name: that a session was made with, and what an account lets all its users do.
    pub unnamed: Vec<Arc<Policy>>,
}

impl Gathered {
    pub fn attached(&self) -> Vec<Attached<'_>> {
        let inline = self.inline.iter().flat_map(|policies| policies.iter());
        let inline = inline.map(|(name, policy)| Attached { source: Source::Inline(name), policy });
        let managed = self.managed.iter();
        let managed =
            managed.map(|(arn, policy)| Attached { source: Source::Managed(arn), policy });
        let unnamed = self.unnamed.iter();
        let unnamed = unnamed.map(|policy| Attached { source: Source::Inline(""), policy });
        inline.chain(managed).chain(unnamed).collect()
    }
}

/// The tables that policies stand in, as they were at one time.
struct Iam {
    users: Arc<ColdTable<User>>,
    groups: Arc<ColdTable<Group>>,
    roles: Arc<ColdTable<Role>>,
    managed_policies: Arc<ColdTable<ManagedPolicy>>,
    accounts: Arc<ColdTable<Account>>,
}

impl Iam {
    fn of(tables: &Tables) -> Self {
        Self {
            users: Arc::clone(&tables.users),
            groups: Arc::clone(&tables.groups),
            roles: Arc::clone(&tables.roles),
            managed_policies: Arc::clone(&tables.managed_policies),
            accounts: Arc::clone(&tables.accounts),
        }
    }

    fn is_of(&self, tables: &Tables) -> bool {
        Arc::ptr_eq(&self.users, &tables.users)
            && Arc::ptr_eq(&self.groups, &tables.groups)
            && Arc::ptr_eq(&self.roles, &tables.roles)
            && Arc::ptr_eq(&self.managed_policies, &tables.managed_policies)
            && Arc::ptr_eq(&self.accounts, &tables.accounts)
    }
}

/// What was gathered at one time.
struct OfTime {
    iam: Iam,
    /// By the unique ids of users and roles.
    gathered: HashMap<String, Arc<Gathered>>,
}

/// What was gathered last.
#[derive(Default)]
pub struct Kept(Mutex<Option<OfTime>>);

impl Kept {
    pub fn of(
        &self,
        tables: &Tables,
        entity: &Entity,
        gather: impl FnOnce() -> Gathered,
    ) -> Arc<Gathered> {
        let id = match entity {
            Entity::User(user) => &user.id,
            Entity::Role(role) => &role.id,
            Entity::Root | Entity::WebIdentity | Entity::Gone => return Arc::new(gather()),
        };
        if let Some(last) = &*self.lock()
            && last.iam.is_of(tables)
            && let Some(gathered) = last.gathered.get(id)
        {
            return Arc::clone(gathered);
        }
        let gathered = Arc::new(gather());
        let mut last = self.lock();
        let last = match &mut *last {
            Some(last) if last.iam.is_of(tables) && last.gathered.len() < KEPT_MAX => last,
            // Of another time, or too many.
            other => other.insert(OfTime { iam: Iam::of(tables), gathered: HashMap::new() }),
        };
        last.gathered.insert(id.clone(), Arc::clone(&gathered));
        gathered
    }

    fn lock(&self) -> MutexGuard<'_, Option<OfTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
