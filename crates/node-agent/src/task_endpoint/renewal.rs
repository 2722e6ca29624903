//! Credentials of one task, asked for again and again for as long as it runs.

use std::sync::Arc;
use std::time::Duration;

use outport_model::TaskId;
use outport_node_protocol::CredentialRequest;

use super::TaskEndpoint;
use super::file::Held;
use crate::control_plane::read_clocks;

/// How often it is looked whether credentials are due: a machine that sleeps does not count the time.
const LOOK: Duration = Duration::from_secs(60);
/// First wait after a failure; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

pub async fn keep(endpoint: Arc<TaskEndpoint>, task: TaskId) {
    let request = CredentialRequest::new(endpoint.control_plane.node().clone(), task);
    let mut retry = RETRY_FIRST;
    loop {
        if !endpoint.is_due(&request.task) {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let asked_steady_ms = read_clocks().steady_ms;
        match endpoint.control_plane.task_credentials(&request).await {
            Ok(credentials) => {
                endpoint.hold(&request.task, Held { credentials, asked_steady_ms });
                retry = RETRY_FIRST;
                // Whatever the control plane says of their life.
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                endpoint.lack(&request.task, error.to_string());
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

impl TaskEndpoint {
    fn is_due(&self, task: &TaskId) -> bool {
        let known = self.known();
        let held = known.get(task).and_then(|entry| entry.file.held.as_ref());
        held.is_none_or(|held| held.renew_at_ms() <= read_clocks().steady_ms)
    }

    fn hold(&self, task: &TaskId, held: Held) {
        let mut known = self.known();
        let Some(entry) = known.get_mut(task) else { return };
        entry.file.held = Some(held);
        self.files.write(&entry.file);
        if entry.trouble.take().is_some() {
            tracing::info!(
                event = "task_credentials_fetched",
                %task,
                "a task that had to wait has credentials of its task role now"
            );
        }
        entry.asked.send_replace(true);
    }

    /// Each reason is said once.
    fn lack(&self, task: &TaskId, reason: String) {
        let mut known = self.known();
        let Some(entry) = known.get_mut(task) else { return };
        if entry.trouble.as_ref() != Some(&reason) {
            tracing::warn!(
                event = "task_credentials_not_fetched",
                %task,
                reason,
                "cannot get the credentials of a task's role yet: it goes on with those that it has, if any"
            );
        }
        entry.trouble = Some(reason);
        entry.asked.send_replace(true);
    }
}
