//! How a node gets its certificate, and why a call is refused.

use outport_model::NodeId;
use serde::{Deserialize, Serialize};

/// A machine that has the join token asks for its first certificate, or for one after the last has run
/// out. The only call without a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    pub node: NodeId,
    /// PKCS #10 in PEM, signed by the node's key.
    pub certificate_request: String,
    /// Made with the join token over the node's id and the certificate request.
    pub proof: String,
}

/// A node that has a certificate asks for the next one, for a key that may be new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    pub node: NodeId,
    /// As in [`JoinRequest`].
    pub certificate_request: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// PEM: the node's certificate, then the authority's.
    pub certificate_chain: String,
}

/// The body of every answer with status 401 or 403, and of 422 where it has a code here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: RefusalCode,
    /// For the node's log: what happened and what to do.
    #[serde(default)]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The call came without a certificate, or not over TLS.
    NoCertificate,
    /// Or not good yet: one of the two clocks is wrong, or the node was away for too long. Joining again helps.
    CertificateOutOfTime,
    /// The control plane does not know the node or its key, as after a restore from a backup. Joining again helps.
    UnknownNode,
    /// The node was deregistered.
    Revoked,
    /// The message is of another node.
    OtherNode,
    /// The proof was not made with this installation's join token.
    WrongToken,
    /// Another key is registered under the node's id.
    OtherKey,
    /// Of `logs`, with status 422: this batch will never be taken, whatever becomes of its log group. The node goes on
    /// without it. Any other 422 is of the log group, and worth another try.
    UnacceptableLogs,
    /// The two speak no version of this protocol in common. The node keeps its tasks and tries again.
    NoCommonVersion,
    /// Of a newer control plane.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_version_is_read() {
        let read = |text: &str| serde_json::from_str::<RefusalCode>(text).unwrap();
        assert_eq!(read("\"revoked\""), RefusalCode::Revoked);
        assert_eq!(read("\"certificate-out-of-time\""), RefusalCode::CertificateOutOfTime);
        assert_eq!(read("\"unacceptable-logs\""), RefusalCode::UnacceptableLogs);
        assert_eq!(read("\"no-common-version\""), RefusalCode::NoCommonVersion);
        assert_eq!(read("\"of-tomorrow\""), RefusalCode::Unknown);
    }
}
