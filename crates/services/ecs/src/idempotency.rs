//! `clientToken`: a request that comes again is answered like the first one.
//!
//! Source: "Ensuring idempotency" in the Amazon ECS API Reference.

use outport_aws_wire::{Shape, to_json};
use outport_model::Scope;
use outport_model::idempotency::IdempotencyToken;
use outport_planner::idempotency::{Verdict, judge};
use outport_store::Transaction;
use outport_store::keys::IdempotencyTokenKey;
use sha2::{Digest, Sha256};

use crate::rejection::Rejection;

/// A token and what was asked under it.
#[derive(Clone, Debug)]
pub struct ClientToken {
    token: String,
    request_digest: String,
}

impl ClientToken {
    /// Takes the token of a request. `request` is the request without it.
    ///
    /// # Errors
    /// `InvalidParameterException` for a token that is too long or not printable ASCII.
    pub fn parse(
        token: Option<String>,
        length_max: usize,
        request: &dyn Shape,
    ) -> Result<Option<Self>, Rejection> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if token.len() > length_max || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
            return Err(Rejection::invalid_parameter(format!(
                "Invalid clientToken. It must have at most {length_max} printable ASCII characters."
            )));
        }
        let request_digest = hex::encode(Sha256::digest(to_json(request)));
        Ok(Some(Self { token, request_digest }))
    }

    /// What the first request under this token made, if it was this same request.
    ///
    /// # Errors
    /// `ConflictException` when it was another request.
    pub fn recall(
        &self,
        tx: &Transaction<'_>,
        scope: &Scope,
        operation: &str,
    ) -> Result<Option<Vec<String>>, Rejection> {
        let key = IdempotencyTokenKey::new(scope, operation, self.token.clone());
        let known = tx.idempotency_tokens.get(&key).map(|row| &**row);
        match judge(known, &self.request_digest, &tx.now()) {
            Verdict::New => Ok(None),
            Verdict::Repeated(made) => Ok(Some(made)),
            Verdict::Conflict(made) => Err(Rejection::Conflict {
                message: "The request could not be processed because the clientToken was used before with other \
                          parameters."
                    .to_owned(),
                resource_ids: made,
            }),
        }
    }

    /// Remembers what the request made.
    pub fn remember(
        self,
        tx: &mut Transaction<'_>,
        scope: &Scope,
        operation: &str,
        resource_ids: Vec<String>,
    ) {
        tx.put(IdempotencyToken {
            scope: scope.clone(),
            operation: operation.to_owned(),
            token: self.token,
            request_digest: self.request_digest,
            resource_ids,
            created_at_ms: tx.now_ms(),
        });
    }
}
