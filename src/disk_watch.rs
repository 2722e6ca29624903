//! Says when the disk of the data directory fills, in the log, in the metrics and in the health.
//!
//! **Invariant:** it only says so; who writes looks for itself, see `outport-free-space`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::gauge;
use outport_free_space::{FreeSpace, Part, readable_bytes};

/// A clone watches the same.
#[derive(Clone)]
pub struct DiskWatch {
    inner: Arc<Inner>,
}

struct Inner {
    directory: std::path::PathBuf,
    was_low: AtomicBool,
}

impl DiskWatch {
    pub fn new(directory: &Path) -> Self {
        let inner = Inner { directory: directory.to_owned(), was_low: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// Tells the log when the disk has become full, and when it has room again.
    pub fn look(&self) {
        let Ok(space) = FreeSpace::of(&self.inner.directory) else { return };
        let is_low = space.is_low_for(Part::DataPlanes);
        if self.inner.was_low.swap(is_low, Ordering::AcqRel) == is_low {
            return;
        }
        let (directory, free) = (self.inner.directory.display(), readable_bytes(space.bytes_free));
        if is_low {
            tracing::error!(
                event = "disk_nearly_full",
                %directory,
                free,
                inodes_free = space.inodes_free,
                "the disk is nearly full: pushes, log events and new tasks are refused until there is \
                 room, running tasks go on and can be stopped; remove files, images or log groups, or \
                 give the data directory a larger disk"
            );
        } else {
            tracing::info!(
                event = "disk_has_room",
                %directory,
                free,
                "the disk has room again; everything is accepted"
            );
        }
    }

    /// A line for the health, when there is something to say.
    pub fn detail(&self) -> Option<String> {
        let space = FreeSpace::of(&self.inner.directory).ok()?;
        let refused = match space {
            space if space.is_low_for(Part::Journal) => {
                "new rows, pushes, log events and new tasks"
            }
            space if space.is_low_for(Part::DataPlanes) => "pushes, log events and new tasks",
            space if space.is_low_for(Part::NewTasks) => "new tasks",
            _ => return None,
        };
        Some(format!(
            "disk nearly full: {} and {} inodes free, {refused} are refused\n",
            readable_bytes(space.bytes_free),
            space.inodes_free
        ))
    }

    /// Sets the gauges.
    pub fn measure(&self) {
        let Ok(space) = FreeSpace::of(&self.inner.directory) else { return };
        gauge!("outport_disk_free_bytes").set(space.bytes_free as f64);
        gauge!("outport_disk_total_bytes").set(space.bytes_total as f64);
        gauge!("outport_disk_free_inodes").set(space.inodes_free as f64);
        let is_low = space.is_low_for(Part::DataPlanes);
        gauge!("outport_disk_low").set(f64::from(u8::from(is_low)));
    }
}
