//! The secrets of tasks on their way into containers.
//!
//! They are asked for while the task's network is made, and let go of once its containers have them. A container that is made
//! by the next agent has them of another call.
//!
//! **Invariant:** they are in memory, and in what the runtime is told of a container, which is on a memory file system and root's
//! alone; in no record of the task, no log and no reason.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_image_store::Credentials;
use outport_model::TaskId;
use outport_node_protocol::{
    ContainerAssignment, ContainerSecrets, CredentialRequest, TaskAssignment, TaskSecrets,
};
use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;
use crate::link_error::LinkError;
use crate::retry::retry_while;
use crate::task::StartError;

/// Those of tasks that are being launched.
pub struct Secrets {
    control_plane: Arc<ControlPlane>,
    known: Mutex<HashMap<TaskId, Arc<OnceCell<TaskSecrets>>>>,
}

impl Secrets {
    pub fn new(control_plane: Arc<ControlPlane>) -> Self {
        Self { control_plane, known: Mutex::default() }
    }

    /// Gets those of a task, if it has any. Who asks while somebody gets them waits for those.
    ///
    /// # Errors
    /// `ResourceInitializationError`, with the control plane's reason.
    pub async fn fetch(&self, task: &TaskAssignment) -> Result<(), StartError> {
        self.of_task(task).await.map(drop)
    }

    /// What a container's environment gets beside that of its definition.
    ///
    /// # Errors
    /// As [`Secrets::fetch`].
    pub async fn environment(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<Vec<(String, String)>, StartError> {
        if container.definition.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let secrets = self.of_container(task, container).await?;
        // One that is not among them was not understood by the control plane: nothing starts without it.
        let got = |name: &str| secrets.environment.iter().any(|(known, _)| known == name);
        match container.definition.secrets.iter().find(|secret| !got(&secret.name)) {
            Some(secret) => Err(refused(format!("no value came for {}", secret.name))),
            None => Ok(secrets.environment),
        }
    }

    /// Who pulls the image of a container from a private registry; `None`: nobody in particular.
    ///
    /// # Errors
    /// As [`Secrets::fetch`].
    pub async fn registry(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<Option<Credentials>, StartError> {
        if container.definition.repository_credentials.is_none() {
            return Ok(None);
        }
        let user = self.of_container(task, container).await?.registry;
        let user = user.ok_or_else(|| refused("no credentials came for the registry"))?;
        Ok(Some(Credentials { username: user.user, password: user.password }))
    }

    /// All its containers have them, or it is over.
    pub fn forget(&self, task: &TaskId) {
        self.known().remove(task);
    }

    async fn of_container(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<ContainerSecrets, StartError> {
        let name = &container.definition.name;
        let cell = self.of_task(task).await?;
        let found = cell.get().and_then(|secrets| {
            secrets.containers.iter().find(|secrets| secrets.container == *name).cloned()
        });
        found.ok_or_else(|| refused(format!("nothing came for container {name}")))
    }

    async fn of_task(
        &self,
        task: &TaskAssignment,
    ) -> Result<Arc<OnceCell<TaskSecrets>>, StartError> {
        if !task.needs_secrets() {
            return Ok(Arc::default());
        }
        let cell = Arc::clone(self.known().entry(task.task.clone()).or_default());
        let request = CredentialRequest::new(self.control_plane.node().clone(), task.task.clone());
        let ask = || async {
            let asked =
                retry_while(LinkError::is_passing, || self.control_plane.task_secrets(&request));
            asked.await.map_err(|error| refused(error.told()))
        };
        cell.get_or_try_init(ask).await?;
        Ok(cell)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<OnceCell<TaskSecrets>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Source: the text of tasks on AWS that do not get their secrets.
pub fn refused(detail: impl std::fmt::Display) -> StartError {
    let detail = format!("unable to pull secrets or registry auth: {detail}");
    StartError::new("ResourceInitializationError", detail)
}
