//! What a pull has in the making: its blob, its layer directory, the lock on what it makes.
//!
//! **Invariant:** whatever is dropped before it is kept leaves the store as it was.

use crate::store::{DOWNLOADS_PER_REGISTRY_MAX, Inner, Places, discard};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Semaphore;

/// A file without a name: gone when it is closed, whatever happens.
pub(crate) fn open_unnamed(places: &Places) -> io::Result<File> {
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
pub(crate) struct InWork {
    inner: Arc<Inner>,
    key: String,
    pub lock: Arc<tokio::sync::Mutex<()>>,
}

impl InWork {
    pub fn new(inner: &Arc<Inner>, key: String) -> InWork {
        let mut all = inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(all.entry(key.clone()).or_default());
        InWork { inner: Arc::clone(inner), key, lock }
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        let mut all = self.inner.layers_in_work.lock().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one.
        if Arc::strong_count(&self.lock) == 2 {
            all.remove(&self.key);
        }
    }
}

/// The places of one registry, forgotten with their last user.
pub(crate) struct OfRegistry {
    inner: Arc<Inner>,
    authority: String,
    pub places: Arc<Semaphore>,
}

impl OfRegistry {
    pub fn new(inner: &Arc<Inner>, authority: &str) -> OfRegistry {
        let mut all = inner.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all
            .entry(authority.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(DOWNLOADS_PER_REGISTRY_MAX)));
        let places = Arc::clone(places);
        OfRegistry { inner: Arc::clone(inner), authority: authority.to_owned(), places }
    }
}

impl Drop for OfRegistry {
    fn drop(&mut self) {
        let mut all = self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one.
        if Arc::strong_count(&self.places) == 2 {
            all.remove(&self.authority);
        }
    }
}

/// A layer directory in the making; thrown away unless it is kept.
pub(crate) struct Working<'store> {
    inner: &'store Arc<Inner>,
    pub directory: PathBuf,
}

impl<'store> Working<'store> {
    pub fn create(inner: &'store Arc<Inner>) -> io::Result<Working<'store>> {
        let directory = inner.places.fresh(&inner.places.tmp)?;
        std::fs::create_dir(&directory)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&directory, mode)?;
        Ok(Working { inner, directory })
    }

    pub fn keep(&self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.directory, place)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        match discard(&self.directory, &self.inner.places) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(
                    event = "layer_not_discarded",
                    %error,
                    "cannot remove a layer that is only half made"
                );
            }
            Err(_) => {}
            Ok(()) => self.inner.empty_trash(),
        }
    }
}

/// Tells work on a thread that nobody waits for it any more.
pub(crate) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    pub fn new() -> Wanted {
        Wanted(Arc::new(AtomicBool::new(true)))
    }

    /// What the work asks now and then.
    pub fn watch(&self) -> impl Fn() -> bool + Send + use<> {
        let wanted = Arc::clone(&self.0);
        move || wanted.load(Ordering::Relaxed)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
