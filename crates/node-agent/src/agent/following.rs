//! The agent's talk with its control plane: it registers, follows its assignment and keeps its certificate.

use std::sync::Arc;
use std::time::Duration;

use outport_node_protocol::{KnownGenerations, ProtocolVersions, Registered, Registration};
use tokio::sync::watch;

use super::tasks::NotNext;
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
        regions: settings.regions.clone(),
        attributes: settings.attributes.clone(),
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
                tracing::warn!(
                    event = "node_join_retried",
                    %error,
                    "cannot join the control plane yet; trying again"
                );
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
        let known = KnownGenerations { tasks: shared.tasks.generation() };
        let news = shared.control_plane.assignment(known, &registration.boot_id).await;
        match news.map(|news| news.and_then(|news| news.tasks)) {
            Ok(Some(tasks)) => match shared.tasks.follow(Arc::unwrap_or_clone(tasks)) {
                Ok(()) => retry = RETRY_FIRST,
                Err(NotNext { known, offered, since }) => {
                    tracing::error!(
                        event = "assignment_older",
                        known,
                        offered,
                        since,
                        "an assignment that does not come after the one that is followed is refused"
                    );
                    tokio::time::sleep(RETRY_MAX).await;
                }
            },
            Ok(None) => retry = RETRY_FIRST,
            Err(error) if error.is_final() => {
                dismiss.send_replace(Some(error.to_string()));
                return;
            }
            Err(error) => {
                tracing::warn!(
                    event = "assignment_not_fetched",
                    %error,
                    "cannot ask the control plane for the assignment; the tasks run on"
                );
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                // The control plane may have lost its memory of this node, or be another one now.
                register_again(&shared.control_plane, &registration).await;
            }
        }
    }
}

/// Once; who calls comes again.
pub(crate) async fn register_again(control_plane: &ControlPlane, registration: &Registration) {
    match control_plane.register(registration).await {
        Ok(_) => tracing::info!(
            event = "node_registered_again",
            "the control plane knows this node again; its tasks run on"
        ),
        Err(error @ (LinkError::Status { .. } | LinkError::Refused { .. })) => tracing::warn!(
            event = "node_not_registered_again",
            %error,
            "cannot register with the control plane again yet; the tasks run on"
        ),
        // No answer of the control plane: the call before this had none either, and that is said.
        Err(error) => tracing::debug!(%error, "not registered again yet"),
    }
}

/// Failures are tried again long before the certificate runs out; should it, the node joins again.
pub(super) async fn keep_certificate(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        if let Err(error) = shared.control_plane.keep_certificate().await {
            tracing::warn!(
                event = "certificate_renewal_retried",
                %error,
                "cannot get the next certificate of this node yet; trying again"
            );
        }
    }
}
