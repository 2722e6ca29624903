//! The token of a request that was answered.

use outport_model::idempotency::IdempotencyToken;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(
    /// The token comes last: it may hold any character.
    IdempotencyTokenKey { operation: String, token: String }
);

impl Row for IdempotencyToken {
    type Key = IdempotencyTokenKey;
    type Index = ();
    const TABLE: &'static str = "idempotency_token";
    fn key(&self) -> IdempotencyTokenKey {
        IdempotencyTokenKey::new(&self.scope, self.operation.clone(), self.token.clone())
    }
}

impl Related for IdempotencyToken {}
