//! The disks of a node: some ready, the others with their tasks.
//!
//! ```text
//! fill ──→ ready ── take ──→ of a task ── give back, little was written ──→ ready
//!                                       └─ else, or enough are ready ──→ removed
//! ```
//!
//! **Invariant:** a disk in `ready` has nothing of a task on it and is mounted by nobody else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::{TaskDisk, host_bytes};
use crate::image::copy_sparse;
use crate::{DiskError, template};

/// Disks of the usual size that are made ahead.
const READY_MIN: usize = 8;
/// Disks that are kept for the next tasks; each costs the kernel some 200 KiB.
const READY_MAX: usize = 64;
/// A disk whose image takes more of the host than this is removed instead of used again.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// Makes, keeps and finds disks.
#[derive(Debug)]
pub struct TaskDisks {
    templates: PathBuf,
    /// Images of disks that are ready.
    images: PathBuf,
    usual_gib: u32,
    state: Mutex<State>,
    /// Held by the one who fills.
    filling: Mutex<()>,
    /// Held by the one who opens a template, which he may have to make.
    templating: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    ready: Vec<TaskDisk>,
    /// Numbers of images, for their names.
    next: u64,
}

impl TaskDisks {
    /// Works in `directory`, which is this node's alone, and makes one disk of the usual size: whether
    /// this host can make any is known when this returns, unless its disk is full; then they are made when
    /// there is room. Images that an earlier agent had ready are removed.
    ///
    /// # Errors
    /// When mkfs.ext4 or loop devices are missing.
    pub fn open(directory: &Path, usual_gib: u32) -> Result<Self, DiskError> {
        let (templates, images) = (directory.join("templates"), directory.join("ready"));
        match fs::remove_dir_all(&images) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(DiskError::io("empty", &images))?,
        }
        for each in [&templates, &images] {
            fs::create_dir_all(each).map_err(DiskError::io("make", each))?;
        }
        let (state, filling, templating) = Default::default();
        let disks = Self { templates, images, usual_gib, state, filling, templating };
        match disks.make(usual_gib) {
            Ok(first) => disks.state().ready.push(first),
            // Tasks that run here are taken over, and can be stopped, all the same.
            Err(error) if error.is_full() => {
                tracing::warn!(
                    event = "task_disks_delayed",
                    %error,
                    "the disk is full: no disks are made ahead for new tasks"
                );
            }
            Err(error) => return Err(error),
        }
        Ok(disks)
    }

    /// The size of a disk of which nobody said another.
    pub fn usual_gib(&self) -> u32 {
        self.usual_gib
    }

    /// Makes disks until enough are ready. For a thread that may wait; one that finds another at it goes.
    ///
    /// # Errors
    /// Those of making one.
    pub fn fill(&self) -> Result<(), DiskError> {
        let Ok(_filling) = self.filling.try_lock() else { return Ok(()) };
        while self.state().ready.len() < READY_MIN {
            let disk = self.make(self.usual_gib)?;
            self.state().ready.push(disk);
        }
        Ok(())
    }

    /// A disk with its image at `image`, where an earlier agent may have put one for the same task.
    ///
    /// # Errors
    /// Those of making one, if none is ready.
    pub fn take(&self, gib: Option<u32>, image: &Path) -> Result<TaskDisk, DiskError> {
        let gib = gib.unwrap_or(self.usual_gib);
        if image.exists() {
            return TaskDisk::attach_again(image, gib);
        }
        let mut disk = match self.ready(gib) {
            Some(disk) => disk,
            None => self.make(gib)?,
        };
        disk.move_to(image.to_owned())?;
        Ok(disk)
    }

    /// Takes back a disk that no shim has any more. `emptied`: whether its content is gone.
    ///
    /// # Errors
    /// When its image cannot be removed.
    pub fn give_back(&self, mut disk: TaskDisk, emptied: bool) -> Result<(), DiskError> {
        let small = host_bytes(&disk.image).is_ok_and(|bytes| bytes <= KEPT_BYTES_MAX);
        if emptied && small && disk.gib == self.usual_gib && disk.renew().is_ok() {
            let image = self.next_image();
            if self.state().ready.len() < READY_MAX && disk.move_to(image).is_ok() {
                self.state().ready.push(disk);
                return Ok(());
            }
        }
        remove_image(&disk.image)
    }

    /// Whether a disk is worth to be emptied.
    pub fn is_kept(&self, disk: &TaskDisk) -> bool {
        let small = disk.usage().is_ok_and(|usage| usage.bytes <= KEPT_BYTES_MAX);
        small && disk.gib == self.usual_gib && self.state().ready.len() < READY_MAX
    }

    /// Removes what is ready, at the end.
    ///
    /// # Errors
    /// When an image cannot be removed.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.state().ready.clear();
        for entry in fs::read_dir(&self.images).map_err(DiskError::io("list", &self.images))? {
            remove_image(&entry.map_err(DiskError::io("list", &self.images))?.path())?;
        }
        Ok(())
    }

    fn ready(&self, gib: u32) -> Option<TaskDisk> {
        let mut state = self.state();
        let index = state.ready.iter().rposition(|disk| disk.gib == gib)?;
        Some(state.ready.swap_remove(index))
    }

    /// A template that does not mount, as a crash or an earlier version may leave one, is made anew, once.
    fn make(&self, gib: u32) -> Result<TaskDisk, DiskError> {
        match self.make_once(gib) {
            Err(error) if error.is_unmountable() => {
                tracing::warn!(
                    event = "task_disk_template_remade",
                    %error,
                    gib,
                    "the template of a task's disk is damaged and is made again"
                );
                {
                    let _mine = self.templating();
                    template::remove(&self.templates, gib)?;
                }
                self.make_once(gib)
            }
            made => made,
        }
    }

    fn make_once(&self, gib: u32) -> Result<TaskDisk, DiskError> {
        let image = self.next_image();
        let template = {
            let _mine = self.templating();
            template::open(&self.templates, gib)
        };
        let made = template.and_then(|template| {
            let file = copy_sparse(&template, &image).map_err(DiskError::io("make", &image))?;
            TaskDisk::attach(&image, &file, gib)
        });
        if made.is_err() {
            // Why there is no disk counts more than what is left of it, which the next start removes.
            let _ = fs::remove_file(&image);
        }
        made
    }

    fn next_image(&self) -> PathBuf {
        let mut state = self.state();
        state.next += 1;
        self.images.join(format!("{}.img", state.next))
    }

    fn templating(&self) -> MutexGuard<'_, ()> {
        self.templating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes an image. One that is gone is as good.
fn remove_image(image: &Path) -> Result<(), DiskError> {
    match fs::remove_file(image) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::io("remove", image)(error))
        }
        _ => Ok(()),
    }
}
