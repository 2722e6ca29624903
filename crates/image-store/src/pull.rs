//! Pulling: reference to manifest, to configuration, to layers, to a recorded image.
//!
//! | step | verified |
//! |---|---|
//! | manifest or index | digest, when the reference or the index names one |
//! | configuration | digest; as many diff ids as layers |
//! | each layer not yet here: download, unpack, rename | size, blob digest, diff id |
//!
//! A layer is made by one pull at a time, whoever else wants it waits and finds it.

use crate::digest::Digest;
use crate::download::download;
use crate::error::PullError;
use crate::image::{Image, LayerRecord};
use crate::lease::Lease;
use crate::manifest::{self, CONFIG_BYTES_MAX, Descriptor, ImageConfig, Manifest};
use crate::reference::ImageReference;
use crate::registry::{RegistryEndpoint, RegistryError, Session};
use crate::store::{ImageStore, Inner, Places, StoreError, discard};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

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
        let lease = self.lease(&layers);
        let records = self.layers(&session, &layers).await?;
        let image = self.record(reference, digest, manifest_digest, config, records, &lease)?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.make_durable(&manifest_digest) {
                tracing::warn!(%error, "image not flushed; it is pulled again after a power loss");
            }
        });
        Ok(image)
    }

    /// Under the lock that a sweep holds: a layer is swept before this and gone, or not at all.
    fn lease(&self, layers: &[(Descriptor, Digest)]) -> Lease {
        let _no_sweep = self.inner.images();
        self.inner.leases.take(layers.iter().map(|(_, diff_id)| *diff_id).collect())
    }

    fn record(
        &self,
        reference: &ImageReference,
        digest: Digest,
        manifest_digest: Digest,
        config: ImageConfig,
        records: Vec<LayerRecord>,
        lease: &Lease,
    ) -> Result<Image, PullError> {
        self.inner
            .record(reference, digest, manifest_digest, config, records, lease)
            .map_err(|StoreError { source, .. }| PullError::io("image record", source))
    }

    async fn resolve(
        &self,
        session: &Session<'_>,
        (found, digest): (Manifest, Digest),
    ) -> Result<Resolved, RegistryError> {
        let (config, layers, manifest_digest) = match found {
            Manifest::Image { config, layers } => (config, layers, digest),
            Manifest::Index(entries) => {
                let entry = manifest::select(&entries, &self.inner.options.platform)?;
                match session.manifest(&entry.digest.to_string()).await? {
                    (Manifest::Image { config, layers }, manifest_digest) => {
                        (config, layers, manifest_digest)
                    }
                    (Manifest::Index(_), _) => {
                        let nested = "an index inside an index".to_owned();
                        return Err(manifest::ManifestError::UnsupportedMediaType(nested).into());
                    }
                }
            }
        };
        let bytes = session.small_blob(config.digest, config.size, CONFIG_BYTES_MAX).await?;
        let (config, diff_ids) = ImageConfig::parse(&bytes, layers.len())?;
        let layers = layers.into_iter().zip(diff_ids).collect();
        Ok(Resolved { digest, manifest_digest, config, layers })
    }

    /// Makes all layers, as many at once as the store allows. The first failure ends the others.
    async fn layers(
        &self,
        session: &Session<'_>,
        layers: &[(Descriptor, Digest)],
    ) -> Result<Vec<LayerRecord>, PullError> {
        let work = layers.iter().map(|(blob, diff_id)| self.layer(session, blob, *diff_id));
        futures_util::future::try_join_all(work).await
    }

    async fn layer(
        &self,
        session: &Session<'_>,
        blob: &Descriptor,
        diff_id: Digest,
    ) -> Result<LayerRecord, PullError> {
        let in_work = InWork::new(&self.inner, diff_id);
        let _only_one = in_work.lock.lock().await;
        let place = self.inner.places.layer(&diff_id);
        if place.is_dir() {
            let sizes = self.inner.layer_bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = sizes.get(&diff_id).copied().unwrap_or_default();
            return Ok(LayerRecord { diff_id, bytes });
        }
        let _permit = self.inner.downloads.acquire().await.map_err(|error| PullError::Io {
            place: "download queue",
            source: io::Error::other(error),
        })?;
        let file =
            open_unnamed(&self.inner.places).map_err(|error| PullError::io("image blob", error))?;
        let file = download(session, blob.digest, blob.size, file)
            .await
            .map_err(|error| PullError::download(blob.digest, error))?;
        let working =
            Working::create(&self.inner).map_err(|error| PullError::io("layer", error))?;
        let options = &self.inner.options;
        let unpacked = options
            .unpacker
            .unpack(file, &working.directory, &options.limits)
            .await
            .map_err(|error| PullError::extract(diff_id, error))?;
        if unpacked.diff_id != diff_id {
            return Err(PullError::DiffIdMismatch { expected: diff_id, found: unpacked.diff_id });
        }
        working.keep(&place).map_err(|error| PullError::io("layer", error))?;
        let mut sizes = self.inner.layer_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(diff_id, unpacked.bytes);
        Ok(LayerRecord { diff_id, bytes: unpacked.bytes })
    }
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
    diff_id: Digest,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'store> InWork<'store> {
    fn new(inner: &'store Inner, diff_id: Digest) -> InWork<'store> {
        let mut all = inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(all.entry(diff_id).or_default());
        InWork { inner, diff_id, lock }
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        let mut all = self.inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one.
        if Arc::strong_count(&self.lock) == 2 {
            all.remove(&self.diff_id);
        }
    }
}

/// A layer directory in the making; thrown away unless it is kept.
struct Working<'store> {
    inner: &'store Inner,
    directory: PathBuf,
}

impl<'store> Working<'store> {
    fn create(inner: &'store Inner) -> io::Result<Working<'store>> {
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
                let trash = self.inner.places.trash.clone();
                std::thread::spawn(move || crate::store::empty_trash(&trash));
            }
        }
    }
}
