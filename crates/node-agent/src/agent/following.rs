//! The agent's talk with its control plane: it registers, follows its assignment and keeps its certificate.
//!
//! **Invariant:** an assignment older than the one that is followed is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outport_node_protocol::{ProtocolVersions, Registered, Registration};
use tokio::sync::watch;

use super::{AgentSettings, Shared};
use crate::control_plane::ControlPlane;
use crate::host;
use crate::link_error::LinkError;

/// First wait after a call that failed; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often a node looks whether its certificate is due.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);

pub(super) fn registration(
    settings: &AgentSettings,
    control_plane: &ControlPlane,
    boot_id: &str,
) -> Registration {
    Registration {
        node: control_plane.node().clone(),
        host_name: host::host_name(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: boot_id.to_owned(),
        architecture: host::architecture(),
        capacity: settings.capacity.clone(),
        cluster: settings.cluster.clone(),
        ask_only: false,
        allows_privileged: settings.allow_privileged,
        protocol: ProtocolVersions::SPOKEN,
    }
}

pub(super) async fn register(
    control_plane: &ControlPlane,
    registration: &Registration,
) -> Result<Registered, LinkError> {
    let mut retry = RETRY_FIRST;
    loop {
        match control_plane.register(registration).await {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "cannot join yet; trying again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
            answer => return answer,
        }
    }
}

pub(super) async fn follow_assignments(
    shared: Arc<Shared>,
    registration: Registration,
    dismiss: watch::Sender<Option<String>>,
) {
    let mut retry = RETRY_FIRST;
    loop {
        let known = shared.generation.load(Ordering::Acquire);
        match shared.control_plane.assignment(known).await {
            Ok(Some(assignment)) if assignment.generation > known => {
                retry = RETRY_FIRST;
                shared.follow(assignment);
            }
            Ok(Some(older)) => {
                tracing::error!(
                    known,
                    offered = older.generation,
                    "an older assignment is refused"
                );
                tokio::time::sleep(RETRY_MAX).await;
            }
            Ok(None) => retry = RETRY_FIRST,
            Err(error) if error.is_final() => {
                dismiss.send_replace(Some(error.to_string()));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "no assignment; the tasks run on");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                // The control plane may have lost its memory of this node, or be another one now.
                if let Err(error) = shared.control_plane.register(&registration).await {
                    tracing::debug!(%error, "not registered again yet");
                }
            }
        }
    }
}

/// Failures are tried again long before the certificate runs out; should it, the node joins again.
pub(super) async fn keep_certificate(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        if let Err(error) = shared.control_plane.keep_certificate().await {
            tracing::warn!(%error, "this node has no next certificate yet; trying again");
        }
    }
}
