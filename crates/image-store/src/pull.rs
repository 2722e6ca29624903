//! Pulling: reference to manifest, to configuration, to layers, to a recorded image.
//!
//! | step | verified |
//! |---|---|
//! | manifest or index, or one index in another | digest, when the reference or the index names one |
//! | configuration | digest; as many diff ids as layers |
//! | each layer not yet here: download, unpack, rename | size, blob digest, diff id |
//!
//! A layer is made by one pull at a time, whoever else wants it from the same registry waits and finds it.
//!
//! | what a registry may try | what keeps it out |
//! |---|---|
//! | indexes in indexes, without an end | depth and requests of one pull are bounded |
//! | blobs without an end, or that hardly come | announced sizes, [`DownloadLimits`](crate::DownloadLimits) |
//! | images that fill the store | [`StoreOptions::bytes_max`](crate::StoreOptions); unused images go first |
//! | images that keep others from being pulled | places per pull; a layer is waited for only where it comes from the same place |

use crate::digest::Digest;
use crate::download::download;
use crate::error::PullError;
use crate::image::{Image, LayerRecord, MadeLayers};
use crate::layer::Unpacked;
use crate::layer::directories;
use crate::lease::Lease;
use crate::manifest::{self, CONFIG_BYTES_MAX, Descriptor, ImageConfig, Manifest, ManifestError};
use crate::reference::ImageReference;
use crate::registry::{RegistryEndpoint, RegistryError, Session};
use crate::store::{ImageStore, Inner, Places, StoreError, discard};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use tokio::sync::Semaphore;

/// Layers of one pull that are downloaded or unpacked at once: containerd's `max_concurrent_downloads`.
pub(crate) const DOWNLOADS_PER_PULL_MAX: usize = 3;
/// How deep indexes may lie in each other.
const INDEX_DEPTH_MAX: u32 = 4;
/// Manifests and indexes that one pull asks for.
const MANIFESTS_MAX: u32 = 32;
/// Retries that AWS's text speaks of: a request is tried again by the client before it fails.
const RETRIES_SAID: u32 = 1;

impl ImageStore {
    /// Makes the image that `reference` names available, asking the repository at `endpoint`.
    ///
    /// A tag is resolved at every call, by one request if it still names the image that is here; a digest that
    /// is here already costs none. Cancel-safe: a dropped pull leaves at most files in `tmp/`, which the next opening removes.
    pub async fn pull(
        &self,
        reference: &ImageReference,
        endpoint: &RegistryEndpoint,
    ) -> Result<Image, PullError> {
        if let Some(image) = reference.digest().and_then(|digest| self.image(digest)) {
            self.inner.touch(&image.manifest_digest);
            return Ok(image);
        }
        let session = self.inner.client.session(endpoint);
        let unresolved = |source| PullError::Resolve {
            reference: reference.to_string(),
            retries: RETRIES_SAID,
            source,
        };
        let found = session.manifest(&reference.selector()).await.map_err(unresolved)?;
        if let Some(image) = self.find(reference).filter(|known| known.digest == found.1) {
            self.inner.touch(&image.manifest_digest);
            return Ok(image);
        }
        let resolved = self.resolve(&session, found).await.map_err(unresolved)?;
        let Resolved { digest, manifest_digest, config, layers } = resolved;
        let lease = self.lease(&layers, manifest_digest);
        self.make_room(&layers).await?;
        let layers = match self.layers(&session, &layers).await {
            // What nobody uses goes before a pull fails for want of space.
            Err(PullError::DiskFull { .. }) => {
                self.collect(0).await?;
                self.layers(&session, &layers).await?
            }
            made => made?,
        };
        if self.inner.bytes() > self.inner.options.bytes_max {
            self.collect(self.inner.options.bytes_max).await?;
            if self.inner.bytes() > self.inner.options.bytes_max {
                return Err(store_full());
            }
        }
        let has_directories = self.directories(manifest_digest, &layers).await?;
        let made = MadeLayers { layers, has_directories };
        let image = self.record(reference, digest, manifest_digest, config, made, &lease)?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.make_durable(&manifest_digest) {
                tracing::warn!(%error, "image not flushed; it is pulled again after a power loss");
            }
        });
        Ok(image)
    }

    /// Under the lock that a sweep holds: a layer is swept before this and gone, or not at all.
    fn lease(&self, layers: &[(Descriptor, Digest)], manifest_digest: Digest) -> Lease {
        let _no_sweep = self.inner.images();
        let layers = layers.iter().map(|(_, diff_id)| *diff_id);
        self.inner.leases.take(layers.chain([manifest_digest]).collect())
    }

    /// Refuses an image that announces too much; throws unused ones away if it would not fit beside them.
    async fn make_room(&self, layers: &[(Descriptor, Digest)]) -> Result<(), PullError> {
        let options = &self.inner.options;
        let mut announced: u64 = 0;
        for (blob, diff_id) in layers {
            let (expected, found) = (options.limits.blob_bytes_max, blob.size);
            if found > expected {
                let source = RegistryError::SizeMismatch { expected, found };
                return Err(PullError::download(blob.digest, source));
            }
            if !self.inner.places.layer(diff_id).is_dir() {
                announced = announced.saturating_add(blob.size);
            }
        }
        let Some(before) = options.bytes_max.checked_sub(announced) else {
            return Err(store_full());
        };
        if self.inner.bytes() > before { self.collect(before).await } else { Ok(()) }
    }

    async fn collect(&self, bytes_max: u64) -> Result<(), PullError> {
        if self.inner.opened_at.elapsed() < self.inner.options.collect_after {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let collected = tokio::task::spawn_blocking(move || inner.collect(bytes_max)).await;
        collected
            .map_err(|error| PullError::io("image store", io::Error::other(error)))?
            .map_err(|StoreError { source, .. }| PullError::io("image store", source))
    }

    /// Makes the layer of directories of an image, if it needs one.
    async fn directories(
        &self,
        manifest_digest: Digest,
        layers: &[LayerRecord],
    ) -> Result<bool, PullError> {
        if let Some(known) = self.inner.has_directories(&manifest_digest) {
            return Ok(known);
        }
        if layers.iter().all(|layer| layer.implied.is_empty()) {
            return Ok(false);
        }
        let in_work = InWork::new(&self.inner, format!("directories {manifest_digest}"));
        let _only_one = in_work.lock.lock().await;
        let (inner, layers) = (Arc::clone(&self.inner), layers.to_vec());
        let made = tokio::task::spawn_blocking(move || {
            let place = inner.places.layer(&manifest_digest);
            let paths: Vec<PathBuf> =
                layers.iter().map(|layer| inner.places.layer(&layer.diff_id)).collect();
            let described = layers.iter().zip(&paths).rev().map(|(layer, path)| {
                let (implied, opaque) = (&layer.implied, &layer.opaque);
                directories::Layer { directory: path, implied, opaque }
            });
            let working = Working::create(&inner)?;
            let any = directories::restore(&described.collect::<Vec<_>>(), &working.directory)?;
            if any && !place.is_dir() {
                working.keep(&place)?;
            }
            Ok(any)
        });
        made.await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| PullError::io("directories of an image", error))
    }

    fn record(
        &self,
        reference: &ImageReference,
        digest: Digest,
        manifest_digest: Digest,
        config: ImageConfig,
        made: MadeLayers,
        lease: &Lease,
    ) -> Result<Image, PullError> {
        self.inner
            .record(reference, digest, manifest_digest, config, made, lease)
            .map_err(|StoreError { source, .. }| PullError::io("image record", source))
    }

    async fn resolve(
        &self,
        session: &Session<'_>,
        (found, digest): (Manifest, Digest),
    ) -> Result<Resolved, RegistryError> {
        let platform = &self.inner.options.platform;
        // A manifest that is named by itself is taken for what it is.
        let mut ahead =
            vec![Candidate { found: Some(found), digest, is_platform_said: true, depth: 0 }];
        let (mut asked, mut unusable) = (0, None);
        while let Some(Candidate { found, digest: of, is_platform_said, depth }) = ahead.pop() {
            let found = match found {
                Some(found) => found,
                None if asked == MANIFESTS_MAX => return Err(too_many_manifests().into()),
                None => {
                    asked += 1;
                    match session.manifest(&of.to_string()).await {
                        Ok((found, _)) => found,
                        // Indexes list signatures and other artifacts, too.
                        Err(RegistryError::Manifest(error)) if !is_platform_said => {
                            unusable = Some(error);
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            match found {
                Manifest::Index(_) if depth == INDEX_DEPTH_MAX => {
                    return Err(too_many_manifests().into());
                }
                Manifest::Index(entries) => {
                    let entries = manifest::candidates(entries, platform);
                    ahead.extend(entries.into_iter().rev().map(|entry| Candidate {
                        found: None,
                        digest: entry.digest,
                        is_platform_said: entry.platform.is_some(),
                        depth: depth + 1,
                    }));
                }
                Manifest::Image { config, layers } => {
                    let (config, diff_ids) = self.config(session, &config, layers.len()).await?;
                    if is_platform_said || platform.fits(&config) {
                        let layers = layers.into_iter().zip(diff_ids).collect();
                        return Ok(Resolved { digest, manifest_digest: of, config, layers });
                    }
                }
            }
        }
        Err(unusable.unwrap_or_else(|| platform.no_match()).into())
    }

    async fn config(
        &self,
        session: &Session<'_>,
        config: &Descriptor,
        layers: usize,
    ) -> Result<(ImageConfig, Vec<Digest>), RegistryError> {
        let bytes = session.small_blob(config.digest, config.size, CONFIG_BYTES_MAX).await?;
        Ok(ImageConfig::parse(&bytes, layers)?)
    }

    /// Makes all layers, as many at once as one pull may. The first failure ends the others.
    async fn layers(
        &self,
        session: &Session<'_>,
        layers: &[(Descriptor, Digest)],
    ) -> Result<Vec<LayerRecord>, PullError> {
        let own = Semaphore::new(DOWNLOADS_PER_PULL_MAX);
        let work = layers.iter().map(|(blob, diff_id)| self.layer(session, &own, blob, *diff_id));
        futures_util::future::try_join_all(work).await
    }

    async fn layer(
        &self,
        session: &Session<'_>,
        own: &Semaphore,
        blob: &Descriptor,
        diff_id: Digest,
    ) -> Result<LayerRecord, PullError> {
        let key = format!("{} {} {diff_id}", session.authority(), blob.digest);
        let in_work = InWork::new(&self.inner, key);
        let _only_one = in_work.lock.lock().await;
        let place = self.inner.places.layer(&diff_id);
        let is_here = || {
            let known = self.inner.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&diff_id).filter(|_| place.is_dir()).cloned()
        };
        if let Some(known) = is_here() {
            return Ok(known);
        }
        let closed =
            |error| PullError::Io { place: "download queue", source: io::Error::other(error) };
        let _own_permit = own.acquire().await.map_err(closed)?;
        let _permit = self.inner.downloads.acquire().await.map_err(closed)?;
        let file =
            open_unnamed(&self.inner.places).map_err(|error| PullError::io("image blob", error))?;
        let options = &self.inner.options;
        let file = download(session, blob.digest, blob.size, file, &options.download)
            .await
            .map_err(|error| PullError::download(blob.digest, error))?;
        let working =
            Working::create(&self.inner).map_err(|error| PullError::io("layer", error))?;
        let unpacked = options
            .unpacker
            .unpack(file, &working.directory, &options.limits)
            .await
            .map_err(|error| PullError::extract(diff_id, error))?;
        if unpacked.diff_id != diff_id {
            return Err(PullError::DiffIdMismatch { expected: diff_id, found: unpacked.diff_id });
        }
        // Somebody else may have made it meanwhile, from another place.
        if let Some(known) = is_here() {
            return Ok(known);
        }
        let Unpacked { bytes, implied, opaque, .. } = unpacked;
        let record = LayerRecord { diff_id, bytes, implied, opaque };
        let mut known = self.inner.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.is_dir() {
            working.keep(&place).map_err(|error| PullError::io("layer", error))?;
        }
        known.insert(diff_id, record.clone());
        Ok(record)
    }
}

fn store_full() -> PullError {
    PullError::DiskFull { place: "image store".to_owned() }
}

fn too_many_manifests() -> ManifestError {
    let reason = format!("more than {INDEX_DEPTH_MAX} in each other, or {MANIFESTS_MAX} in all");
    ManifestError::Malformed { what: "index", reason }
}

/// A manifest or index that may lead to the image.
struct Candidate {
    /// If it was asked for already.
    found: Option<Manifest>,
    digest: Digest,
    /// Whether the way to it says that it is for this platform, or that nobody asks.
    is_platform_said: bool,
    depth: u32,
}

struct Resolved {
    digest: Digest,
    manifest_digest: Digest,
    config: ImageConfig,
    /// Lowest first, each with its diff id.
    layers: Vec<(Descriptor, Digest)>,
}

/// A file without a name: gone when it is closed, whatever happens.
fn open_unnamed(places: &Places) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&places.tmp, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system can: it gets a name for a moment.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
            let path = places.fresh(&places.tmp)?;
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// The lock of a layer, forgotten with its last user.
struct InWork<'store> {
    inner: &'store Inner,
    key: String,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'store> InWork<'store> {
    fn new(inner: &'store Inner, key: String) -> InWork<'store> {
        let mut all = inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(all.entry(key.clone()).or_default());
        InWork { inner, key, lock }
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        let mut all = self.inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one.
        if Arc::strong_count(&self.lock) == 2 {
            all.remove(&self.key);
        }
    }
}

/// A layer directory in the making; thrown away unless it is kept.
struct Working<'store> {
    inner: &'store Arc<Inner>,
    directory: PathBuf,
}

impl<'store> Working<'store> {
    fn create(inner: &'store Arc<Inner>) -> io::Result<Working<'store>> {
        let directory = inner.places.fresh(&inner.places.tmp)?;
        std::fs::create_dir(&directory)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&directory, mode)?;
        Ok(Working { inner, directory })
    }

    fn keep(&self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.directory, place)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        match discard(&self.directory, &self.inner.places) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "half-made layer not discarded");
            }
            Err(_) => {}
            Ok(()) => {
                let inner = Arc::clone(self.inner);
                std::thread::spawn(move || inner.empty_trash());
            }
        }
    }
}
