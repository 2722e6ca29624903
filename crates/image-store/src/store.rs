//! The directory on disk: opening it, finding images in it, recording them.

use crate::digest::Digest;
use crate::download::DownloadLimits;
use crate::image::{Image, ImageRecord, LayerRecord, MadeLayers, ReferenceRecord};
use crate::layer::UnpackLimits;
use crate::layer::process::Unpacker;
use crate::lease::{Lease, Leases};
use crate::manifest::{ImageConfig, Platform};
use crate::reference::ImageReference;
use crate::registry::{HostNetwork, Network, RegistryClient};
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
/// Images of containers that run from before are named within this long after the store was opened. Until then
/// nothing is thrown away to make room.
const TAKE_OVER_TIME: Duration = Duration::from_secs(60);
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
    /// From when on they may go: see there.
    pub collect_after: Duration,
    /// Resolves the names of registries, and says where they may send the node.
    pub network: Arc<dyn Network>,
    /// Where layers are unpacked.
    pub unpacker: Unpacker,
    /// Which platform's images are pulled.
    pub platform: Platform,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            limits: UnpackLimits::default(),
            download: DownloadLimits::default(),
            bytes_max: u64::MAX,
            collect_after: TAKE_OVER_TIME,
            network: Arc::new(HostNetwork),
            unpacker: Unpacker::InProcess,
            platform: Platform::native(),
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
    pub leases: Arc<Leases>,
    /// Held while a layer is made, so that it is made once. By where it comes from and what it claims to be: who only
    /// claims to have a layer does not keep others waiting for theirs.
    pub layers_in_work: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The layers that are here.
    pub known_layers: Mutex<HashMap<Digest, LayerRecord>>,
    pub opened_at: Instant,
    boot_id: String,
    images: Mutex<BTreeMap<Digest, ImageRecord>>,
}

/// The directories of a store.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub images: PathBuf,
    pub layers: PathBuf,
    pub tmp: PathBuf,
    pub trash: PathBuf,
}

impl Places {
    fn below(directory: &Path) -> Places {
        Places {
            images: directory.join("images"),
            layers: directory.join("layers"),
            tmp: directory.join("tmp"),
            trash: directory.join("trash"),
        }
    }

    fn create(&self) -> Result<(), StoreError> {
        for directory in [&self.images, &self.layers, &self.tmp, &self.trash] {
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

    fn record(&self, manifest_digest: &Digest) -> PathBuf {
        self.images.join(format!("{}.json", manifest_digest.hex()))
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
        let images = load(&places, &boot_id)?;
        discard_unrecorded_layers(&places, &images)?;
        discard_all(&places.tmp, &places)?;
        let layers = images.values().flat_map(|image| &image.layers);
        let known_layers = layers.map(|layer| (layer.diff_id, layer.clone())).collect();
        let client = RegistryClient::new(&options.network);
        let store = ImageStore {
            inner: Arc::new(Inner {
                options,
                places,
                client,
                downloads: Semaphore::new(DOWNLOADS_MAX),
                leases: Arc::default(),
                layers_in_work: Mutex::default(),
                known_layers: Mutex::new(known_layers),
                opened_at: Instant::now(),
                boot_id,
                images: Mutex::new(images),
            }),
        };
        let inner = Arc::clone(&store.inner);
        std::thread::spawn(move || inner.empty_trash());
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
            config: record.config.clone(),
            layers: record.directories().map(|name| self.places.layer(name)).collect(),
            bytes: record.layers.iter().map(|layer| layer.bytes).sum(),
            _lease: Arc::new(self.leases.take(held)),
        }
    }

    /// Whether an image that is here has a layer of directories; `None` if it is not here.
    pub fn has_directories(&self, manifest_digest: &Digest) -> Option<bool> {
        self.images().get(manifest_digest).map(|record| record.has_directories)
    }

    /// Deletes what is in the trash. Whatever cannot be deleted now is tried again at the next opening.
    pub fn empty_trash(&self) {
        self.options.unpacker.empty(&self.places.trash);
    }

    /// Remembers a complete image. The lease must hold its layers until here.
    pub fn record(
        &self,
        reference: &ImageReference,
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
            config,
            layers,
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
    ) -> Result<(), StoreError> {
        let path = places.record(manifest_digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::at(&path)(error))
            }
            _ => {
                images.remove(manifest_digest);
                Ok(())
            }
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

fn write_record(places: &Places, record: &ImageRecord) -> Result<(), StoreError> {
    let path = places.record(&record.manifest_digest);
    let write = || {
        let bytes = serde_json::to_vec(record)?;
        let tmp = places.fresh(&places.tmp)?;
        let mut file = File::create_new(&tmp)?;
        let written = file.write_all(&bytes).and_then(|()| fs::rename(&tmp, &path));
        if written.is_err() {
            // The first error is the one to report; opening the store clears tmp again.
            let _ = fs::remove_file(&tmp);
        }
        written
    };
    write().map_err(StoreError::at(&path))
}

fn load(places: &Places, boot_id: &str) -> Result<BTreeMap<Digest, ImageRecord>, StoreError> {
    let mut images = BTreeMap::new();
    let listed = fs::read_dir(&places.images).map_err(StoreError::at(&places.images))?;
    for entry in listed {
        let path = entry.map_err(StoreError::at(&places.images))?.path();
        let bytes = fs::read(&path).map_err(StoreError::at(&path))?;
        match serde_json::from_slice::<ImageRecord>(&bytes) {
            Ok(record) if is_whole(places, &record, boot_id) => {
                images.insert(record.manifest_digest, record);
            }
            other => {
                tracing::warn!(path = %path.display(), readable = other.is_ok(), "image dropped");
                fs::remove_file(&path).map_err(StoreError::at(&path))?;
            }
        }
    }
    Ok(images)
}

fn is_whole(places: &Places, record: &ImageRecord, boot_id: &str) -> bool {
    (record.durable || record.boot_id == boot_id)
        && record.directories().all(|name| places.layer(name).is_dir())
}

fn discard_unrecorded_layers(
    places: &Places,
    images: &BTreeMap<Digest, ImageRecord>,
) -> Result<(), StoreError> {
    let known: HashSet<String> =
        images.values().flat_map(ImageRecord::directories).map(Digest::hex).collect();
    for entry in fs::read_dir(&places.layers).map_err(StoreError::at(&places.layers))? {
        let entry = entry.map_err(StoreError::at(&places.layers))?;
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            discard(&entry.path(), places).map_err(StoreError::at(&entry.path()))?;
        }
    }
    Ok(())
}

fn discard_all(directory: &Path, places: &Places) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory).map_err(StoreError::at(directory))? {
        let path = entry.map_err(StoreError::at(directory))?.path();
        discard(&path, places).map_err(StoreError::at(&path))?;
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
