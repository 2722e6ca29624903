//! What there may be under a `KeyId`, and the question about it.

use std::sync::Arc;

use outport_identity::{Call, Subject};
use outport_kms_keys::{Reference, Use};
use outport_model::kms::KmsKey;
use outport_model::{Now, Scope};
use outport_store::Tables;

use crate::rejection::Rejection;

/// What a request names, at one time.
pub struct Named<'a> {
    call: &'a Call,
    now: Now,
    pub reference: Reference,
}

/// The account and region that are called.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

impl<'a> Named<'a> {
    /// For an operation that also takes keys of other accounts.
    ///
    /// # Errors
    /// `NotFoundException`, `InvalidArnException`.
    pub fn parse(call: &'a Call, now: Now, key_id: Option<String>) -> Result<Self, Rejection> {
        let reference = Reference::parse(&scope(call), &key_id.unwrap_or_default())?;
        Ok(Self { call, now, reference })
    }

    /// For an operation that takes keys by id or ARN only. Source: the API reference, `KeyId` of each operation.
    ///
    /// # Errors
    /// `NotFoundException`, `InvalidArnException`.
    pub fn parse_id(call: &'a Call, now: Now, key_id: Option<String>) -> Result<Self, Rejection> {
        let named = Self::parse(call, now, key_id)?;
        match named.reference.alias() {
            Some(alias) => Err(outport_kms_keys::Unreadable::KeyId(alias.to_owned()).into()),
            None => Ok(named),
        }
    }

    pub fn find(&self, tables: &Tables) -> Option<Arc<KmsKey>> {
        self.reference.find(tables, &self.now)
    }

    /// The key, and the question whether it may be used so.
    pub fn look(&self, tables: &Tables, wanted: Use<'_>) -> Subject<Option<Arc<KmsKey>>> {
        let wanted = Use { named: Some(&self.reference), ..wanted };
        let found = self.find(tables);
        let question = match &found {
            Some(key) => wanted.question(tables, self.call, key),
            None => wanted.question_of_absent(self.call, &self.reference),
        };
        Subject::new(found, question)
    }

    /// The same, for an operation that is for the key's own account only: to anybody else there is none.
    pub fn look_at_own(
        &self,
        tables: &Tables,
        action: &'static str,
    ) -> Subject<Option<Arc<KmsKey>>> {
        let wanted = Use { named: Some(&self.reference), ..Use::new(action) };
        if self.reference.scope().account == self.call.account {
            return self.look(tables, wanted);
        }
        Subject::new(None, wanted.question_of_absent(self.call, &self.reference))
    }

    /// The key, in whatever state.
    ///
    /// # Errors
    /// `NotFoundException`.
    pub fn there(&self, found: Option<Arc<KmsKey>>) -> Result<Arc<KmsKey>, Rejection> {
        found.ok_or_else(|| Rejection::not_found(&self.reference))
    }

    /// A denial of what was asked about this.
    pub fn denied(&self, refused: Rejection) -> Rejection {
        refused.about(&self.reference)
    }
}
