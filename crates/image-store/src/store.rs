//! The directory on disk: opening it, finding images in it, recording them.

use crate::digest::Digest;
use crate::download::DownloadLimits;
use crate::image::{Image, ImageRecord, MadeLayers, ReferenceRecord};
use crate::layer::UnpackLimits;
use crate::layer::process::Unpacker;
use crate::lease::{LayerHold, Lease, Leases};
use crate::manifest::{ImageConfig, Platform};
use crate::records::{Records, load, write_record};
use crate::reference::ImageReference;
use crate::registry::OwnRegistry;
use crate::registry::{HostNetwork, Network, RegistryClient, RegistryEndpoint};
use crate::source::{Grants, KnownLayer, Origin, PLACES_MAX, known_layers};
use crate::trash::Trash;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Layers that are downloaded or unpacked at once, by all pulls together. One pull has
/// [`DOWNLOADS_PER_PULL_MAX`](crate::pull::DOWNLOADS_PER_PULL_MAX): an image whose layers have no end keeps its own
/// places, until their deadlines, and not those of others.
const DOWNLOADS_MAX: usize = 24;
/// How many of them are for layers of one registry: a slow one, or one that means it, leaves the others theirs.
pub(crate) const DOWNLOADS_PER_REGISTRY_MAX: usize = DOWNLOADS_MAX / 2;
/// Images of containers that run from before are named within this long after the store was opened. Until then
/// nothing is thrown away to make room.
const TAKE_OVER_TIME: Duration = Duration::from_secs(60);
/// See [`StoreOptions::images_max`].
const IMAGES_MAX: usize = 1_000;
/// Images whose directories are looked at at once, each by a thread.
const RESTORING_MAX: usize = 2;
/// References, and digests of indexes, remembered for one image; the oldest goes first.
const REFERENCES_MAX: usize = 100;

/// How a store behaves.
#[derive(Clone)]
pub struct StoreOptions {
    /// What one layer may cost.
    pub limits: UnpackLimits,
    /// How slow a download may be.
    pub download: DownloadLimits,
    /// Most bytes of all layers together, decompressed. To stay below, images that nothing uses go before a pull
    /// fails.
    pub bytes_max: u64,
    /// Most images. Before there are more, the longest unused one goes: also one without a byte of layers is remembered.
    pub images_max: usize,
    /// From when on they may go: see there.
    pub collect_after: Duration,
    /// Resolves the names of registries, and says where they may send the node.
    pub network: Arc<dyn Network>,
    /// Where layers are unpacked.
    pub unpacker: Unpacker,
    /// Which platform's images are pulled.
    pub platform: Platform,
    /// How the registry of this installation is reached, if there is one.
    pub own_registry: Option<OwnRegistry>,
    /// Layers that containers run on: they stay when the store is opened, whatever records say of them. `None`: all do.
    pub layers_in_use: Option<Vec<PathBuf>>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            limits: UnpackLimits::default(),
            download: DownloadLimits::default(),
            bytes_max: u64::MAX,
            images_max: IMAGES_MAX,
            collect_after: TAKE_OVER_TIME,
            network: Arc::new(HostNetwork),
            unpacker: Unpacker::InProcess,
            platform: Platform::native(),
            own_registry: None,
            layers_in_use: Some(Vec::new()),
        }
    }
}

/// Why a store could not be opened, read or swept.
#[derive(Debug, thiserror::Error)]
#[error("image store: {path}: {source}", path = path.display())]
pub struct StoreError {
    /// The file or directory.
    pub path: PathBuf,
    /// The kernel's error.
    pub source: io::Error,
}

impl StoreError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
        move |source| StoreError { path: path.to_owned(), source }
    }
}

/// The images of this node. Cheap to clone; all clones are one store. One process may have a directory open.
#[derive(Clone)]
pub struct ImageStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub options: StoreOptions,
    pub places: Places,
    pub client: RegistryClient,
    pub downloads: Semaphore,
    /// Places for downloads, by the registry's authority.
    pub registries: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Held while the directories of an image are looked at: see [`directories`](crate::layer::directories).
    pub restoring: Arc<Semaphore>,
    /// Held while room is made: one thread at a time does, however many pulls lack it.
    pub collecting: Arc<tokio::sync::Mutex<()>>,
    pub trash: Trash,
    pub leases: Arc<Leases>,
    /// Held while a layer is made, so that it is made once. By where it comes from and what it claims to be: who only
    /// claims to have a layer does not keep others waiting for theirs.
    pub layers_in_work: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The layers that are here.
    pub known_layers: Mutex<HashMap<Digest, KnownLayer>>,
    pub grants: Mutex<Grants>,
    pub opened_at: Instant,
    boot_id: String,
    images: Mutex<BTreeMap<Digest, ImageRecord>>,
    /// Directories that records of other versions speak of: they are kept, for the version that understands them.
    pub kept_layers: HashSet<String>,
}

/// The directories of a store.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub images: PathBuf,
    pub layers: PathBuf,
    pub marks: PathBuf,
    pub tmp: PathBuf,
    pub trash: PathBuf,
}

impl Places {
    pub fn below(directory: &Path) -> Places {
        Places {
            images: directory.join("images"),
            layers: directory.join("layers"),
            marks: directory.join("marks"),
            tmp: directory.join("tmp"),
            trash: directory.join("trash"),
        }
    }

    pub fn create(&self) -> Result<(), StoreError> {
        for directory in [&self.images, &self.layers, &self.marks, &self.tmp, &self.trash] {
            fs::create_dir_all(directory).map_err(StoreError::at(directory))?;
            // Images have setuid programs: nobody but root may reach them outside of a container.
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(directory, private).map_err(StoreError::at(directory))?;
        }
        Ok(())
    }

    pub fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers.join(diff_id.hex())
    }

    pub fn marks(&self, diff_id: &Digest) -> PathBuf {
        self.marks.join(format!("{}.json", diff_id.hex()))
    }

    pub fn record(&self, manifest_digest: &Digest) -> PathBuf {
        self.images.join(format!("{}.json", manifest_digest.hex()))
    }

    /// Writes a file whole or not at all.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let tmp = self.fresh(&self.tmp)?;
        let mut file = File::create_new(&tmp)?;
        let written = file.write_all(bytes).and_then(|()| fs::rename(&tmp, path));
        if written.is_err() {
            // The first error is the one to report; opening the store clears tmp again.
            let _ = fs::remove_file(&tmp);
        }
        written
    }

    /// A new name in `directory` that nobody has.
    pub fn fresh(&self, directory: &Path) -> io::Result<PathBuf> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(directory.join(hex::encode(random)))
    }
}

impl ImageStore {
    /// Opens the store in `directory`, making it if need be. What a crash left half-done is thrown away; after a
    /// power loss (another boot), so is everything that had not been flushed to the disk.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<ImageStore, StoreError> {
        let places = Places::below(directory);
        places.create()?;
        let boot_id = fs::read_to_string(BOOT_ID).map_err(StoreError::at(Path::new(BOOT_ID)))?;
        let boot_id = boot_id.trim().to_owned();
        let Records { images, kept_layers } = load(&places, &boot_id)?;
        if let Some(in_use) = &options.layers_in_use {
            discard_unrecorded_layers(&places, &images, &kept_layers, in_use)?;
        }
        discard_unrecorded_marks(&places, &images)?;
        discard_all(&places.tmp, &places)?;
        let known_layers = known_layers(&images);
        let grants = Grants::new().map_err(StoreError::at(directory))?;
        let client = RegistryClient::new(&options.network, options.own_registry.as_ref());
        let store = ImageStore {
            inner: Arc::new(Inner {
                options,
                places,
                client,
                downloads: Semaphore::new(DOWNLOADS_MAX),
                registries: Mutex::default(),
                restoring: Arc::new(Semaphore::new(RESTORING_MAX)),
                collecting: Arc::default(),
                trash: Trash::default(),
                leases: Arc::default(),
                layers_in_work: Mutex::default(),
                known_layers: Mutex::new(known_layers),
                grants: Mutex::new(grants),
                opened_at: Instant::now(),
                boot_id,
                images: Mutex::new(images),
                kept_layers,
            }),
        };
        store.inner.empty_trash();
        Ok(store)
    }

    /// The image with this digest (of its manifest or of an index that led to it), if it is here.
    pub fn image(&self, digest: Digest) -> Option<Image> {
        let images = self.inner.images();
        let record = images
            .get(&digest)
            .or_else(|| images.values().find(|record| record.index_digests.contains(&digest)))?;
        Some(self.inner.handle(record, digest))
    }

    /// The image that this reference resolved to when it was last pulled, if it is still here. No registry is asked.
    pub fn find(&self, reference: &ImageReference) -> Option<Image> {
        if let Some(digest) = reference.digest() {
            return self.image(digest);
        }
        let name = reference.to_string();
        let images = self.inner.images();
        images.values().find_map(|record| {
            let found = record.references.iter().find(|entry| entry.reference == name)?;
            Some(self.inner.handle(record, found.digest))
        })
    }

    /// Holds layers by their directories, whatever images they are of; `None`: all that there are.
    pub fn hold_layers(&self, layers: Option<&[PathBuf]>) -> LayerHold {
        let all = || {
            let listed = fs::read_dir(&self.inner.places.layers).into_iter().flatten().flatten();
            listed.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let layers = layers.map_or_else(all, <[PathBuf]>::to_vec);
        let digest = |layer: &PathBuf| {
            let name = layer.file_name()?.to_str()?;
            format!("sha256:{name}").parse::<Digest>().ok()
        };
        LayerHold::new(self.inner.leases.take(layers.iter().filter_map(digest).collect()))
    }

    /// Digests of all images here, of their manifests.
    pub fn digests(&self) -> Vec<Digest> {
        self.inner.images().keys().copied().collect()
    }
}

impl Inner {
    pub fn images(&self) -> MutexGuard<'_, BTreeMap<Digest, ImageRecord>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn handle(&self, record: &ImageRecord, digest: Digest) -> Image {
        let held = record.layers.iter().map(|layer| layer.diff_id);
        let held = held.chain([record.manifest_digest]).collect();
        Image {
            digest,
            manifest_digest: record.manifest_digest,
            config: Arc::clone(&record.config),
            layers: record.directories().map(|name| self.places.layer(name)).collect(),
            bytes: record.layers.iter().map(|layer| layer.bytes).sum(),
            _lease: Arc::new(self.leases.take(held)),
        }
    }

    /// Whether an image that is here has a layer of directories; `None` if it is not here.
    pub fn has_directories(&self, manifest_digest: &Digest) -> Option<bool> {
        self.images().get(manifest_digest).map(|record| record.has_directories)
    }

    /// Remembers a complete image, made of what `endpoint` has. The lease must hold its layers until here.
    pub fn record(
        &self,
        (reference, endpoint): (&ImageReference, &RegistryEndpoint),
        resolved: Digest,
        manifest_digest: Digest,
        config: ImageConfig,
        made: MadeLayers,
        _lease: &Lease,
    ) -> Result<Image, StoreError> {
        let MadeLayers { layers, has_directories } = made;
        let mut images = self.images();
        let name = reference.to_string();
        forget_reference(&mut images, &name, &self.places)?;
        let mut record = images.get(&manifest_digest).cloned().unwrap_or_else(|| ImageRecord {
            manifest_digest,
            index_digests: Vec::new(),
            references: Vec::new(),
            config: Arc::new(config),
            origins: Vec::new(),
            layers: Vec::new(),
            used_at_s: 0,
            boot_id: self.boot_id.clone(),
            durable: false,
            has_directories,
        });
        if resolved != manifest_digest && !record.index_digests.contains(&resolved) {
            record.index_digests.push(resolved);
        }
        record.references.push(ReferenceRecord { reference: name, digest: resolved });
        if record.references.len() > REFERENCES_MAX {
            record.references.remove(0);
        }
        if record.index_digests.len() > REFERENCES_MAX {
            record.index_digests.remove(0);
        }
        // With the blobs, if it is of a version that did not remember them.
        record.layers = layers;
        let origin = Origin { place: endpoint.place(), is_public: endpoint.credentials.is_none() };
        match record.origins.iter_mut().find(|known| known.place == origin.place) {
            Some(known) => known.is_public |= origin.is_public,
            None => record.origins.push(origin),
        }
        if record.origins.len() > PLACES_MAX {
            record.origins.remove(0);
        }
        if endpoint.credentials.is_some() {
            self.grants().add(&manifest_digest, endpoint);
        }
        record.used_at_s = now_s();
        write_record(&self.places, &record)?;
        let image = self.handle(&record, resolved);
        images.insert(manifest_digest, record);
        Ok(image)
    }

    /// Notes that an image which was there already was used again.
    pub fn touch(&self, manifest_digest: &Digest) {
        if let Some(record) = self.images().get_mut(manifest_digest) {
            record.used_at_s = now_s();
        }
    }

    /// Flushes the layers to the disk and notes it, so that another boot trusts the image. Blocks.
    pub fn make_durable(&self, manifest_digest: &Digest) -> Result<(), StoreError> {
        let layers = &self.places.layers;
        if self.images().get(manifest_digest).is_none_or(|record| record.durable) {
            return Ok(());
        }
        let flush = File::open(layers).and_then(|directory| Ok(rustix::fs::syncfs(&directory)?));
        flush.map_err(StoreError::at(layers))?;
        let mut images = self.images();
        let Some(record) = images.get_mut(manifest_digest) else { return Ok(()) };
        record.durable = true;
        write_record(&self.places, record)
    }

    /// Takes an image out of the store; its layers stay until the next sweep.
    pub fn forget(
        images: &mut BTreeMap<Digest, ImageRecord>,
        places: &Places,
        manifest_digest: &Digest,
    ) -> Result<Option<ImageRecord>, StoreError> {
        let path = places.record(manifest_digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::at(&path)(error))
            }
            _ => Ok(images.remove(manifest_digest)),
        }
    }
}

/// A reference names one image: the one it is being recorded for now.
fn forget_reference(
    images: &mut BTreeMap<Digest, ImageRecord>,
    name: &str,
    places: &Places,
) -> Result<(), StoreError> {
    for record in images.values_mut() {
        let before = record.references.len();
        record.references.retain(|entry| entry.reference != name);
        if record.references.len() != before {
            write_record(places, record)?;
        }
    }
    Ok(())
}

fn discard_unrecorded_layers(
    places: &Places,
    images: &BTreeMap<Digest, ImageRecord>,
    kept: &HashSet<String>,
    in_use: &[PathBuf],
) -> Result<(), StoreError> {
    let mut known: HashSet<String> =
        images.values().flat_map(ImageRecord::directories).map(Digest::hex).collect();
    known.extend(kept.iter().cloned());
    let in_use = in_use.iter().filter_map(|layer| layer.file_name()?.to_str());
    known.extend(in_use.map(str::to_owned));
    for entry in fs::read_dir(&places.layers).map_err(StoreError::at(&places.layers))? {
        let entry = entry.map_err(StoreError::at(&places.layers))?;
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            discard(&entry.path(), places).map_err(StoreError::at(&entry.path()))?;
        }
    }
    Ok(())
}

fn discard_unrecorded_marks(
    places: &Places,
    images: &BTreeMap<Digest, ImageRecord>,
) -> Result<(), StoreError> {
    let layers = images.values().flat_map(|image| &image.layers);
    let marked = layers.filter(|layer| layer.marked_bytes > 0);
    let known: HashSet<PathBuf> = marked.map(|layer| places.marks(&layer.diff_id)).collect();
    for entry in fs::read_dir(&places.marks).map_err(StoreError::at(&places.marks))? {
        let path = entry.map_err(StoreError::at(&places.marks))?.path();
        if !known.contains(&path) {
            fs::remove_file(&path).map_err(StoreError::at(&path))?;
        }
    }
    Ok(())
}

/// A file that is gone by itself meanwhile is what was wanted: of a store that this process had open before, a thread may
/// still be about to note that an image is durable.
fn discard_all(directory: &Path, places: &Places) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory).map_err(StoreError::at(directory))? {
        let path = entry.map_err(StoreError::at(directory))?.path();
        match discard(&path, places) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::at(&path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves something to the trash: at once gone from its place, however large it is.
pub(crate) fn discard(path: &Path, places: &Places) -> io::Result<()> {
    fs::rename(path, places.fresh(&places.trash)?)
}

pub(crate) fn now_s() -> u64 {
    // A clock before 1970 makes an image look unused, no more.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
