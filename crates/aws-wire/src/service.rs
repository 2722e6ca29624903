//! What the front door must know of a service in order to route to it.

use crate::error::WireError;
use crate::violation::Violation;

/// The protocols of this crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Json10,
    Json11,
    Query,
    Ec2,
    /// Smithy RPC v2 CBOR.
    Cbor,
}

impl Protocol {
    /// awsJson of either version.
    pub const fn is_json(self) -> bool {
        matches!(self, Protocol::Json10 | Protocol::Json11)
    }

    /// The protocols whose requests are forms and whose answers are XML.
    pub const fn is_form(self) -> bool {
        matches!(self, Protocol::Query | Protocol::Ec2)
    }
}

/// A service: generated, one `static` per model crate.
pub struct ServiceModel {
    /// Short name used in this code base and in IAM actions: `ecs`, `ecr`, `logs`, `sts`, `ec2`, `iam`.
    pub name: &'static str,
    /// Service id of the model, such as `CloudWatch Logs`.
    pub service_id: &'static str,
    /// Full name of the model, such as `Amazon EC2 Container Service`.
    pub full_name: &'static str,
    /// Service part of a SigV4 credential scope.
    pub signing_name: &'static str,
    /// Part of `X-Amz-Target` before the dot; empty for services without a JSON protocol.
    pub target_prefix: &'static str,
    /// `Version` of query and ec2 requests.
    pub api_version: &'static str,
    /// Namespace of XML answers; empty for services without an XML protocol.
    pub xml_namespace: &'static str,
    /// Smithy namespace of full shape ids, such as `com.amazonaws.ecs`.
    pub namespace: &'static str,
    /// Protocols that are answered. JSON services accept both versions of awsJson.
    pub protocols: &'static [Protocol],
    /// Errors carry their query code in `x-amzn-query-error`.
    pub is_query_compatible: bool,
    /// Every operation of the model, by name in ascending order.
    pub operations: &'static [OperationModel],
    /// Words violations of constraints as this service does.
    pub refuse_input: fn(operation: &str, violations: &[Violation]) -> WireError,
}

/// One operation of a service.
#[derive(Clone, Copy, Debug)]
pub struct OperationModel {
    pub name: &'static str,
    /// Whether the handler trait has a method for it.
    pub is_implemented: bool,
    /// Element that wraps the output in query answers; empty when there is none.
    pub result_wrapper: &'static str,
    /// The operation is called without a signature.
    pub is_anonymous: bool,
}

impl ServiceModel {
    /// The operation called `name` (exact case), implemented or not.
    pub fn operation(&self, name: &str) -> Option<&'static OperationModel> {
        let index = self.operations.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
        self.operations.get(index)
    }

    /// The error for an operation without a handler: not built yet, or not of this service at all.
    pub fn refuse_operation(&self, name: &str) -> WireError {
        match self.operation(name) {
            Some(known) => WireError::not_implemented(self.name, known.name),
            None => WireError::unknown_operation(name, self.api_version),
        }
    }

    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols
            .iter()
            .any(|known| *known == protocol || known.is_json() && protocol.is_json())
    }
}
