//! Throwing away images that nothing uses.

use crate::digest::Digest;
use crate::image::ImageRecord;
use crate::marks::Marks;
use crate::store::{ImageStore, Inner, StoreError, discard, now_s};
use outport_model::Now;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A century: size alone counts.
const ANY_AGE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When an unused image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPolicy {
    /// An image that no pull named and no task used for this long goes (ECS's agent: one hour at least).
    pub unused_age_max: Duration,
    /// When the images together are larger than this, unused ones go too, longest unused first. Decompressed bytes.
    pub bytes_max: u64,
}

/// What a sweep threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Images.
    pub images: usize,
    /// Layers.
    pub layers: usize,
}

impl ImageStore {
    /// Throws away what nobody needs. `in_use` are the manifest digests of the images of existing tasks; images and
    /// layers under a lease (a live [`Image`](crate::Image), a running pull) stay as well. Blocks while it deletes.
    pub fn sweep(
        &self,
        in_use: &HashSet<Digest>,
        policy: &SweepPolicy,
        now: &Now,
    ) -> Result<Swept, StoreError> {
        let swept = self.inner.sweep(in_use, policy, usize::MAX, now)?;
        self.inner.empty_trash_and_wait();
        Ok(swept)
    }
}

impl Inner {
    /// Throws images away that nothing uses until all that stay have at most `bytes_max`, and there is a place for one
    /// more. Blocks while it deletes.
    pub fn collect(self: &Arc<Inner>, bytes_max: u64) -> Result<(), StoreError> {
        let policy = SweepPolicy { unused_age_max: ANY_AGE, bytes_max };
        let now = Now::steady_at(i64::try_from(now_s()).unwrap_or(0).saturating_mul(1_000));
        let swept =
            self.sweep(&HashSet::new(), &policy, self.options.images_max.saturating_sub(1), &now)?;
        if swept.layers > 0 {
            tracing::info!(
                event = "image_room_made",
                images = swept.images,
                layers = swept.layers,
                "unused images were removed to make room for one more"
            );
            self.empty_trash_and_wait();
        }
        Ok(())
    }

    /// Decompressed bytes of all layers here.
    pub fn bytes(&self) -> u64 {
        let known = self.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|layer| layer.record.bytes).sum()
    }

    /// Bytes of layers that a running pull has made, or found made, for an image that is not recorded yet.
    fn bytes_in_work(&self, images: &BTreeMap<Digest, ImageRecord>) -> u64 {
        let recorded: HashSet<Digest> =
            images.values().flat_map(|image| &image.layers).map(|layer| layer.diff_id).collect();
        let known = self.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
        let in_work = known.values().filter(|layer| {
            !recorded.contains(&layer.record.diff_id) && self.leases.is_held(&layer.record.diff_id)
        });
        in_work.map(|layer| layer.record.bytes).sum()
    }

    fn sweep(
        &self,
        in_use: &HashSet<Digest>,
        policy: &SweepPolicy,
        images_max: usize,
        now: &Now,
    ) -> Result<Swept, StoreError> {
        let now_s = u64::try_from(now.wall_ms / 1_000).unwrap_or(0);
        // Held to the end: a pull records its image under this lock, and holds leases before that.
        let mut images = self.images();
        let mut by_use: Vec<(u64, Digest)> =
            images.values().map(|record| (record.used_at_s, record.manifest_digest)).collect();
        by_use.sort_unstable();
        let mut swept = Swept::default();
        let mut bytes = self.bytes_in_work(&images);
        let mut users = Users::default();
        for record in images.values() {
            bytes += users.add(record);
        }
        for (used_at_s, digest) in by_use {
            if in_use.contains(&digest) || self.leases.is_held(&digest) {
                // The age counts from the end of the last use, as far as sweeps have seen it.
                if let Some(record) = images.get_mut(&digest) {
                    record.used_at_s = now_s;
                }
                continue;
            }
            let used_at_ms = i64::try_from(used_at_s).unwrap_or(i64::MAX).saturating_mul(1_000);
            let too_old = now.age_ms(used_at_ms) / 1_000 > policy.unused_age_max.as_secs() as i64;
            if too_old || bytes > policy.bytes_max || images.len() > images_max {
                if let Some(record) = Inner::forget(&mut images, &self.places, &digest)? {
                    bytes -= users.remove(&record);
                }
                swept.images += 1;
            }
        }
        let mut needed: HashSet<String> =
            images.values().flat_map(ImageRecord::directories).map(Digest::hex).collect();
        needed.extend(self.kept_layers.iter().cloned());
        let layers = &self.places.layers;
        for entry in fs::read_dir(layers).map_err(StoreError::at(layers))? {
            let entry = entry.map_err(StoreError::at(layers))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let diff_id = format!("sha256:{name}").parse::<Digest>().ok();
            let leased = diff_id.is_some_and(|diff_id| self.leases.is_held(&diff_id));
            if !needed.contains(&name) && !leased {
                discard(&entry.path(), &self.places).map_err(StoreError::at(&entry.path()))?;
                if let Some(diff_id) = diff_id {
                    let marks = self.places.marks(&diff_id);
                    Marks::remove(&self.places, &diff_id).map_err(StoreError::at(&marks))?;
                }
                swept.layers += 1;
            }
        }
        self.known_layers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|diff_id, _| self.places.layer(diff_id).is_dir());
        Ok(swept)
    }
}

/// How many images have a layer.
#[derive(Default)]
struct Users(HashMap<Digest, usize>);

impl Users {
    /// Bytes of layers that no image had before.
    fn add(&mut self, record: &ImageRecord) -> u64 {
        let mut bytes = 0;
        for layer in &record.layers {
            let users = self.0.entry(layer.diff_id).or_default();
            if *users == 0 {
                bytes += layer.bytes;
            }
            *users += 1;
        }
        bytes
    }

    /// Bytes of layers that no image has any more.
    fn remove(&mut self, record: &ImageRecord) -> u64 {
        let mut bytes = 0;
        for layer in &record.layers {
            if let Entry::Occupied(mut users) = self.0.entry(layer.diff_id) {
                *users.get_mut() -= 1;
                if *users.get() == 0 {
                    users.remove();
                    bytes += layer.bytes;
                }
            }
        }
        bytes
    }
}
