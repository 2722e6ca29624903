//! Who stands where the simulation has nobody: no logs, no registry, no certificates; its nodes are believed as they are.

use async_trait::async_trait;
use outport_controllers::node_link::{
    CredentialSource, LogSink, NodeAuthority, NotIssued, SinkError,
};
use outport_model::NodeId;
use outport_model::node_identity::KeyFingerprint;
use outport_model::task::Task;
use outport_node_protocol::{
    IssuedCertificate, JoinRequest, LogBatch, LogCursor, LogDestination, RegistryCredential,
};

/// Takes every log line, gives no password, and issues no certificate.
pub struct Nobody;

#[async_trait]
impl LogSink for Nobody {
    async fn append(
        &self,
        _task: &Task,
        _execution_role: Option<&str>,
        _destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError> {
        Ok(LogCursor { committed: batch.to_cursor })
    }
}

#[async_trait]
impl CredentialSource for Nobody {
    async fn issue(
        &self,
        _task: &Task,
        _execution_role: Option<&str>,
        _registry: Option<&outport_model::Scope>,
    ) -> Result<RegistryCredential, SinkError> {
        Err(SinkError::Refused("there is no registry".into()))
    }
}

impl NodeAuthority for Nobody {
    fn admit(&self, _request: &JoinRequest) -> Result<KeyFingerprint, NotIssued> {
        Err(NotIssued::WrongToken)
    }

    fn key(&self, _certificate_request: &str) -> Result<KeyFingerprint, NotIssued> {
        Err(NotIssued::WrongToken)
    }

    fn issue(
        &self,
        _node: &NodeId,
        _certificate_request: &str,
    ) -> Result<IssuedCertificate, NotIssued> {
        Err(NotIssued::WrongToken)
    }
}
