//! Images for the tasks of this node: which registry, as whom, and what is kept.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outport_image_store::{
    Credentials, Digest, Image, ImageReference, ImageStore, LayerHold, PullError, RegistryEndpoint,
    RegistryError, SweepPolicy,
};
use outport_model::clock::StepWatch;
use outport_model::own_registry::OwnRegistry;
use outport_model::{Scope, TaskId};
use outport_node_protocol::{
    ContainerAssignment, CredentialRequest, Registered, RegistryCredential, TaskAssignment,
};

use super::secrets::refused;
use crate::control_plane::{ControlPlane, read_clocks};
use crate::link_error::LinkError;
use crate::retry::retry_while;
use crate::task::StartError;

/// Images that no task used for this long go; the ECS agent keeps them an hour at least.
const UNUSED_IMAGE_KEEP: Duration = Duration::from_secs(24 * 3600);
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// A password is asked for again after this, which is sooner than it runs out by the control plane's clock: that of this
/// node may say anything.
const PASSWORD_AGE_MAX_MS: i64 = 10 * 60 * 1000;
/// A password that was refused at this age or later may be good no more; a younger one never was.
const PASSWORD_AGE_REFUSED_MS: i64 = 60 * 1000;
/// Passwords that are kept; those that are too old go first.
const PASSWORDS_MAX: usize = 1000;
/// How often a pull that outlives its password goes on with the next one.
const PASSWORDS_PER_PULL_MAX: usize = 100;

/// Pulls for tasks, and holds what they use.
pub struct Images {
    store: ImageStore,
    control_plane: Arc<ControlPlane>,
    own: OwnRegistry,
    /// Image of each container, so that no sweep takes its layers.
    held: Mutex<HashMap<(TaskId, String), Image>>,
    /// Layers that containers have been made of whose image is not known here.
    held_layers: Mutex<HashMap<TaskId, LayerHold>>,
    /// The last password by account, region and repository: a password is good for the repositories of one
    /// task, which others of the node may need, too.
    passwords: Mutex<HashMap<(Scope, String), Password>>,
    /// So that a step of the wall clock makes no image look unused.
    steps: Mutex<StepWatch>,
}

#[derive(Clone)]
struct Password {
    credential: RegistryCredential,
    /// When it was asked for, on the clock that never steps.
    asked_ms: i64,
}

impl Password {
    fn age_ms(&self) -> i64 {
        read_clocks().steady_ms - self.asked_ms
    }
}

impl Images {
    pub fn new(
        store: ImageStore,
        control_plane: Arc<ControlPlane>,
        registered: Registered,
    ) -> Self {
        let (held, held_layers, passwords) = Default::default();
        let steps = Mutex::new(StepWatch::new(read_clocks()));
        let own = OwnRegistry { host: registered.registry_host, names: registered.registry_names };
        Self { store, control_plane, own, held, held_layers, passwords, steps }
    }

    /// Makes the image of a container available and holds it until `release`. `registry`: who pulls from a registry that is
    /// not our own.
    pub async fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        registry: Option<Credentials>,
    ) -> Result<Image, StartError> {
        let failed =
            |detail: &dyn std::fmt::Display| StartError::new("CannotPullContainerError", detail);
        let reference = self.reference(container).map_err(|error| failed(&error))?;
        let image = match self.own_registry(task, container, &reference) {
            Some(scope) => self.pull_own(task, &scope, &reference).await?,
            None => {
                let endpoint = RegistryEndpoint::of(&reference, registry);
                let pulled = self.store.pull(&reference, &endpoint).await;
                pulled.map_err(|error| StartError { reason: error.reason() })?
            }
        };
        self.lock().insert((task.task.clone(), container.definition.name.clone()), image.clone());
        Ok(image)
    }

    pub fn held(&self, task: &TaskId, container: &str) -> Option<Image> {
        self.lock().get(&(task.clone(), container.to_owned())).cloned()
    }

    /// The image of a container that an earlier agent started.
    pub fn hold(&self, task: &TaskId, container: &str, digest: &str) -> Option<Image> {
        let image = digest.parse::<Digest>().ok().and_then(|digest| self.store.image(digest))?;
        self.lock().insert((task.clone(), container.to_owned()), image.clone());
        Some(image)
    }

    /// Holds the layers that a task's containers were made of, without knowing of what images they are; `None`: all that
    /// there are.
    pub fn hold_layers(&self, task: &TaskId, layers: Option<&[PathBuf]>) {
        let hold = self.store.hold_layers(layers);
        self.held_layers.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone(), hold);
    }

    pub fn release(&self, task: &TaskId, container: &str) {
        self.lock().remove(&(task.clone(), container.to_owned()));
        // The containers of a task are over together.
        self.held_layers.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }

    /// For who looks at the disk.
    pub fn store(&self) -> ImageStore {
        self.store.clone()
    }

    /// Throws away what no task uses.
    pub async fn sweep(&self) {
        let store = self.store.clone();
        let policy =
            SweepPolicy { unused_age_max: UNUSED_IMAGE_KEEP, bytes_max: self.store.bytes_max() };
        // What tasks use is under their leases.
        let now = {
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.look(read_clocks())
        };
        let swept =
            tokio::task::spawn_blocking(move || store.sweep(&HashSet::new(), &policy, &now));
        match swept.await {
            Ok(Ok(swept)) if swept.images > 0 => {
                tracing::info!(
                    event = "images_removed",
                    images = swept.images,
                    layers = swept.layers,
                    "unused images were removed"
                );
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(
                event = "images_not_removed",
                %error,
                "cannot remove unused images"
            ),
            Err(error) => tracing::error!(
                event = "images_not_removed",
                %error,
                "cannot remove unused images"
            ),
        }
    }

    /// A digest that the deployment resolved takes the place of the tag.
    fn reference(
        &self,
        container: &ContainerAssignment,
    ) -> Result<ImageReference, outport_image_store::InvalidReference> {
        let reference: ImageReference = container.definition.image.parse()?;
        match &container.image_digest {
            Some(digest) if reference.digest().is_none() => {
                format!("{}/{}@{digest}", reference.host(), reference.repository()).parse()
            }
            _ => Ok(reference),
        }
    }

    /// From where this node reaches its control plane, whatever the image calls the host. A password is good
    /// for some minutes: a pull that takes longer goes on with the next one, where it was.
    async fn pull_own(
        &self,
        task: &TaskAssignment,
        scope: &Scope,
        reference: &ImageReference,
    ) -> Result<Image, StartError> {
        let (authority, repository) = (self.control_plane.authority(), reference.repository());
        let mut left = PASSWORDS_PER_PULL_MAX;
        loop {
            let password = self.password(task, scope, repository).await?;
            let RegistryCredential { user, password: secret, .. } = password.credential.clone();
            let credentials = Credentials { username: user, password: secret };
            let endpoint = RegistryEndpoint::own(authority, repository, Some(credentials));
            let pulled =
                retry_while(is_unreachable, || self.store.pull(reference, &endpoint)).await;
            left -= 1;
            match pulled {
                Err(error)
                    if is_denied(&error)
                        && password.age_ms() >= PASSWORD_AGE_REFUSED_MS
                        && left > 0 =>
                {
                    tracing::debug!(task = %task.task, %error, "a pull goes on with the next password");
                    self.passwords().remove(&key(scope, repository));
                }
                pulled => return pulled.map_err(|error| StartError { reason: error.reason() }),
            }
        }
    }

    /// Whose registry of this installation the image is in, as the control plane says: its password is for those.
    fn own_registry(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        reference: &ImageReference,
    ) -> Option<Scope> {
        let of_task = || Scope::new(task.account.clone(), task.region.clone());
        let is_of_task = || self.own.is(reference.host(), &of_task());
        container.registry.clone().or_else(|| is_of_task().then(of_task))
    }

    async fn password(
        &self,
        task: &TaskAssignment,
        scope: &Scope,
        repository: &str,
    ) -> Result<Password, StartError> {
        let key = key(scope, repository);
        // With a role it is asked at each start whether that still may; and one account's may not be another's.
        let is_of_task = scope.account == task.account && scope.region == task.region;
        let is_shared = task.execution_role_arn.is_none() && is_of_task;
        if is_shared
            && let Some(password) = self.passwords().get(&key)
            && password.age_ms() < PASSWORD_AGE_MAX_MS
        {
            return Ok(password.clone());
        }
        // Asked for without the lock: who waits for a control plane that is away keeps no other task waiting
        // behind its own patience. That some ask twice costs less.
        let asked_ms = read_clocks().steady_ms;
        let request = CredentialRequest {
            registry: (!is_of_task).then(|| scope.clone()),
            ..CredentialRequest::new(self.control_plane.node().clone(), task.task.clone())
        };
        let asked =
            retry_while(LinkError::is_passing, || self.control_plane.registry_credential(&request));
        let credential = asked.await.map_err(|error| refused(error.told()))?;
        let password = Password { credential, asked_ms };
        if !is_shared {
            return Ok(password);
        }
        let mut known = self.passwords();
        if known.len() >= PASSWORDS_MAX {
            known.retain(|_, password| password.age_ms() < PASSWORD_AGE_MAX_MS);
        }
        if known.len() < PASSWORDS_MAX {
            known.insert(key, password.clone());
        }
        Ok(password)
    }

    fn passwords(&self) -> MutexGuard<'_, HashMap<(Scope, String), Password>> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TaskId, String), Image>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(scope: &Scope, repository: &str) -> (Scope, String) {
    (scope.clone(), repository.to_owned())
}

fn is_denied(error: &PullError) -> bool {
    matches!(
        error,
        PullError::Resolve { source: RegistryError::Denied { .. }, .. }
            | PullError::Download { source: RegistryError::Denied { .. }, .. }
    )
}

fn is_unreachable(error: &PullError) -> bool {
    matches!(
        error,
        PullError::Resolve { source: RegistryError::Unreachable { .. }, .. }
            | PullError::Download { source: RegistryError::Unreachable { .. }, .. }
    )
}
