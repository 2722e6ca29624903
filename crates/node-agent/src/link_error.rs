//! Why a call of the node link brought no answer, and what may help.
//!
//! **Invariant:** no failure of the link ends a task.

use std::path::{Path, PathBuf};

use http::StatusCode;
use outport_certificates::CertificateError;
use outport_node_protocol::{ProtocolVersions, RefusalCode};

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the address of the control plane is not valid: {0}")]
    Address(String),
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    /// Somebody else answers.
    #[error("the control plane is not believed: {0}")]
    Stranger(String),
    /// It breaks the handshake off for what this node shows.
    #[error(
        "the control plane does not take the certificate in {} ({alert}): restore that file from a backup, or remove all \
         lines from the first BEGIN CERTIFICATE on, and start the node again; no other try will help before that",
        file.display()
    )]
    OwnCertificate { file: PathBuf, alert: String },
    #[error("the control plane did not answer in time")]
    Timeout,
    #[error("the control plane does not let this node in: {message}")]
    Refused { code: RefusalCode, message: String },
    /// As the control plane has answered; it says itself when it knows none, by a refusal.
    #[error(
        "the control plane speaks version {theirs} of the node protocol, this node (outport {}) {}: bring one of them to \
         a version of outport that the other one knows; the tasks run on meanwhile",
        env!("CARGO_PKG_VERSION"), ProtocolVersions::SPOKEN
    )]
    NoCommonVersion { theirs: u32 },
    /// Of logs: these will never be taken, others may.
    #[error("the control plane does not take this: {0}")]
    Unacceptable(String),
    #[error("the control plane answered {status}: {message}")]
    Status { status: StatusCode, message: String },
    #[error("the control plane's answer cannot be read: {0}")]
    Malformed(String),
    #[error("this node's identity: {0}")]
    Identity(String),
}

impl LinkError {
    /// Whether another try may help without anybody doing something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout | Self::NoCommonVersion { .. } => true,
            // Until one of the two is another version; no task ends for that.
            Self::Refused { code: RefusalCode::NoCommonVersion, .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Address(_)
            | Self::Stranger(_)
            | Self::OwnCertificate { .. }
            | Self::Refused { .. }
            | Self::Unacceptable(_)
            | Self::Malformed(_)
            | Self::Identity(_) => false,
        }
    }

    /// For who reads why a task did not start: the control plane's words without the status that they came with.
    pub fn told(&self) -> String {
        match self {
            Self::Status { message, .. } if !message.is_empty() => message.clone(),
            other => other.to_string(),
        }
    }

    /// Whether the control plane will never take this node again.
    pub fn is_final(&self) -> bool {
        use RefusalCode::{OtherKey, Revoked};
        matches!(self, Self::Refused { code: Revoked | OtherKey, .. })
    }

    /// With the file that it is about, and whether another try helps.
    pub(crate) fn about(self, identity: &Path) -> Self {
        use RefusalCode::{OtherKey, OtherNode, Revoked, UnknownNode};
        match self {
            Self::Refused { code, message }
                if [OtherKey, OtherNode, Revoked, UnknownNode].contains(&code) =>
            {
                let is_final = [OtherKey, Revoked].contains(&code);
                let again = if is_final { "; no other try will help before that" } else { "" };
                let file = identity.display();
                let message = format!(
                    "{message}{again} (the key and certificate of this node are in {file})"
                );
                Self::Refused { code, message }
            }
            other => other,
        }
    }

    /// Whether the control plane does not know this node as it runs now, so that registering again may help.
    pub(crate) fn wants_registering(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::CONFLICT)
    }

    /// Whether the certificate is what is wrong, so that joining again may help.
    pub(crate) fn wants_joining(&self) -> bool {
        use RefusalCode::{CertificateOutOfTime, NoCertificate, UnknownNode};
        let codes = [CertificateOutOfTime, NoCertificate, UnknownNode];
        matches!(self, Self::Refused { code, .. } if codes.contains(code))
    }
}

impl From<CertificateError> for LinkError {
    fn from(error: CertificateError) -> Self {
        Self::Identity(error.to_string())
    }
}
