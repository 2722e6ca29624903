//! Whether the disk has room for another layer: images stop above what tasks, the registry and the control plane need.
//!
//! | when | what is asked |
//! |---|---|
//! | before a pull | whether what its layers announce may fit above the floor, should all images go |
//! | before a layer is unpacked | how much is above the floor: it may write no more |
//! | while layers are made | every now and then whether all pulls together have come to the floor |
//!
//! **Invariant:** images that nobody uses go before one that is wanted is refused, but not for what an image only
//! claims: bytes must have come.

use crate::error::PullError;
use crate::layer::UnpackLimits;
use crate::store::{ImageStore, Inner, StoreError};
use outport_free_space::{FreeSpace, Part};
use std::time::Duration;

/// How often the disk is looked at while layers are made. A fast disk takes some tens of megabytes meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

impl ImageStore {
    /// Throws images away that nobody uses, longest unused first, so that the disk has `bytes_free` and again half as
    /// much. Gives whether there were any. Blocks while it deletes.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make_disk_room(&self, bytes_free: u64) -> Result<bool, StoreError> {
        if self.inner.opened_at.elapsed() < self.inner.options.collect_after {
            return Ok(false);
        }
        let Some(space) = self.inner.space() else { return Ok(false) };
        // Of inodes it is not known how many an image gives back.
        let missing = if space.bytes_free >= bytes_free {
            u64::MAX
        } else {
            (bytes_free + bytes_free / 2).saturating_sub(space.bytes_free)
        };
        let before = self.inner.images().len();
        self.inner.collect(self.inner.bytes().saturating_sub(missing))?;
        Ok(self.inner.images().len() < before)
    }
}

impl ImageStore {
    /// See [`StoreOptions::bytes_max`](crate::StoreOptions).
    pub fn bytes_max(&self) -> u64 {
        self.inner.options.bytes_max
    }
}

impl Inner {
    /// `None` where the file system does not say: it refuses by itself.
    fn space(&self) -> Option<FreeSpace> {
        FreeSpace::of(&self.places.layers).ok()
    }

    /// Whether `announced` more might fit above the floor, if all images that are here went.
    pub fn may_fit(&self, announced: u64) -> bool {
        let Some(space) = self.space() else { return true };
        let needed = Part::Images.floor(&space).bytes.saturating_add(announced);
        announced == 0 || needed <= space.bytes_free.saturating_add(self.bytes())
    }

    /// The limits of a layer that is begun now, and whether the disk is what bounds its bytes.
    pub fn limits_now(&self) -> (UnpackLimits, bool) {
        let limits = self.options.limits;
        let Some(space) = self.space() else { return (limits, false) };
        let above = space.bytes_free.saturating_sub(Part::Images.floor(&space).bytes);
        let bytes_max = limits.bytes_max.min(above);
        (UnpackLimits { bytes_max, ..limits }, above < limits.bytes_max)
    }

    /// Returns when the disk has no more room for images.
    pub async fn until_low(&self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if self.space().is_some_and(|space| space.is_low_for(Part::Images)) {
                return;
            }
        }
    }
}

/// A limit that the disk set is the disk's refusal.
pub(crate) fn no_room() -> PullError {
    PullError::DiskFull { place: "image store".to_owned() }
}
