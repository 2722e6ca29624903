//! A secret, and the values of its versions.

use std::sync::Arc;

use outport_model::secret::{Secret, SecretValue};
use outport_model::{AccountId, Arn, Region, Scope};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(SecretKey { name: String });
key!(
    /// A name may hold a slash, a serial does not: no two keys have one text.
    SecretValueKey { secret: String, serial: u64 }
);

impl Row for Secret {
    type Key = SecretKey;
    type Index = ();
    const TABLE: &'static str = "secret";
    fn key(&self) -> SecretKey {
        SecretKey::new(&self.scope, self.name.as_str())
    }
}

impl Related for Secret {}

impl Row for SecretValue {
    type Key = SecretValueKey;
    type Index = ();
    const TABLE: &'static str = "secret_value";
    fn key(&self) -> SecretValueKey {
        SecretValueKey::new(&self.scope, self.secret.as_str(), self.serial)
    }
}

impl Related for SecretValue {}

/// What stands before the name in the resource of an ARN.
const RESOURCE: &str = "secret:";

impl ColdTable<Secret> {
    /// Every secret of a scope, in the order of the names.
    pub fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<Secret>> {
        self.range(SecretKey::new(scope, "")..).take_while(|secret| secret.scope == *scope)
    }

    /// By its ARN, whole or without the hyphen and the six characters at its end.
    ///
    /// Source: Secrets Manager user guide, "Find secrets", and the API reference's `SecretId`: "If you specify an incomplete
    /// ARN without the random suffix, and instead provide the 'friendly name' …".
    pub fn by_arn(&self, arn: &Arn) -> Option<&Arc<Secret>> {
        if arn.service() != "secretsmanager" {
            return None;
        }
        let scope = Scope::new(AccountId::new(arn.account()), Region::new(arn.region()));
        let rest = arn.resource().strip_prefix(RESOURCE)?;
        let named = |name: &str| self.get(&SecretKey::new(&scope, name));
        let whole = rest
            .rsplit_once('-')
            .and_then(|(name, suffix)| named(name).filter(|secret| secret.suffix == suffix));
        whole.or_else(|| named(rest))
    }
}
