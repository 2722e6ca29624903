//! Which nodes are believed, and their certificates.
//!
//! **Invariant:** a key is in the node's row, on disk, before a certificate for it leaves.

use std::convert::Infallible;
use std::sync::Arc;

use outport_model::node_identity::{KeyFingerprint, NodeIdentity};
use outport_model::{NodeId, TimestampMs};
use outport_node_protocol::{CertificateRequest, IssuedCertificate, JoinRequest, RefusalCode};
use outport_planner::node_admission::{self, Disbelief, ProvenNode};
use outport_store::Transaction;

use super::bounds::check_node_id;
use super::{LinkError, NodeLink};

/// Knows the join token, and signs for nodes.
pub trait NodeAuthority: Send + Sync + 'static {
    /// The key of a certificate request that its sender made, and made knowing the join token.
    fn admit(&self, request: &JoinRequest) -> Result<KeyFingerprint, NotIssued>;

    /// The key of a certificate request that its sender made.
    fn key(&self, certificate_request: &str) -> Result<KeyFingerprint, NotIssued>;

    /// A certificate for the key of such a request. Whether the node may have it was asked before.
    fn issue(
        &self,
        node: &NodeId,
        certificate_request: &str,
    ) -> Result<IssuedCertificate, NotIssued>;
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIssued {
    WrongToken,
    Malformed(String),
    Fault(String),
}

impl From<NotIssued> for LinkError {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::WrongToken => Self::Disbelieved {
                code: RefusalCode::WrongToken,
                message: "the node does not have this installation's join token: copy the file \
                          join-token from the server's data directory"
                    .to_owned(),
            },
            NotIssued::Malformed(reason) => Self::Malformed(reason),
            NotIssued::Fault(reason) => {
                tracing::error!(
                    event = "node_certificate_not_issued",
                    reason,
                    "cannot issue a certificate for a node"
                );
                Self::Unavailable(reason)
            }
        }
    }
}

impl NodeLink {
    /// Whether a connection may speak for its node now. To be asked at every call: a node may be
    /// deregistered, and its certificate run out, while it is connected.
    pub fn believe(&self, proven: &ProvenNode) -> Result<(), LinkError> {
        let (snapshot, now_ms) = (self.store.snapshot(), self.store.now_ms());
        let identity = snapshot.node_identities.get(&proven.node);
        node_admission::believe(identity.map(AsRef::as_ref), proven, now_ms)
            .map_err(|disbelief| refusal(&disbelief, &proven.node, Some(proven), now_ms))
    }

    /// Ends the key before the one that a believed call was proven with. A disk that does not take it is said, and no
    /// reason to turn the node away.
    pub(super) async fn settle(&self, proven: &ProvenNode) {
        let settled = |identity: Option<&Arc<NodeIdentity>>| {
            identity.and_then(|identity| node_admission::settle(identity, &proven.key))
        };
        if settled(self.store.snapshot().node_identities.get(&proven.node)).is_none() {
            return;
        }
        let written = self.store.write(|tx| {
            if let Some(settled) = settled(tx.node_identities.get(&proven.node)) {
                tx.put(settled);
            }
            Ok::<_, Infallible>(())
        });
        match written.await {
            Ok(()) => tracing::info!(
                event = "node_key_replaced",
                node = %proven.node,
                "the node uses its next key: its last key is refused from now on"
            ),
            Err(error) => {
                tracing::error!(
                    event = "node_key_not_replaced",
                    node = %proven.node,
                    ?error,
                    "cannot write that the node uses its next key: its last key stays good"
                );
            }
        }
    }

    /// The first certificate of a machine that has the join token, or one after its last has run out.
    pub async fn join(&self, request: &JoinRequest) -> Result<IssuedCertificate, LinkError> {
        check_node_id(&request.node)?;
        let key = self.authority.admit(request)?;
        let nodes_max = self.config.nodes_max;
        let joined = self.store.write(|tx| put_joined(tx, &request.node, &key, nodes_max)).await;
        joined.map_err(|error| error.flatten(LinkError::from))?;
        Ok(self.authority.issue(&request.node, &request.certificate_request)?)
    }

    /// The next certificate of a node that has proven its last one.
    pub async fn renew(
        &self,
        proven: &ProvenNode,
        request: &CertificateRequest,
    ) -> Result<IssuedCertificate, LinkError> {
        let key = self.authority.key(&request.certificate_request)?;
        let renewed = self.store.write(|tx| {
            let identity = tx.node_identities.get(&proven.node).cloned();
            let now_ms = tx.now_ms();
            node_admission::believe(identity.as_deref(), proven, now_ms)
                .map_err(|disbelief| refusal(&disbelief, &proven.node, Some(proven), now_ms))?;
            if let Some(identity) = identity {
                tx.put(node_admission::renew(&identity, &proven.key, &key));
            }
            Ok::<_, LinkError>(())
        });
        renewed.await.map_err(|error| error.flatten(LinkError::from))?;
        Ok(self.authority.issue(&proven.node, &request.certificate_request)?)
    }
}

/// In the transaction that writes what a node says: it may have been deregistered since it was believed.
pub(super) fn check_not_revoked(tx: &Transaction<'_>, node: &NodeId) -> Result<(), LinkError> {
    let identity = tx.node_identities.get(node);
    match identity.is_some_and(|identity| identity.revoked_at_ms.is_some()) {
        true => Err(refusal(&Disbelief::Revoked, node, None, tx.now_ms())),
        false => Ok(()),
    }
}

fn put_joined(
    tx: &mut Transaction<'_>,
    node: &NodeId,
    key: &KeyFingerprint,
    nodes_max: usize,
) -> Result<(), LinkError> {
    let known = tx.node_identities.get(node).cloned();
    if known.is_none() && tx.node_identities.len() >= nodes_max {
        return Err(LinkError::Refused(format!("there are {nodes_max} nodes already")));
    }
    let now_ms = tx.now_ms();
    let joined: NodeIdentity = node_admission::join(known.as_deref(), node, key, now_ms)
        .map_err(|disbelief| refusal(&disbelief, node, None, now_ms))?;
    if known.as_deref() != Some(&joined) {
        tx.put(joined);
    }
    Ok(())
}

/// In words that say what to do.
fn refusal(
    disbelief: &Disbelief,
    node: &NodeId,
    proven: Option<&ProvenNode>,
    now_ms: TimestampMs,
) -> LinkError {
    let (code, message) = match disbelief {
        Disbelief::OutOfTime => (
            RefusalCode::CertificateOutOfTime,
            format!("the certificate of node {node} {}", out_of_time(proven, now_ms)),
        ),
        Disbelief::Unknown => (
            RefusalCode::UnknownNode,
            format!("node {node} is not known here by this key: it has to join again"),
        ),
        Disbelief::Revoked => (
            RefusalCode::Revoked,
            format!(
                "node {node} was deregistered: what it proves is not believed any more. To let this machine join \
                 anew, start it again: `outport up` as it is, `outport node` after the file identity.pem in the \
                 directory node of its data directory was removed"
            ),
        ),
        Disbelief::OtherKey => (
            RefusalCode::OtherKey,
            format!(
                "node {node} is registered with another key, and only that key may speak for it. If this is \
                 that machine and it lost its key, deregister its container instance (aws ecs \
                 deregister-container-instance --force) and start it again; if its data directory is a copy of \
                 another machine's, give it one of its own"
            ),
        ),
    };
    LinkError::Disbelieved { code, message }
}

fn out_of_time(proven: Option<&ProvenNode>, now_ms: TimestampMs) -> String {
    let Some(proven) = proven else { return "is not good now".to_owned() };
    let seconds = |ms: TimestampMs| ms.max(0) / 1000;
    if now_ms > proven.not_after_ms {
        format!(
            "ran out {} s ago by the control plane's clock: set the clocks, or let it join again",
            seconds(now_ms - proven.not_after_ms)
        )
    } else {
        format!(
            "is good only {} s from now by the control plane's clock: set the clocks",
            seconds(proven.not_before_ms - now_ms)
        )
    }
}
