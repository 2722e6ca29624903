//! Images for the tasks of this node: which registry, as whom, and what is kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outport_image_store::{
    Credentials, Digest, Image, ImageReference, ImageStore, PullError, RegistryEndpoint,
    RegistryError, SweepPolicy,
};
use outport_model::TaskId;
use outport_model::clock::StepWatch;
use outport_model::ecr_registry::ecr_registry;
use outport_node_protocol::{
    ContainerAssignment, CredentialRequest, Registered, RegistryCredential, TaskAssignment,
};

use crate::control_plane::{ControlPlane, LinkError, now_ms, read_clocks};
use crate::patience::patiently;
use crate::task::StartError;

/// Images that no task used for this long go; the ECS agent keeps them an hour at least.
const UNUSED_IMAGE_KEEP: Duration = Duration::from_secs(24 * 3600);
/// Most decompressed bytes of all images of the node. Above this, unused images go before that; if those in use are too
/// large, no more are pulled.
pub const IMAGE_BYTES_MAX: u64 = 50 << 30;
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// A password is asked for again when it has less than this to live.
const CREDENTIAL_LIFE_LEFT_MIN_MS: i64 = 10 * 60 * 1000;

/// Pulls for tasks, and holds what they use.
pub struct Images {
    store: ImageStore,
    control_plane: Arc<ControlPlane>,
    registered: Registered,
    /// Image of each container, so that no sweep takes its layers.
    held: Mutex<HashMap<(TaskId, String), Image>>,
    /// The last password by account and region: tasks of one account share it.
    credentials: tokio::sync::Mutex<HashMap<(String, String), RegistryCredential>>,
    /// So that a step of the wall clock makes no image look unused.
    steps: Mutex<StepWatch>,
}

impl Images {
    pub fn new(
        store: ImageStore,
        control_plane: Arc<ControlPlane>,
        registered: Registered,
    ) -> Self {
        let (held, credentials) = Default::default();
        let steps = Mutex::new(StepWatch::new(read_clocks()));
        Self { store, control_plane, registered, held, credentials, steps }
    }

    /// Makes the image of a container available and holds it until `release`.
    pub async fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<Image, StartError> {
        let failed =
            |detail: &dyn std::fmt::Display| StartError::new("CannotPullContainerError", detail);
        let reference = self.reference(container).map_err(|error| failed(&error))?;
        let endpoint = self.endpoint(task, &reference).await?;
        let own = self.is_own(task, &reference);
        let pulled = patiently(
            |error| own && is_unreachable(error),
            || self.store.pull(&reference, &endpoint),
        );
        let image = pulled.await.map_err(|error| StartError { reason: error.reason() })?;
        self.lock().insert((task.task.clone(), container.name.clone()), image.clone());
        Ok(image)
    }

    pub fn held(&self, task: &TaskId, container: &str) -> Option<Image> {
        self.lock().get(&(task.clone(), container.to_owned())).cloned()
    }

    /// The image of a container that an earlier agent started.
    pub fn take_over(&self, task: &TaskId, container: &str, digest: &str) -> Option<Image> {
        let image = digest.parse::<Digest>().ok().and_then(|digest| self.store.image(digest))?;
        self.lock().insert((task.clone(), container.to_owned()), image.clone());
        Some(image)
    }

    pub fn release(&self, task: &TaskId, container: &str) {
        self.lock().remove(&(task.clone(), container.to_owned()));
    }

    /// Throws away what no task uses.
    pub async fn sweep(&self) {
        let store = self.store.clone();
        let policy = SweepPolicy { unused_age_max: UNUSED_IMAGE_KEEP, bytes_max: IMAGE_BYTES_MAX };
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
                    images = swept.images,
                    layers = swept.layers,
                    "unused images removed"
                );
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot remove unused images"),
            Err(error) => tracing::error!(%error, "cannot remove unused images"),
        }
    }

    /// A digest that the deployment resolved takes the place of the tag.
    fn reference(
        &self,
        container: &ContainerAssignment,
    ) -> Result<ImageReference, outport_image_store::InvalidReference> {
        let reference: ImageReference = container.image.parse()?;
        match &container.image_digest {
            Some(digest) if reference.digest().is_none() => {
                format!("{}/{}@{digest}", reference.host(), reference.repository()).parse()
            }
            _ => Ok(reference),
        }
    }

    async fn endpoint(
        &self,
        task: &TaskAssignment,
        reference: &ImageReference,
    ) -> Result<RegistryEndpoint, StartError> {
        if !self.is_own(task, reference) {
            return Ok(RegistryEndpoint::of(reference, None));
        }
        let credential = self.credential(task).await?;
        let credentials = Credentials { username: credential.user, password: credential.password };
        let repository = reference.repository();
        let host = &self.registered.registry_host;
        Ok(RegistryEndpoint::http(host, repository, Some(credentials)))
    }

    /// Whether the image is of this installation's own registry.
    fn is_own(&self, task: &TaskAssignment, reference: &ImageReference) -> bool {
        let host = reference.host();
        host == self.registered.registry_host
            || ecr_registry(host).is_some_and(|scope| {
                scope.account.as_str() == task.account && scope.region.as_str() == task.region
            })
    }

    async fn credential(&self, task: &TaskAssignment) -> Result<RegistryCredential, StartError> {
        let key = (task.account.clone(), task.region.clone());
        let mut known = self.credentials.lock().await;
        if let Some(credential) = known.get(&key)
            && credential.expires_at_ms - now_ms() > CREDENTIAL_LIFE_LEFT_MIN_MS
        {
            return Ok(credential.clone());
        }
        let request =
            CredentialRequest { node: self.control_plane.node().clone(), task: task.task.clone() };
        let asked =
            patiently(LinkError::is_passing, || self.control_plane.registry_credential(&request));
        let credential = asked.await.map_err(|error| {
            StartError::new(
                "ResourceInitializationError",
                format!("unable to pull secrets or registry auth: {error}"),
            )
        })?;
        known.insert(key, credential.clone());
        Ok(credential)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TaskId, String), Image>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_unreachable(error: &PullError) -> bool {
    matches!(
        error,
        PullError::Resolve { source: RegistryError::Unreachable { .. }, .. }
            | PullError::Download { source: RegistryError::Unreachable { .. }, .. }
    )
}
