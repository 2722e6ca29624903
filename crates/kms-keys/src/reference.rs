//! What names a key in a request.

use std::sync::Arc;

use outport_model::kms::KmsKey;
use outport_model::{AccountId, Arn, Now, Region, Scope};
use outport_store::Tables;
use outport_store::keys::{KmsAliasKey, KmsKeyKey};

/// The lengths of the parts of a UUID.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];
/// Of a key in several regions, which are known by their form only.
const MULTI_REGION: &str = "mrk-";
const MULTI_REGION_DIGITS: usize = 32;

/// A key, by its id or by another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Key {
        scope: Scope,
        id: String,
    },
    /// The name begins with `alias/`.
    Alias {
        scope: Scope,
        name: String,
    },
}

/// Why a text names no key that there could be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Source: answers of DescribeKey to ids that are no UUIDs.
    #[error("Invalid keyId '{0}'")]
    KeyId(String),
    #[error("Invalid arn {0}")]
    Arn(String),
    /// The same text, of an ARN of another region. Source: the answer of DescribeKey.
    #[error("Invalid arn {0}")]
    Region(String),
}

impl Reference {
    /// An id, an ARN of a key, the name of an alias, or its ARN. `scope`: what is called.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(scope: &Scope, text: &str) -> Result<Self, Unreadable> {
        if text.starts_with("alias/") {
            return Ok(Self::Alias { scope: scope.clone(), name: text.to_owned() });
        }
        if !text.starts_with("arn:") {
            let id = text.to_owned();
            return match is_id(text) {
                true => Ok(Self::Key { scope: scope.clone(), id }),
                false => Err(Unreadable::KeyId(id)),
            };
        }
        let arn = Arn::parse(text).filter(|arn| arn.service() == "kms");
        let arn = arn.ok_or_else(|| Unreadable::Arn(text.to_owned()))?;
        if arn.region() != scope.region.as_str() {
            return Err(Unreadable::Region(arn.region().to_owned()));
        }
        let scope = Scope::new(AccountId::new(arn.account()), Region::new(arn.region()));
        match arn.resource().split_once('/') {
            Some(("key", id)) if is_id(id) => Ok(Self::Key { scope, id: id.to_owned() }),
            Some(("alias", _)) => Ok(Self::Alias { scope, name: arn.resource().to_owned() }),
            _ => Err(Unreadable::Arn(text.to_owned())),
        }
    }

    pub fn scope(&self) -> &Scope {
        match self {
            Self::Key { scope, .. } | Self::Alias { scope, .. } => scope,
        }
    }

    /// The key, unless its waiting period is over.
    pub fn find(&self, tables: &Tables, now: &Now) -> Option<Arc<KmsKey>> {
        let key = match self {
            Self::Key { scope, id } => KmsKeyKey::new(scope, id.as_str()),
            Self::Alias { scope, name } => {
                let alias = tables.kms_aliases.get(&KmsAliasKey::new(scope, name.as_str()))?;
                KmsKeyKey::new(scope, alias.key_id.as_str())
            }
        };
        tables.kms_keys.get(&key).filter(|key| !key.is_gone(now)).cloned()
    }

    /// The ARN of what is named.
    pub fn arn(&self) -> Arn {
        match self {
            Self::Key { scope, id } => Arn::kms_key(scope, id),
            Self::Alias { scope, name } => Arn::kms_alias(scope, name),
        }
    }

    /// The ARN by which a key that is not there is asked about: nobody knows which one an alias would have been.
    pub fn arn_of_absent(&self) -> Arn {
        match self {
            Self::Key { .. } => self.arn(),
            Self::Alias { scope, .. } => Arn::kms_key(scope, "*"),
        }
    }

    /// The name of the alias, for `kms:RequestAlias`.
    pub fn alias(&self) -> Option<&str> {
        match self {
            Self::Key { .. } => None,
            Self::Alias { name, .. } => Some(name),
        }
    }

    /// AWS's text for what is not there.
    pub fn not_found(&self) -> String {
        match self {
            Self::Key { .. } => format!("Key '{}' does not exist", self.arn()),
            Self::Alias { .. } => format!("Alias {} is not found.", self.arn()),
        }
    }
}

fn is_id(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(digits) = text.strip_prefix(MULTI_REGION) {
        return digits.len() == MULTI_REGION_DIGITS && is_hex(digits);
    }
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq(UUID_PARTS) && parts.iter().all(|part| is_hex(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn parse(text: &str) -> Result<Reference, String> {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        Reference::parse(&scope, text).map_err(|unreadable| unreadable.to_string())
    }

    #[test]
    fn a_key_has_an_id_an_arn_and_other_names() {
        let of = |account: &str| format!("arn:aws:kms:us-east-1:{account}:key/{ID}");
        assert_eq!(parse(ID).unwrap().arn().as_str(), of("000000000000"));
        assert_eq!(parse(&of("111111111111")).unwrap().arn().as_str(), of("111111111111"));
        let alias = "arn:aws:kms:us-east-1:000000000000:alias/a/b";
        for text in ["alias/a/b", alias] {
            let reference = parse(text).unwrap();
            assert_eq!((reference.arn().as_str(), reference.alias()), (alias, Some("alias/a/b")));
        }
        assert!(parse(&format!("mrk-{}", "d3b95762".repeat(4))).is_ok());
    }

    #[test]
    fn what_is_no_name_is_said() {
        for (text, said) in [
            ("fake-key-id", "Invalid keyId 'fake-key-id'"),
            ("mrk-fake-key-id", "Invalid keyId 'mrk-fake-key-id'"),
            (
                "134f2428cec14b25a1ae9048164dba47",
                "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
            ),
            ("arn:aws:kms:eu-west-1:000000000000:key/x", "Invalid arn eu-west-1"),
            ("arn:aws:s3:us-east-1:0:key/x", "Invalid arn arn:aws:s3:us-east-1:0:key/x"),
            ("arn:aws:kms:us-east-1:0:cow/x", "Invalid arn arn:aws:kms:us-east-1:0:cow/x"),
        ] {
            assert_eq!(parse(text).unwrap_err(), said);
        }
    }
}
