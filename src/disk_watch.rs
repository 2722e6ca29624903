//! Says when the disk of the data directory fills, in the log, in the metrics and in the health.
//!
//! **Invariant:** it only says so; who writes looks for itself, see `outport-free-space`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
                %directory,
                free,
                inodes_free = space.inodes_free,
                "the disk is nearly full: pushes, log events and new tasks are refused until there is \
                 room, running tasks go on and can be stopped; remove files, images or log groups, or \
                 give the data directory a larger disk"
            );
        } else {
            tracing::info!(%directory, free, "the disk has room again; everything is accepted");
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

    /// Gauges in Prometheus's text form.
    pub fn metrics(&self) -> String {
        let Ok(space) = FreeSpace::of(&self.inner.directory) else { return String::new() };
        let mut text = String::new();
        for (name, help, value) in [
            ("disk_free_bytes", "Free bytes of the data directory's disk.", space.bytes_free),
            ("disk_total_bytes", "Size of the data directory's disk.", space.bytes_total),
            ("disk_free_inodes", "Free inodes of the data directory's disk.", space.inodes_free),
            (
                "disk_low",
                "1 while pushes and log events are refused for lack of space.",
                u64::from(space.is_low_for(Part::DataPlanes)),
            ),
        ] {
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP outport_{name} {help}\n# TYPE outport_{name} gauge\noutport_{name} {value}\n"
            );
        }
        text
    }
}
