//! Why a call of a node is refused.

use outport_model::NodeId;
use outport_node_protocol::{ProtocolVersions, RefusalCode};
use outport_store::Fault;

use super::SinkError;

/// Why a call of a node is refused. `Display` is for the node's log.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the body is not a message of this call: {0}")]
    Malformed(String),
    /// Who calls is not who may.
    #[error("{message}")]
    Disbelieved { code: RefusalCode, message: String },
    /// The node speaks no version of the protocol that this control plane does.
    #[error(
        "this control plane (outport {}) speaks {} of the node protocol, the node ({node}) {theirs}: bring one of \
         them to a version of outport that the other one knows; the node's tasks run on meanwhile",
        env!("CARGO_PKG_VERSION"), ProtocolVersions::SPOKEN
    )]
    NoCommonVersion { node: String, theirs: ProtocolVersions },
    #[error("node {0} has to register first")]
    NotRegistered(NodeId),
    /// It acts on what another boot of it is to run, or reports what another boot of it ran. It registers again, or waits
    /// for the other one to fall silent.
    #[error(
        "node {0} runs as another boot than the one that registered last: it has to register again. If two machines use \
         this id, one is a copy of the other: give it a data directory of its own"
    )]
    OtherBoot(NodeId),
    #[error("there is no active cluster {0}; create it first")]
    ClusterNotFound(String),
    #[error("the task or the container does not exist on node {0}")]
    UnknownTask(NodeId),
    #[error("{0}")]
    Refused(String),
    /// Logs that are never taken.
    #[error("{0}")]
    Unacceptable(String),
    #[error("{0}")]
    Unavailable(String),
}

impl LinkError {
    pub(super) const NO_COMMON_VERSION: &'static str = "no-common-version";

    /// Of few, whatever the caller sent; for the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Disbelieved { code, .. } => match code {
                RefusalCode::NoCertificate => "no-certificate",
                RefusalCode::CertificateOutOfTime => "certificate-out-of-time",
                RefusalCode::UnknownNode => "unknown-node",
                RefusalCode::Revoked => "revoked",
                RefusalCode::OtherNode => "other-node",
                RefusalCode::WrongToken => "wrong-token",
                RefusalCode::OtherKey => "other-key",
                RefusalCode::UnacceptableLogs
                | RefusalCode::NoCommonVersion
                | RefusalCode::Unknown => "disbelieved",
            },
            Self::NoCommonVersion { .. } => Self::NO_COMMON_VERSION,
            Self::NotRegistered(_) => "not-registered",
            Self::OtherBoot(_) => "other-boot",
            Self::ClusterNotFound(_) => "no-cluster",
            Self::UnknownTask(_) => "unknown-task",
            Self::Refused(_) => "refused",
            Self::Unacceptable(_) => "unacceptable-logs",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<Fault> for LinkError {
    fn from(fault: Fault) -> Self {
        tracing::error!(
            event = "node_link_write_failed",
            detail = fault.detail,
            "what a node said cannot be written"
        );
        Self::Unavailable(fault.to_string())
    }
}

impl From<SinkError> for LinkError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Refused(text) => Self::Refused(text),
            SinkError::Unacceptable(text) => Self::Unacceptable(text),
            SinkError::Fault(text) => {
                tracing::error!(
                    event = "node_link_call_failed",
                    detail = text,
                    "a call of a node failed by a fault of the control plane"
                );
                Self::Unavailable(text)
            }
        }
    }
}
