//! Keys of KMS, their aliases and their grants.

use std::sync::Arc;

use outport_model::kms::{KmsAlias, KmsGrant, KmsKey};
use outport_model::{AccountId, Arn, Region, Scope};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(KmsKeyKey { id: String });
key!(
    /// The name, with `alias/`.
    KmsAliasKey { name: String }
);
key!(
    /// Neither id holds a slash.
    KmsGrantKey { key_id: String, id: String }
);

impl Row for KmsKey {
    type Key = KmsKeyKey;
    type Index = ();
    const TABLE: &'static str = "kms_key";
    fn key(&self) -> KmsKeyKey {
        KmsKeyKey::new(&self.scope, self.id.as_str())
    }
}

impl Related for KmsKey {}

impl Row for KmsAlias {
    type Key = KmsAliasKey;
    type Index = ();
    const TABLE: &'static str = "kms_alias";
    fn key(&self) -> KmsAliasKey {
        KmsAliasKey::new(&self.scope, self.name.as_str())
    }
}

impl Related for KmsAlias {}

impl Row for KmsGrant {
    type Key = KmsGrantKey;
    type Index = ();
    const TABLE: &'static str = "kms_grant";
    fn key(&self) -> KmsGrantKey {
        KmsGrantKey::new(&self.scope, self.key_id.as_str(), self.id.as_str())
    }
}

impl Related for KmsGrant {}

/// The account and region of an ARN of KMS, and what it names: `key/…` or `alias/…`.
fn of_arn(arn: &Arn) -> Option<(Scope, &str)> {
    let scope = Scope::new(AccountId::new(arn.account()), Region::new(arn.region()));
    (arn.service() == "kms").then(|| (scope, arn.resource()))
}

impl ColdTable<KmsKey> {
    /// Every key of a scope, in the order of the ids.
    pub fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<KmsKey>> {
        self.range(KmsKeyKey::new(scope, "")..).take_while(|key| key.scope == *scope)
    }

    pub fn by_arn(&self, arn: &Arn) -> Option<&Arc<KmsKey>> {
        let (scope, resource) = of_arn(arn)?;
        self.get(&KmsKeyKey::new(&scope, resource.strip_prefix("key/")?))
    }
}

impl ColdTable<KmsAlias> {
    /// Every alias of a scope, in the order of the names.
    pub fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<KmsAlias>> {
        self.range(KmsAliasKey::new(scope, "")..).take_while(|alias| alias.scope == *scope)
    }

    /// The aliases of a key. It walks those of the scope: a key has 50 at most, and what asks is rare.
    pub fn of_key<'a>(&'a self, key: &'a KmsKeyKey) -> impl Iterator<Item = &'a Arc<KmsAlias>> {
        self.of_scope(&key.scope).filter(|alias| alias.key_id == key.id)
    }

    pub fn by_arn(&self, arn: &Arn) -> Option<&Arc<KmsAlias>> {
        let (scope, resource) = of_arn(arn)?;
        self.get(&KmsAliasKey::new(&scope, resource))
    }
}

impl ColdTable<KmsGrant> {
    /// Every grant of a scope, by key.
    pub fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<KmsGrant>> {
        self.range(KmsGrantKey::new(scope, "", "")..).take_while(|grant| grant.scope == *scope)
    }

    /// The grants of a key, in the order of their ids.
    pub fn of_key<'a>(&'a self, key: &'a KmsKeyKey) -> impl Iterator<Item = &'a Arc<KmsGrant>> {
        let from = KmsGrantKey::new(&key.scope, key.id.as_str(), "");
        let is_of_it = |grant: &&Arc<KmsGrant>| grant.scope == key.scope && grant.key_id == key.id;
        self.range(from..).take_while(is_of_it)
    }
}
