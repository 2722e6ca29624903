//! Pulling: reference to manifest, to configuration, to layers, to a recorded image.
//!
//! | step | verified |
//! |---|---|
//! | manifest or index, or one index in another | digest, when the reference or the index names one |
//! | configuration | digest; as many diff ids as layers |
//! | each layer not yet here: download, unpack, rename | size, blob digest, diff id |
//!
//! A layer is made by one pull at a time, whoever else wants it from the same registry waits and finds it. Who may have
//! what is here already is in [`source`](crate::source).
//!
//! | what a registry may try | what keeps it out |
//! |---|---|
//! | indexes in indexes, without an end | depth and requests of one pull are bounded |
//! | blobs without an end, or that hardly come | announced sizes, [`DownloadLimits`](crate::DownloadLimits), a time for the pull in whole |
//! | images that cost memory: configurations, directories that are only implied, records | see `manifest`, `marks`, `records`; [`StoreOptions::images_max`](crate::StoreOptions) |
//! | content of others, by its digest | see `source` |
//! | images that fill the store | [`StoreOptions::bytes_max`](crate::StoreOptions); unused images go first |
//! | images that fill the disk | a floor, see `room`; unused images go first |
//! | images that keep others from being pulled | places per pull and per registry; a layer is waited for only where it comes from the same place, and who has it is at it |
//! | claims that make others' images go | only bytes that came make room for themselves |

use crate::digest::Digest;
use crate::download::download;
use crate::error::PullError;
use crate::image::{Image, LayerRecord, MadeLayers};
use crate::layer::directories::{self, RestoreError};
use crate::layer::{LIMIT_ON_BYTES, UnpackError, Unpacked};
use crate::lease::Lease;
use crate::manifest::{Descriptor, ImageConfig};
use crate::marks::Marks;
use crate::reference::ImageReference;
use crate::registry::{RegistryEndpoint, RegistryError, Session};
use crate::resolve::Resolved;
use crate::room::no_room;
use crate::source::KnownLayer;
use crate::store::{ImageStore, Inner, StoreError};
use crate::work::{InWork, OfRegistry, Wanted, Working, open_unnamed};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Layers of one pull that are downloaded or unpacked at once: containerd's `max_concurrent_downloads`.
pub(crate) const DOWNLOADS_PER_PULL_MAX: usize = 3;
/// Longest time for all layers of one pull; what came of it stays for the next try, until a sweep.
/// Source: the ECS agent, `PullImageTimeout` in `agent/dockerclient/timelimits.go`.
const PULL_TIME_MAX: Duration = Duration::from_secs(2 * 3600);
/// Retries that AWS's text speaks of: a request is tried again by the client before it fails.
const RETRIES_SAID: u32 = 1;

impl ImageStore {
    /// Makes the image that `reference` names available, asking the repository at `endpoint`.
    ///
    /// A tag is resolved at every call, by one request if it still names the image that is here; a digest that is here
    /// already costs none, if it came from there to somebody with the same credentials, see `source`. Cancel-safe: a dropped pull leaves at most files in `tmp/`, which the next opening removes.
    pub async fn pull(
        &self,
        reference: &ImageReference,
        endpoint: &RegistryEndpoint,
    ) -> Result<Image, PullError> {
        if let Some(image) = reference.digest().and_then(|digest| self.image(digest))
            && self.inner.may_have(&image.manifest_digest, endpoint)
        {
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
        if let Some(image) = self.find(reference).filter(|known| known.digest == found.1)
            && self.inner.given(&image.manifest_digest, endpoint)
        {
            self.inner.touch(&image.manifest_digest);
            return Ok(image);
        }
        let resolved = self.resolve(&session, found).await.map_err(unresolved)?;
        let Resolved { digest, manifest_digest, config, layers } = resolved;
        let lease = self.lease(&layers, manifest_digest);
        let begun = Instant::now();
        let bytes = self.check_announced(&layers)?;
        let layers = match tokio::time::timeout(PULL_TIME_MAX, self.made(&session, &layers)).await {
            Ok(made) => made?,
            Err(_) => return Err(too_slow(&layers)),
        };
        self.make_room().await?;
        let images_max = self.inner.options.images_max;
        if self.inner.images().len() >= images_max {
            self.collect(self.inner.options.bytes_max).await?;
            if self.inner.images().len() >= images_max {
                return Err(no_room());
            }
        }
        let has_directories = self.directories(manifest_digest, &layers).await?;
        let made = MadeLayers { layers, has_directories };
        let named = (reference, endpoint);
        let image = self.record(named, digest, manifest_digest, config, made, &lease)?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.make_durable(&manifest_digest) {
                tracing::warn!(
                    event = "image_not_flushed",
                    %error,
                    "cannot flush an image to the disk: it is pulled again after a power loss"
                );
            }
        });
        tracing::info!(
            event = "image_pulled",
            image = %reference,
            digest = %image.digest,
            bytes,
            took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "an image was pulled"
        );
        Ok(image)
    }

    /// Under the lock that a sweep holds: a layer is swept before this and gone, or not at all.
    fn lease(&self, layers: &[(Descriptor, Digest)], manifest_digest: Digest) -> Lease {
        let _no_sweep = self.inner.images();
        let layers = layers.iter().map(|(_, diff_id)| *diff_id);
        self.inner.leases.take(layers.chain([manifest_digest]).collect())
    }

    /// Refuses an image that announces more than there may be; otherwise the bytes that have to come. What is here stays until
    /// they came.
    fn check_announced(&self, layers: &[(Descriptor, Digest)]) -> Result<u64, PullError> {
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
        let is_too_much = announced > options.bytes_max || !self.inner.may_fit(announced);
        if is_too_much { Err(no_room()) } else { Ok(announced) }
    }

    /// Throws unused images away if the layers that are here are too large; refuses the pull if that is not enough.
    async fn make_room(&self) -> Result<(), PullError> {
        let bytes_max = self.inner.options.bytes_max;
        if self.inner.bytes() > bytes_max {
            self.collect(bytes_max).await?;
        }
        if self.inner.bytes() > bytes_max { Err(no_room()) } else { Ok(()) }
    }

    /// Makes all layers. What nobody uses goes before a pull fails for want of space.
    async fn made(
        &self,
        session: &Session<'_>,
        layers: &[(Descriptor, Digest)],
    ) -> Result<Vec<LayerRecord>, PullError> {
        match self.layers_above_floor(session, layers).await {
            Err(PullError::DiskFull { .. }) => {
                self.collect(0).await?;
                self.layers_above_floor(session, layers).await
            }
            made => made,
        }
    }

    /// Ends when the disk has come to the floor: what is half-made goes then.
    async fn layers_above_floor(
        &self,
        session: &Session<'_>,
        layers: &[(Descriptor, Digest)],
    ) -> Result<Vec<LayerRecord>, PullError> {
        tokio::select! {
            biased;
            made = self.layers(session, layers) => made,
            () = self.inner.until_low() => Err(no_room()),
        }
    }

    async fn collect(&self, bytes_max: u64) -> Result<(), PullError> {
        if self.inner.opened_at.elapsed() < self.inner.options.collect_after {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let only_one = Arc::clone(&inner.collecting).lock_owned().await;
        let collected = tokio::task::spawn_blocking(move || {
            let collected = inner.collect(bytes_max);
            drop(only_one);
            collected
        });
        let collected = collected.await;
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
        let distinct = self.marked(layers)?;
        let Some(top) = distinct.iter().find(|layer| layer.marked_bytes > 0) else {
            return Ok(false);
        };
        let top = top.diff_id;
        let failed = |error| PullError::io("directories of an image", error);
        let in_work = InWork::new(&self.inner, format!("directories {manifest_digest}"));
        // The thread holds them until it ends, also if this pull is dropped.
        let only_one = Arc::clone(&in_work.lock).lock_owned().await;
        let place = Arc::clone(&self.inner.restoring).acquire_owned().await;
        let place = place.map_err(|error| failed(io::Error::other(error)))?;
        let (inner, wanted) = (Arc::clone(&self.inner), Wanted::new());
        let is_wanted = wanted.watch();
        let made = tokio::task::spawn_blocking(move || {
            let made = restore(&inner, &manifest_digest, &distinct, is_wanted);
            drop((only_one, in_work, place));
            made
        });
        match made.await.map_err(|error| failed(io::Error::other(error)))? {
            Ok(any) => Ok(any),
            Err(RestoreError::LimitExceeded(limit)) => {
                Err(PullError::extract(top, UnpackError::LimitExceeded(limit)))
            }
            Err(RestoreError::Io(error)) => Err(failed(error)),
            Err(error @ RestoreError::Unwanted) => Err(failed(io::Error::other(error))),
        }
    }

    /// The layers of an image, each once and the top first, if what they imply together is not too much. A layer is
    /// hidden by itself wherever it comes again below.
    fn marked(&self, layers: &[LayerRecord]) -> Result<Vec<LayerRecord>, PullError> {
        let marked_bytes_max = self.inner.options.limits.marked_path_bytes_max as u64;
        let (mut seen, mut distinct, mut marked_bytes) = (HashSet::new(), Vec::new(), 0_u64);
        for layer in layers.iter().rev().filter(|layer| seen.insert(layer.diff_id)) {
            marked_bytes += layer.marked_bytes;
            if marked_bytes > marked_bytes_max {
                let error = UnpackError::LimitExceeded("directories");
                return Err(PullError::extract(layer.diff_id, error));
            }
            distinct.push(layer.clone());
        }
        Ok(distinct)
    }

    fn record(
        &self,
        named: (&ImageReference, &RegistryEndpoint),
        digest: Digest,
        manifest_digest: Digest,
        config: ImageConfig,
        made: MadeLayers,
        lease: &Lease,
    ) -> Result<Image, PullError> {
        self.inner
            .record(named, digest, manifest_digest, config, made, lease)
            .map_err(|StoreError { source, .. }| PullError::io("image record", source))
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

    /// A layer that is here and may be taken for this one: see [`source`](crate::source).
    async fn shared(
        &self,
        session: &Session<'_>,
        blob: Digest,
        diff_id: Digest,
    ) -> Option<LayerRecord> {
        let endpoint = session.endpoint();
        let place = endpoint.place();
        if let Some(known) = self.inner.known_at(diff_id, &place, blob) {
            return Some(known);
        }
        if !self.inner.is_known_in(diff_id, &endpoint.registry(), blob) {
            return None;
        }
        match session.has_blob(blob).await {
            Ok(true) => self.inner.know_at(diff_id, &place, blob),
            Ok(false) => None,
            Err(error) => {
                tracing::debug!(%blob, %error, "not known whether the repository has it");
                None
            }
        }
    }

    /// The layer is there from here on, if it was not before: from another place.
    fn keep(
        &self,
        working: &Working<'_>,
        source: &str,
        blob: Digest,
        record: &LayerRecord,
    ) -> Result<(), PullError> {
        let place = self.inner.places.layer(&record.diff_id);
        let mut known = self.inner.known_layers();
        if !place.is_dir() {
            working.keep(&place).map_err(|error| PullError::io("layer", error))?;
            known.remove(&record.diff_id);
        }
        let layer = known
            .entry(record.diff_id)
            .or_insert_with(|| KnownLayer { record: record.clone(), sources: Vec::new() });
        layer.add(source, blob);
        Ok(())
    }

    async fn layer(
        &self,
        session: &Session<'_>,
        own: &Semaphore,
        blob: &Descriptor,
        diff_id: Digest,
    ) -> Result<LayerRecord, PullError> {
        let endpoint = session.endpoint();
        let place_of_it = endpoint.place();
        if let Some(known) = self.inner.known_at(diff_id, &place_of_it, blob.digest) {
            return Ok(known);
        }
        let closed =
            |error| PullError::Io { place: "download queue", source: io::Error::other(error) };
        // First: who holds a layer that others want is at it.
        let _own_permit = own.acquire().await.map_err(closed)?;
        let key = format!("{} {} {diff_id}", endpoint.authority, blob.digest);
        let in_work = InWork::new(&self.inner, key);
        let _only_one = in_work.lock.lock().await;
        if let Some(known) = self.shared(session, blob.digest, diff_id).await {
            return Ok(known);
        }
        let of_registry = OfRegistry::new(&self.inner, &endpoint.authority);
        let _of_registry = of_registry.places.acquire().await.map_err(closed)?;
        let _permit = self.inner.downloads.acquire().await.map_err(closed)?;
        let file =
            open_unnamed(&self.inner.places).map_err(|error| PullError::io("image blob", error))?;
        let options = &self.inner.options;
        let file = download(session, blob.digest, blob.size, file, &options.download)
            .await
            .map_err(|error| PullError::download(blob.digest, error))?;
        let working =
            Working::create(&self.inner).map_err(|error| PullError::io("layer", error))?;
        let (limits, is_of_disk) = self.inner.limits_now();
        let unpacked = options.unpacker.unpack(file, &working.directory, &limits).await;
        let unpacked = unpacked.map_err(|error| match error {
            UnpackError::LimitExceeded(LIMIT_ON_BYTES) if is_of_disk => no_room(),
            error => PullError::extract(diff_id, error),
        })?;
        if unpacked.diff_id != diff_id {
            return Err(PullError::DiffIdMismatch { expected: diff_id, found: unpacked.diff_id });
        }
        let Unpacked { bytes, implied, opaque, .. } = unpacked;
        let marks = Marks { implied, opaque };
        let record = LayerRecord::new(diff_id, bytes, blob.digest, marks.bytes());
        if record.marked_bytes > 0 {
            let inner = Arc::clone(&self.inner);
            let written = tokio::task::spawn_blocking(move || marks.write(&inner.places, &diff_id));
            let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            written.map_err(|error| PullError::io("layer", error))?;
        }
        self.keep(&working, &place_of_it, blob.digest, &record)?;
        self.make_room().await?;
        Ok(record)
    }
}

/// Blocks.
fn restore(
    inner: &Arc<Inner>,
    manifest_digest: &Digest,
    distinct: &[LayerRecord],
    is_wanted: impl Fn() -> bool,
) -> Result<bool, RestoreError> {
    let place = inner.places.layer(manifest_digest);
    let paths: Vec<PathBuf> =
        distinct.iter().map(|layer| inner.places.layer(&layer.diff_id)).collect();
    let marks = distinct.iter().map(|layer| match layer.marked_bytes {
        0 => Ok(Marks::default()),
        _ => Marks::read(&inner.places, &layer.diff_id),
    });
    let marks = marks.collect::<io::Result<Vec<Marks>>>()?;
    let described: Vec<directories::Layer<'_>> = std::iter::zip(&marks, &paths)
        .map(|(Marks { implied, opaque }, directory)| directories::Layer {
            directory,
            implied,
            opaque,
        })
        .collect();
    let working = Working::create(inner)?;
    let any = directories::restore(&described, &working.directory, is_wanted)?;
    if any && !place.is_dir() {
        working.keep(&place)?;
    }
    Ok(any)
}

fn too_slow(layers: &[(Descriptor, Digest)]) -> PullError {
    let url = "blobs".to_owned();
    let reason = format!("{} layers did not come within {PULL_TIME_MAX:?}", layers.len());
    let digest = layers.first().map_or_else(|| Digest::of(b""), |(blob, _)| blob.digest);
    PullError::download(digest, RegistryError::Unreachable { url, reason })
}
