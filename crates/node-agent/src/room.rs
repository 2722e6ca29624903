//! What a node does as its disk fills: it throws away images that nobody uses, takes no new task, then pulls
//! nothing (see `outport-image-store`), then stops the task that took most.
//!
//! A task's disk has a size, but all of them together may be larger than the host's disk, and others write
//! there, too. ECS on EC2 does nothing here, and the instance dies of it; Fargate's disks are never shared.
//!
//! **Invariant:** one task at a time is stopped, and only one that takes more than its share of what tasks
//! take: a task that writes little is not stopped for what others fill.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outport_free_space::{FreeSpace, Part, readable_bytes};
use outport_image_store::ImageStore;
use outport_model::TaskId;

use crate::machine::{Disks, KeptOutputs};

/// How often the disk is looked at. A fast disk takes some gigabytes meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a task that was told to stop has before the next one is.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
/// A task is worth to be stopped if it takes this part of what is missing.
const WORTH_SHARE: u64 = 8;

/// Looks at the disk of a node's directory.
pub struct RoomWatch {
    pub directory: std::path::PathBuf,
    pub disks: Arc<Disks>,
    pub images: ImageStore,
    pub outputs: Arc<KeptOutputs>,
    /// Whether there is room for new tasks.
    pub has_room: Arc<AtomicBool>,
}

/// Why there is no room for `part` on the file system of `directory`.
///
/// # Errors
/// A sentence for whoever asked for it.
pub fn check(directory: &Path, part: Part) -> Result<(), String> {
    match FreeSpace::of(directory) {
        Ok(space) if space.is_low_for(part) => Err(no_room(&space, part)),
        // One that does not say how full it is refuses by itself.
        _ => Ok(()),
    }
}

fn no_room(space: &FreeSpace, part: Part) -> String {
    let floor = part.floor(space);
    format!(
        "no space left on the node: {} and {} inodes are free on its disk, which keeps {} and {} inodes",
        readable_bytes(space.bytes_free),
        space.inodes_free,
        readable_bytes(floor.bytes),
        floor.inodes
    )
}

impl RoomWatch {
    /// Runs until it is dropped. `changed` is called when new tasks are taken or no longer taken, `stop`
    /// for a task that is to end, with the reason.
    pub async fn run(self, changed: impl Fn(), stop: impl Fn(&TaskId, String)) {
        let mut stopped: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Some(space) = self.look().await else { continue };
            let has_room = !space.is_low_for(Part::NewTasks);
            if self.has_room.swap(has_room, Ordering::AcqRel) != has_room {
                tell(&self.directory, &space, has_room);
                changed();
            }
            if has_room || !space.is_low_for(Part::RunningTasks) {
                continue;
            }
            if stopped.is_some_and(|at| at.elapsed() < STOP_PATIENCE) {
                continue;
            }
            if let Some((task, bytes)) = self.offender(&space).await {
                stopped = Some(Instant::now());
                let reason = format!(
                    "The disk of the host is nearly full; this task took most of it ({}).",
                    readable_bytes(bytes)
                );
                tracing::warn!(
                    event = "task_stopped_for_disk",
                    %task,
                    reason,
                    "a task is stopped: the node's disk is nearly full and the task took most of it"
                );
                stop(&task, reason);
            }
        }
    }

    async fn look(&self) -> Option<FreeSpace> {
        let (directory, disks, had_room) =
            (self.directory.clone(), self.disks.clone(), self.has_room.load(Ordering::Acquire));
        let (images, outputs) = (self.images.clone(), self.outputs.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let space = with_outputs_gone(&outputs, &directory)?;
            let space = with_images_gone(space, &images, &directory)?;
            if !space.is_low_for(Part::NewTasks) {
                // A launch that finds a disk ready does not wait for one to be made.
                if let Err(error) = disks.fill() {
                    tracing::warn!(
                        event = "task_disks_not_made",
                        %error,
                        "cannot make disks for tasks ahead: launches make their own"
                    );
                }
            } else if had_room {
                disks.trim();
            }
            Some(space)
        });
        looked.await.ok().flatten()
    }

    async fn offender(&self, space: &FreeSpace) -> Option<(TaskId, u64)> {
        let disks = self.disks.clone();
        let taken = tokio::task::spawn_blocking(move || disks.host_bytes()).await.ok()?;
        offender(taken, Part::RunningTasks.floor(space).bytes)
    }
}

/// What is free, once what tasks wrote that are over has made room for new ones.
fn with_outputs_gone(outputs: &KeptOutputs, directory: &Path) -> Option<FreeSpace> {
    let space = FreeSpace::of(directory).ok()?;
    if !space.is_low_for(Part::NewTasks) {
        return Some(space);
    }
    match outputs.clear() {
        Ok(true) => FreeSpace::of(directory).ok(),
        Ok(false) => Some(space),
        Err(error) => {
            tracing::error!(
                event = "task_outputs_not_removed",
                %error,
                "cannot remove what containers wrote whose tasks are over"
            );
            Some(space)
        }
    }
}

/// What is free, once images that nobody uses have made room for new tasks.
fn with_images_gone(space: FreeSpace, images: &ImageStore, directory: &Path) -> Option<FreeSpace> {
    if !space.is_low_for(Part::NewTasks) {
        return Some(space);
    }
    match images.make_disk_room(Part::NewTasks.floor(&space).bytes) {
        Ok(true) => FreeSpace::of(directory).ok(),
        Ok(false) => Some(space),
        Err(error) => {
            tracing::error!(event = "images_not_removed", %error, "cannot remove unused images");
            Some(space)
        }
    }
}

/// The one that takes most, if that is more than its share of all and not little beside `missing`.
fn offender(taken: Vec<(TaskId, u64)>, missing: u64) -> Option<(TaskId, u64)> {
    let total: u64 = taken.iter().map(|(_, bytes)| bytes).sum();
    let share = total / u64::try_from(taken.len().max(1)).unwrap_or(u64::MAX);
    let most = taken.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    (most.1 >= share && most.1 >= missing / WORTH_SHARE).then_some(most)
}

fn tell(directory: &Path, space: &FreeSpace, has_room: bool) {
    let (directory, free) = (directory.display(), readable_bytes(space.bytes_free));
    if has_room {
        tracing::info!(
            event = "node_disk_has_room",
            %directory,
            free,
            "the node's disk has room again; new tasks are taken"
        );
    } else {
        tracing::error!(
            event = "node_disk_nearly_full",
            %directory,
            free,
            inodes_free = space.inodes_free,
            "the node's disk is nearly full: no new tasks are taken until there is room"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_offender(taken: &[(&str, u64)], missing: u64, expected: Option<&str>) {
        let taken = taken.iter().map(|(task, bytes)| (TaskId::new(*task), *bytes)).collect();
        let found = offender(taken, missing);
        assert_eq!(found.as_ref().map(|(task, _)| task.as_str()), expected);
    }

    #[test]
    fn the_task_that_took_most_is_stopped_if_that_helps() {
        check_offender(&[], 100, None);
        check_offender(&[("a", 50), ("b", 900), ("c", 60)], 100, Some("b"));
        // A stranger filled the disk.
        check_offender(&[("a", 5), ("b", 9)], 100, None);
        check_offender(&[("a", 500)], 100, Some("a"));
    }
}
