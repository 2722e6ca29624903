//! What the health checks of a task's containers say.
//!
//! **Invariant:** each change is on disk before it is told, and none ends a task: what comes of it is the control plane's to say.

use outport_model::task::HealthStatus;
use outport_node_protocol::ContainerHealth;
use tracing::Instrument;

use super::TaskRunner;
use crate::task::host::TaskHost;
use crate::task::life_log;

impl<H: TaskHost> TaskRunner<H> {
    /// Has each change of a container that runs sent to this runner.
    pub(super) fn follow_health(&self, index: usize) {
        let container = &self.container(index).definition.name;
        let Some(mut health) = self.host.health(&self.record.report.task, container) else {
            return;
        };
        let sender = self.health_sender.clone();
        let follow = async move {
            while health.changed().await.is_ok() {
                let newest = health.borrow_and_update().clone();
                if sender.send((index, newest)).await.is_err() {
                    return;
                }
            }
        };
        tokio::spawn(follow.in_current_span());
    }

    pub(super) fn note_health(&mut self, index: usize, health: ContainerHealth) {
        let known = &mut self.record.report.containers[index].health;
        let is_change = known.as_ref().map(|known| known.status) != Some(health.status);
        *known = Some(health.clone());
        if is_change {
            let name = &self.container(index).definition.name;
            life_log::health_changed(&self.record.report, name, &health);
        }
        self.publish();
    }

    /// Of each container; of one without checks it is unknown.
    pub(super) fn health_statuses(&self) -> Vec<HealthStatus> {
        let reports = self.record.report.containers.iter();
        reports
            .map(|report| report.health.as_ref().map(|one| one.status).unwrap_or_default())
            .collect()
    }
}
