//! The logs of this node's containers: their streams before a start, their delivery until the last line.

use outport_container_runtime::{RuntimeError, ShimHandle};
use outport_node_protocol::{ContainerAssignment, TaskAssignment};
use tokio::sync::watch;
use tracing::Instrument;

use super::Machine;
use crate::link_error::LinkError;
use crate::log_damage::LogDamage;
use crate::log_shipper::LogShipper;
use crate::retry::retry_while;
use crate::task::StartError;

impl Machine {
    /// Begins to ship the log of a container, if it goes anywhere.
    pub(super) fn ship_log(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        shim: ShimHandle,
        stop_signal: i32,
    ) -> Result<(), RuntimeError> {
        let (shipped_sender, shipped) = watch::channel(container.log.is_none());
        let (name, checks) = (&container.definition.name, &container.definition.health_check);
        let ended =
            self.containers.add(&task.task, name, shim, stop_signal, checks.is_some(), shipped);
        if let Some(shipper) = self.shipper(task, container, ended)? {
            let ship = async move {
                shipper.run().await;
                shipped_sender.send_replace(true);
            };
            tokio::spawn(ship.in_current_span());
        }
        Ok(())
    }

    fn shipper(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        ended: watch::Receiver<bool>,
    ) -> Result<Option<LogShipper>, RuntimeError> {
        if container.log.is_none() {
            return Ok(None);
        }
        Ok(Some(LogShipper {
            control_plane: self.control_plane.clone(),
            wakeups: self.log_wakeups.clone(),
            task: task.task.clone(),
            container: container.definition.name.clone(),
            directory: self.runtime.log_dir(task.task.as_str(), &container.definition.name)?,
            ended,
            dropped: 0,
            damage: LogDamage::new(),
        }))
    }

    /// The streams must be there before a container writes: a group that does not exist fails the
    /// task, as it does at AWS.
    pub(super) async fn open_logs(&self, task: &TaskAssignment) -> Result<(), StartError> {
        let (_ended_sender, ended) = watch::channel(false);
        let opens = task.containers.iter().map(|container| {
            let ended = ended.clone();
            async move {
                let shipper = self
                    .shipper(task, container, ended)
                    .map_err(|error| StartError::new("ResourceInitializationError", error))?;
                match shipper {
                    Some(shipper) => retry_while(LinkError::is_passing, || shipper.open())
                        .await
                        .map(drop)
                        .map_err(|error| log_refused(&error)),
                    None => Ok(()),
                }
            }
        });
        futures_util::future::try_join_all(opens).await.map(drop)
    }

    /// What a container wrote before it ended unseen is still to be delivered.
    pub(super) fn finish_log(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), RuntimeError> {
        let (_sender, ended) = watch::channel(true);
        let (shipped_sender, shipped) = watch::channel(container.log.is_none());
        self.containers.add_ended(&task.task, &container.definition.name, shipped);
        if let Some(shipper) = self.shipper(task, container, ended)? {
            let ship = async move {
                shipper.run().await;
                shipped_sender.send_replace(true);
            };
            tokio::spawn(ship.in_current_span());
        }
        Ok(())
    }
}

/// Source: the text that ECS shows when the awslogs driver cannot make its stream.
fn log_refused(error: &LinkError) -> StartError {
    let detail = error.told();
    StartError::new(
        "ResourceInitializationError",
        format!(
            "failed to validate logger args: create stream has been retried 1 times: failed to \
             create Cloudwatch log stream: {detail} : exit status 1"
        ),
    )
}
