//! What a request with a `clientToken` is: new, a repetition, or a conflict.

use outport_model::Now;
use outport_model::idempotency::{IDEMPOTENCY_TOKEN_LIFE_MS, IdempotencyToken};

/// Source: "Ensuring idempotency" in the Amazon ECS API Reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do it, and keep the token with what it made.
    New,
    /// The same request came before and made these: answer with them.
    Repeated(Vec<String>),
    /// Another request came with this token and made these: a `ConflictException`.
    Conflict(Vec<String>),
}

/// `known` is the row of the request's token, if there is one.
pub fn judge(known: Option<&IdempotencyToken>, request_digest: &str, now: &Now) -> Verdict {
    match known {
        Some(token) if !is_expired(token, now) => {
            let made = token.resource_ids.clone();
            if token.request_digest == request_digest {
                Verdict::Repeated(made)
            } else {
                Verdict::Conflict(made)
            }
        }
        _ => Verdict::New,
    }
}

pub fn is_expired(token: &IdempotencyToken, now: &Now) -> bool {
    now.is_over(token.created_at_ms, IDEMPOTENCY_TOKEN_LIFE_MS)
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region, Scope, TimestampMs};

    use super::*;

    #[track_caller]
    fn check(
        known: Option<(&str, TimestampMs)>,
        digest: &str,
        now_ms: TimestampMs,
        expected: Verdict,
    ) {
        let known = known.map(|(digest, created_at_ms)| IdempotencyToken {
            scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
            operation: "RunTask".into(),
            token: "t".into(),
            request_digest: digest.into(),
            resource_ids: vec!["a".into()],
            created_at_ms,
        });
        assert_eq!(judge(known.as_ref(), digest, &Now::steady_at(now_ms)), expected);
    }

    #[test]
    fn a_token_holds_for_a_day() {
        check(None, "x", 0, Verdict::New);
        check(
            Some(("x", 0)),
            "x",
            IDEMPOTENCY_TOKEN_LIFE_MS - 1,
            Verdict::Repeated(vec!["a".into()]),
        );
        check(Some(("x", 0)), "y", 5, Verdict::Conflict(vec!["a".into()]));
        check(Some(("x", 0)), "y", IDEMPOTENCY_TOKEN_LIFE_MS, Verdict::New);
    }
}
