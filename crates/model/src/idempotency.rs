//! The memory of a `clientToken`: a repeated request is answered like the first one.

use serde::{Deserialize, Serialize};

use crate::{Scope, TimestampMs};

/// Source: "Ensuring idempotency" in the Amazon ECS API Reference; tokens hold for 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyToken {
    pub scope: Scope,
    /// Such as `RunTask`: the same token of two operations are two tokens.
    pub operation: String,
    /// As the client sent it; at most 64 characters.
    pub token: String,
    /// Of the request without its token; another request under one token is a conflict.
    pub request_digest: String,
    /// The ids or ARNs that the first request made, in its order.
    pub resource_ids: Vec<String>,
    pub created_at_ms: TimestampMs,
}

/// How long a token is remembered.
pub const IDEMPOTENCY_TOKEN_LIFE_MS: TimestampMs = 24 * 60 * 60 * 1000;
