//! Policies, compiled once for as long as their rows stay as they are.
//!
//! **Invariant:** a compiled policy is used only with the very row, or the very text, that it was compiled from.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_model::iam::ManagedPolicy;
use outport_policy::{Policy, PolicyKind};
use outport_store::Tables;

/// Rows of one kind whose policies are kept; with more, all are forgotten and come again as they are asked for.
const ROWS_MAX: usize = 50_000;
/// The same of texts, which callers bring: some KiB each.
const TEXTS_MAX: usize = 2_000;

/// The inline policies of one row: name and policy.
pub type Inline = Arc<[(String, Policy)]>;

/// The row that a policy was compiled from; `None`: it is one of AWS.
type OfRow = (Option<Arc<ManagedPolicy>>, Arc<Policy>);

#[derive(Debug, Default)]
pub struct Compiled {
    /// By ARN.
    managed: Mutex<HashMap<String, OfRow>>,
    /// By text: session policies and policies of resources.
    texts: Mutex<HashMap<(String, Kind), Arc<Policy>>>,
}

/// [`PolicyKind`], as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Session,
    Resource,
    Repository,
    RoleTrust,
}

impl From<Kind> for PolicyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Session => Self::Session,
            Kind::Resource => Self::Resource,
            Kind::Repository => Self::Repository,
            Kind::RoleTrust => Self::RoleTrust,
        }
    }
}

impl Compiled {
    /// The policy with an ARN, of a customer or of AWS; `None` when there is none.
    pub fn managed(&self, tables: &Tables, arn: &str) -> Option<Arc<Policy>> {
        let row = tables.managed_policies.by_arn(arn);
        let known = lock(&self.managed).get(arn).cloned();
        if let Some((of, policy)) = known
            && is_same(of.as_ref(), row)
        {
            return Some(policy);
        }
        let policy = match row {
            Some(row) => compile(row.document().unwrap_or_default(), PolicyKind::Managed, arn),
            None => {
                let awss = outport_aws_managed_policies::find(arn)?;
                compile(&awss.document, PolicyKind::Managed, arn)
            }
        };
        let policy = Arc::new(policy);
        keep(&self.managed, ROWS_MAX, arn.to_owned(), (row.cloned(), Arc::clone(&policy)));
        Some(policy)
    }

    /// A document that stands in no row of its own.
    pub fn text(&self, document: &str, kind: Kind) -> Arc<Policy> {
        let key = (document.to_owned(), kind);
        if let Some(policy) = lock(&self.texts).get(&key) {
            return Arc::clone(policy);
        }
        let policy = Arc::new(compile(document, kind.into(), "a session or a resource"));
        keep(&self.texts, TEXTS_MAX, key, Arc::clone(&policy));
        policy
    }
}

/// The inline policies of rows of one table, by key.
#[derive(Debug)]
pub struct InlineOf<K, R>(Mutex<HashMap<K, (Arc<R>, Inline)>>);

impl<K, R> Default for InlineOf<K, R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, R> InlineOf<K, R> {
    pub fn of(
        &self,
        key: K,
        row: &Arc<R>,
        documents: impl FnOnce(&R) -> &std::collections::BTreeMap<String, String>,
    ) -> Inline {
        if let Some((of, inline)) = lock(&self.0).get(&key)
            && Arc::ptr_eq(of, row)
        {
            return Arc::clone(inline);
        }
        let inline: Inline = documents(row)
            .iter()
            .map(|(name, text)| (name.clone(), compile(text, PolicyKind::Inline, name)))
            .collect();
        keep(&self.0, ROWS_MAX, key, (Arc::clone(row), Arc::clone(&inline)));
        inline
    }
}

/// A document that cannot be read any more denies everything: what it would have denied is not known.
fn compile(document: &str, kind: PolicyKind, name: &str) -> Policy {
    Policy::compile(document, kind).unwrap_or_else(|malformed| {
        tracing::warn!(
            event = "policy_unreadable",
            policy = name,
            %malformed,
            "a stored policy cannot be read: it denies everything until it is written anew"
        );
        Policy::denying_everything()
    })
}

fn is_same(known: Option<&Arc<ManagedPolicy>>, row: Option<&Arc<ManagedPolicy>>) -> bool {
    match (known, row) {
        (Some(known), Some(row)) => Arc::ptr_eq(known, row),
        (None, None) => true,
        _ => false,
    }
}

fn keep<K: Eq + Hash, V>(map: &Mutex<HashMap<K, V>>, entries_max: usize, key: K, value: V) {
    let mut map = lock(map);
    if map.len() >= entries_max {
        map.clear();
    }
    map.insert(key, value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
