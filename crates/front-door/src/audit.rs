//! What is told of each call once it has ended, for a trail of who did what.
//!
//! **Invariant**: only calls whose sender is proven, by a signature or by a token that the operation looked at, are told of, so
//! that no stranger can fill a trail; each of them once, whether
//! the client still waits or not; and nothing that the models call sensitive.

use std::sync::Arc;

use outport_aws_wire::{OperationModel, Protocol, Record, ServiceModel, WireError};
use outport_identity::{Answered, Call, Principal};

use crate::Clock;

/// A call of an operation that the model has, and how it ended.
#[derive(Debug)]
pub struct EndedCall {
    pub call: Call,
    /// Short name of the service, as in actions: `ecs`.
    pub service: &'static str,
    pub operation: &'static str,
    pub is_read_only: bool,
    /// Unix milliseconds.
    pub ended_at_ms: i64,
    /// The input as JSON, without what is sensitive; `None` when it could not be read.
    pub parameters: Option<String>,
    /// The output of what changes something, in the same form.
    pub response: Option<String>,
    /// Code and message as the caller reads them.
    pub error: Option<(String, String)>,
    /// What was asked of permissions.
    pub answers: Vec<Answered>,
}

/// Keeps what it is told. It is told on the way of each answer: it must not wait.
pub trait AuditSink: Send + Sync {
    fn record(&self, ended: EndedCall);
}

/// One call, for as long as it is under way.
pub(crate) struct Audited {
    pub sink: Arc<dyn AuditSink>,
    pub clock: Clock,
    pub service: &'static ServiceModel,
    pub operation: &'static OperationModel,
    pub protocol: Protocol,
}

impl Audited {
    /// Whether an answer is to be recorded, too.
    pub fn keeps_output(&self) -> bool {
        keeps_output(self.operation.name)
    }

    pub fn end(self, mut call: Call, record: Record, error: Option<&WireError>) {
        if let Some(shown) = call.take_identified() {
            call.account = shown.account().clone();
            call.principal = shown;
        }
        if matches!(call.principal, Principal::Anonymous { .. }) {
            return;
        }
        let (parameters, response) = record.into_texts();
        self.sink.record(EndedCall {
            service: self.service.name,
            operation: self.operation.name,
            is_read_only: is_read_only(self.operation.name),
            ended_at_ms: (self.clock)(),
            parameters,
            response,
            error: error
                .map(|error| (error.code_in(self.protocol).to_owned(), error.message.clone())),
            answers: call.take_answers(),
            call,
        });
    }
}

/// Operations that AWS's trail keeps only for who pays for them, being many and about data: so does this one not.
///
/// Source: CloudWatch Logs user guide, "Logging API and console operations in AWS CloudTrail", which has PutLogEvents in no list
/// of what is logged.
const DATA_EVENTS: [(&str, &str); 1] = [("logs", "PutLogEvents")];

pub(crate) fn is_kept(service: &str, operation: &str) -> bool {
    !DATA_EVENTS.contains(&(service, operation))
}

/// Beginnings of the names of operations that change nothing.
const READING: [&str; 14] = [
    "BatchCheck",
    "BatchGet",
    "Decode",
    "Describe",
    "Discover",
    "Filter",
    "Generate",
    "Get",
    "List",
    "Lookup",
    "Search",
    "Simulate",
    "Test",
    "Validate",
];
/// Operations that make sessions: AWS's records of them say `"readOnly": true`, and have a response.
const MAKES_SESSION: [&str; 5] = [
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "GetFederationToken",
    "GetSessionToken",
];

/// Operations of KMS that use a key and change nothing. Source: KMS developer guide, "Logging AWS KMS API calls with AWS CloudTrail":
/// its examples have `"readOnly": true` and no response.
const USES_KEY: [&str; 6] = ["Decrypt", "Encrypt", "ReEncrypt", "Sign", "Verify", "VerifyMac"];

/// CloudTrail's `readOnly`, which no model says: by the verb of the name.
fn is_read_only(operation: &str) -> bool {
    MAKES_SESSION.contains(&operation)
        || USES_KEY.contains(&operation)
        || READING.iter().any(|verb| operation.starts_with(verb))
}

/// Source: CloudTrail user guide, "CloudTrail record contents", `responseElements`: "for actions that make changes"; "STS" has
/// them as well.
fn keeps_output(operation: &str) -> bool {
    MAKES_SESSION.contains(&operation) || !is_read_only(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_is_told_by_the_verb() {
        let check = |operation: &str, reads: bool, keeps: bool| {
            assert_eq!((is_read_only(operation), keeps_output(operation)), (reads, keeps));
        };
        check("DescribeTasks", true, false);
        check("BatchGetImage", true, false);
        check("BatchDeleteImage", false, true);
        check("RunTask", false, true);
        check("AssumeRole", true, true);
        check("GetSecretValue", true, false);
        check("GetAuthorizationToken", true, false);
        check("Decrypt", true, false);
    }
}
