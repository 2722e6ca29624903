//! A managed policy.

use std::sync::Arc;

use outport_model::iam::{ManagedPolicy, NameKey};
use outport_model::{AccountId, Arn};

use super::key::{KeyOf, account_key};
use crate::cold::ColdTable;
use crate::row::Row;
use crate::tables::Related;

account_key!(ManagedPolicyKey { name: NameKey });

impl KeyOf for ManagedPolicyKey {
    type Row = ManagedPolicy;
}

impl Row for ManagedPolicy {
    type Key = ManagedPolicyKey;
    type Index = ();
    const TABLE: &'static str = "iam_policy";
    fn key(&self) -> ManagedPolicyKey {
        ManagedPolicyKey::new(&self.account, &self.name)
    }
}

impl Related for ManagedPolicy {}

impl ColdTable<ManagedPolicy> {
    /// By its ARN, of which path and the case of letters count, too.
    pub fn by_arn(&self, arn: &str) -> Option<&Arc<ManagedPolicy>> {
        let parsed = Arn::parse(arn)?;
        let name = parsed.resource().strip_prefix("policy/")?.rsplit('/').next()?;
        let key = ManagedPolicyKey::new(&AccountId::new(parsed.account()), name);
        self.get(&key).filter(|policy| policy.arn() == arn)
    }
}
