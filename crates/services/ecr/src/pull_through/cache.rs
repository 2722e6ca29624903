//! The cache at work: what is pulled and is not here, or was not looked at for a day, is taken from where its rule says.
//!
//! **Invariant:** an image is in the registry with all its blobs, or not at all; of an index the images come as they are asked for. What
//! is here is served though its registry does not answer. A pull that goes away does not end what it began, and those that want the
//! same wait for it together.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use outport_image_registry::{
    Digest, ImageBlobs, ImageSelector, ImageSource, NotTaken, PutImage, Registry, RegistryCaller,
    RegistryError, RegistrySetting, RepositoryName, WantedImage, repository_arn,
};
use outport_model::{Scope, TimestampMs};
use tokio::sync::Semaphore;

use super::rule::{Rule, Rules};
use super::template::Templates;
use super::upstream::{Upstream, UpstreamError, UpstreamRepository};

/// Source: user guide, "at most once every 24 hours".
const LOOKED_AT_EVERY_MS: TimestampMs = 24 * 3600 * 1000;
/// After its registry did not answer.
const LOOKED_AT_AFTER_FAILURE_MS: TimestampMs = 5 * 60 * 1000;
/// Tags whose last look is remembered; when there are more, all are looked at again.
const LOOKS_MAX: usize = 100_000;
/// Images that are taken at once, and blobs of each.
const IMAGES_AT_ONCE_MAX: usize = 8;
const BLOBS_AT_ONCE_MAX: usize = 3;
/// Read of a blob at once.
const PIECE_BYTES: usize = 1 << 20;
const IMPORT: &str = "ecr:BatchImportUpstreamImage";
const CREATE: &str = "ecr:CreateRepository";

type Taking = Shared<BoxFuture<'static, Result<(), NotTaken>>>;

/// Takes images into a registry. A clone is another handle.
#[derive(Clone)]
pub struct PullThroughCache {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Arc<Registry>,
    upstream: Arc<dyn Upstream>,
    /// When each tag is to be looked at again. Of this process: after a start each is looked at with its next pull.
    next_look_ms: Mutex<HashMap<String, TimestampMs>>,
    taking: Mutex<HashMap<String, Taking>>,
    places: Semaphore,
}

/// What is taken from where.
struct Order {
    scope: Scope,
    name: RepositoryName,
    reference: ImageSelector,
    of: UpstreamRepository,
    credential_arn: Option<String>,
    now_ms: TimestampMs,
}

impl PullThroughCache {
    pub fn new(registry: Arc<Registry>, upstream: Arc<dyn Upstream>) -> Self {
        let places = Semaphore::new(IMAGES_AT_ONCE_MAX);
        let (next_look_ms, taking) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { registry, upstream, next_look_ms, taking, places }) }
    }

    pub(crate) fn upstream(&self) -> &dyn Upstream {
        &*self.inner.upstream
    }

    async fn prepare_image(
        &self,
        caller: &dyn RegistryCaller,
        wanted: WantedImage,
    ) -> Result<bool, NotTaken> {
        let WantedImage { scope, repository: name, reference, now_ms } = wanted;
        let (of, image) = ((scope.clone(), name.clone()), reference.clone());
        let looked =
            self.inner.blocking(move |registry| look(registry, &of.0, &of.1, &image)).await?;
        let Some(Looked { rule, upstream_name, is_here, exists, seen, policy }) = looked else {
            return Ok(false);
        };
        let key = key(&scope, &name, &reference);
        if is_here && !self.inner.is_due(&key, &reference, now_ms) {
            return Ok(false);
        }
        let resource = repository_arn(&scope, &name);
        let actions = std::iter::once(IMPORT).chain((!exists).then_some(CREATE));
        for action in actions {
            let policies = (seen.policy(), policy.as_deref());
            match caller.authorize_in_registry(action, &resource, seen.tags(), policies) {
                Err(_) if is_here => return Ok(false),
                asked => asked.map_err(NotTaken::Denied)?,
            }
        }
        let of = UpstreamRepository {
            registry: registry_of(&*self.inner.upstream, &rule)?,
            name: upstream_name,
            user: None,
        };
        let credential_arn = rule.credential_arn;
        let order = Order { scope, name, reference, of, credential_arn, now_ms };
        match self.take(key.clone(), order).await {
            Err(why) if is_here => {
                tracing::warn!(
                    event = "upstream_image_not_looked_at",
                    image = key,
                    error = %why,
                    "the registry that a cached image is from does not say what it has now: what is here is served"
                );
                self.inner.note_look(key, now_ms + LOOKED_AT_AFTER_FAILURE_MS);
                Ok(false)
            }
            taken => taken.map(|()| true),
        }
    }

    /// Takes it, together with whoever wants the same.
    async fn take(&self, key: String, order: Order) -> Result<(), NotTaken> {
        let taking = {
            let mut all = lock(&self.inner.taking);
            match all.get(&key) {
                Some(taking) => taking.clone(),
                None => {
                    let (inner, of) = (Arc::clone(&self.inner), key.clone());
                    let work = tokio::spawn(async move {
                        let taken = inner.import(order, &of).await;
                        lock(&inner.taking).remove(&of);
                        taken
                    });
                    let ended = |joined: Result<_, tokio::task::JoinError>| {
                        joined.unwrap_or_else(|error| Err(NotTaken::Failed(error.to_string())))
                    };
                    let taking = work.map(ended).boxed().shared();
                    all.insert(key, taking.clone());
                    taking
                }
            }
        };
        taking.await
    }
}

impl ImageSource for PullThroughCache {
    fn prepare<'a>(
        &'a self,
        caller: &'a dyn RegistryCaller,
        wanted: WantedImage,
    ) -> BoxFuture<'a, Result<bool, NotTaken>> {
        self.prepare_image(caller, wanted).boxed()
    }
}

/// Where a rule's registry is: AWS's by TLS, the operator's as the operator says.
pub(crate) fn registry_of(upstream: &dyn Upstream, rule: &Rule) -> Result<String, NotTaken> {
    let address = rule.upstream_url.as_str();
    match (&rule.upstream, upstream.named_by_operator(address)) {
        (_, Some(registry)) => Ok(registry),
        (Some(_), None) => Ok(format!("https://{address}")),
        (None, None) => Err(NotTaken::Failed(format!(
            "the registry {address} is not named by the operator (--upstream-registry) any more"
        ))),
    }
}

struct Looked {
    rule: Rule,
    upstream_name: String,
    is_here: bool,
    exists: bool,
    seen: outport_image_registry::SeenRepository,
    /// The registry's.
    policy: Option<String>,
}

/// `None`: no rule is for the repository.
fn look(
    registry: &Registry,
    scope: &Scope,
    name: &RepositoryName,
    reference: &ImageSelector,
) -> Result<Option<Looked>, NotTaken> {
    let rules = Rules::of(registry, scope).map_err(|error| NotTaken::Failed(error.to_string()))?;
    let Some((rule, upstream_name)) = rules.find(name) else { return Ok(None) };
    let (is_here, exists) = match registry.image(scope, name, reference) {
        Ok(_) => (true, true),
        Err(RegistryError::RepositoryNotFound { .. }) => (false, false),
        Err(RegistryError::ImageNotFound(_) | RegistryError::TagDoesNotMatchDigest) => {
            (false, true)
        }
        Err(error) => return Err(failed(&error)),
    };
    let seen = registry.look(scope, name).map_err(|error| failed(&error))?;
    let policy =
        registry.setting(scope, RegistrySetting::Policy).map_err(|error| failed(&error))?;
    Ok(Some(Looked { rule: rule.clone(), upstream_name, is_here, exists, seen, policy }))
}

impl Inner {
    /// What a digest names stays what it is.
    fn is_due(&self, key: &str, reference: &ImageSelector, now_ms: TimestampMs) -> bool {
        let is_tag = matches!(reference, ImageSelector::Tag(_));
        is_tag && lock(&self.next_look_ms).get(key).is_none_or(|next| *next <= now_ms)
    }

    fn note_look(&self, key: String, next_ms: TimestampMs) {
        let mut looks = lock(&self.next_look_ms);
        if looks.len() >= LOOKS_MAX {
            looks.clear();
        }
        looks.insert(key, next_ms);
    }

    async fn import(self: &Arc<Self>, mut order: Order, key: &str) -> Result<(), NotTaken> {
        // It is never closed.
        let _place = self.places.acquire().await;
        if let Some(arn) = &order.credential_arn {
            let user = self.upstream.user(&order.scope, arn).await;
            order.of.user = Some(user.map_err(|error| not_taken(&order, &error))?);
        }
        let order = Arc::new(order);
        let selector = match &order.reference {
            ImageSelector::Tag(tag) => tag.to_string(),
            ImageSelector::Digest(digest) | ImageSelector::TagAndDigest(_, digest) => {
                digest.to_string()
            }
        };
        let manifest = self.upstream.manifest(&order.of, &selector).await;
        let manifest = manifest.map_err(|error| not_taken(&order, &error))?;
        let needed = ImageBlobs::read(manifest.media_type.as_deref(), &manifest.body)
            .map_err(|reason| not_taken(&order, &UpstreamError::Failed(reason)))?;
        let make = Arc::clone(&order);
        self.blocking(move |registry| {
            let templates = Templates::of(registry, &make.scope);
            let templates = templates.map_err(|error| NotTaken::Failed(error.to_string()))?;
            let made = templates.make_cached(registry, &make.scope, &make.name, make.now_ms);
            made.map_err(|error| failed(&error))
        })
        .await?;
        let blobs = needed.blobs.into_iter().map(|(digest, size)| {
            let (inner, order) = (Arc::clone(self), Arc::clone(&order));
            async move { inner.blob(&order, digest, size).await }
        });
        stream::iter(blobs).buffer_unordered(BLOBS_AT_ONCE_MAX).try_collect::<()>().await?;
        let put = Arc::clone(&order);
        self.blocking(move |registry| {
            let (tag, digest) = match &put.reference {
                ImageSelector::Tag(tag) => (Some(tag), None),
                ImageSelector::Digest(digest) => (None, Some(digest)),
                ImageSelector::TagAndDigest(tag, digest) => (Some(tag), Some(digest)),
            };
            let media_type = manifest.media_type.as_deref();
            let image = PutImage { body: &manifest.body, media_type, tag, digest };
            let stored = registry.import_image(&put.scope, &put.name, &image, put.now_ms);
            stored.map(drop).map_err(|error| failed(&error))
        })
        .await?;
        self.note_look(key.to_owned(), order.now_ms + LOOKED_AT_EVERY_MS);
        Ok(())
    }

    async fn blob(
        self: &Arc<Self>,
        order: &Arc<Order>,
        digest: Digest,
        size_bytes: u64,
    ) -> Result<(), NotTaken> {
        let (of, wanted) = (Arc::clone(order), digest.clone());
        let is_here = self
            .blocking(move |registry| {
                match registry.blob(&of.scope, &of.name, &wanted, of.now_ms) {
                    Ok(_) => Ok(true),
                    Err(RegistryError::BlobNotFound(_)) => Ok(false),
                    Err(error) => Err(failed(&error)),
                }
            })
            .await?;
        if is_here {
            return Ok(());
        }
        if size_bytes > self.registry.limits().blob_bytes_max {
            let reason = format!(
                "the blob {digest} has {size_bytes} bytes, which is more than this registry takes"
            );
            return Err(NotTaken::Failed(reason));
        }
        let file = self.upstream.blob(&order.of, &digest.to_string(), size_bytes).await;
        let file = file.map_err(|error| not_taken(order, &error))?;
        let of = Arc::clone(order);
        self.blocking(move |registry| {
            store(registry, &of, file, &digest).map_err(|error| failed(&error))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Registry>) -> Result<T, NotTaken> + Send + 'static,
    ) -> Result<T, NotTaken> {
        let registry = Arc::clone(&self.registry);
        let done = tokio::task::spawn_blocking(move || work(&registry)).await;
        done.unwrap_or_else(|error| Err(NotTaken::Failed(error.to_string())))
    }
}

fn store(
    registry: &Arc<Registry>,
    order: &Order,
    mut file: File,
    digest: &Digest,
) -> Result<(), RegistryError> {
    let mut upload = registry.take_upload(&order.scope, &order.name)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece).map_err(|source| RegistryError::Storage {
            action: "read a blob of another registry".to_owned(),
            source,
        })?;
        if read == 0 {
            break;
        }
        upload.append(&piece[..read])?;
    }
    upload.finish(digest, order.now_ms).map(drop)
}

fn key(scope: &Scope, name: &RepositoryName, reference: &ImageSelector) -> String {
    let image = match reference {
        ImageSelector::Tag(tag) => format!(":{tag}"),
        ImageSelector::Digest(digest) => format!("@{digest}"),
        ImageSelector::TagAndDigest(tag, digest) => format!(":{tag}@{digest}"),
    };
    format!("{}/{}/{name}{image}", scope.account, scope.region)
}

fn failed(error: &RegistryError) -> NotTaken {
    NotTaken::Failed(error.to_string())
}

fn not_taken(order: &Order, error: &UpstreamError) -> NotTaken {
    let of = format!("{}/{}", order.of.registry, order.of.name);
    match error {
        UpstreamError::NotFound => {
            NotTaken::NotThere(format!("Requested image not found in the upstream registry: {of}"))
        }
        error => NotTaken::Failed(format!(
            "Unable to get the image from the upstream registry {of}: {error}"
        )),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
