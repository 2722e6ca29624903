//! Throwing away images that nothing uses.

use crate::digest::Digest;
use crate::image::ImageRecord;
use crate::store::{ImageStore, Inner, StoreError, discard, now_s};
use outport_model::Now;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::PoisonError;
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
        let swept = self.inner.sweep(in_use, policy, now)?;
        self.inner.empty_trash();
        Ok(swept)
    }
}

impl Inner {
    /// Throws images away that nothing uses until all that stay have at most `bytes_max`. Blocks while it deletes.
    pub fn collect(&self, bytes_max: u64) -> Result<(), StoreError> {
        let policy = SweepPolicy { unused_age_max: ANY_AGE, bytes_max };
        let now = Now::steady_at(i64::try_from(now_s()).unwrap_or(0).saturating_mul(1_000));
        let swept = self.sweep(&HashSet::new(), &policy, &now)?;
        if swept.layers > 0 {
            tracing::info!(images = swept.images, layers = swept.layers, "room made for a pull");
            self.empty_trash();
        }
        Ok(())
    }

    /// Decompressed bytes of all layers here.
    pub fn bytes(&self) -> u64 {
        let known = self.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|layer| layer.bytes).sum()
    }

    /// Bytes of layers that a running pull has made, or found made, for an image that is not recorded yet.
    fn bytes_in_work(&self, images: &BTreeMap<Digest, ImageRecord>) -> u64 {
        let recorded: HashSet<Digest> =
            images.values().flat_map(|image| &image.layers).map(|layer| layer.diff_id).collect();
        let known = self.known_layers.lock().unwrap_or_else(PoisonError::into_inner);
        let in_work = known.values().filter(|layer| {
            !recorded.contains(&layer.diff_id) && self.leases.is_held(&layer.diff_id)
        });
        in_work.map(|layer| layer.bytes).sum()
    }

    fn sweep(
        &self,
        in_use: &HashSet<Digest>,
        policy: &SweepPolicy,
        now: &Now,
    ) -> Result<Swept, StoreError> {
        let now_s = u64::try_from(now.wall_ms / 1_000).unwrap_or(0);
        // Held to the end: a pull records its image under this lock, and holds leases before that.
        let mut images = self.images();
        let mut by_use: Vec<(u64, Digest)> =
            images.values().map(|record| (record.used_at_s, record.manifest_digest)).collect();
        by_use.sort_unstable();
        let mut swept = Swept::default();
        let in_work = self.bytes_in_work(&images);
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
            let distinct: std::collections::HashMap<Digest, u64> = images
                .values()
                .flat_map(|record| &record.layers)
                .map(|layer| (layer.diff_id, layer.bytes))
                .collect();
            if too_old || distinct.values().sum::<u64>() + in_work > policy.bytes_max {
                Inner::forget(&mut images, &self.places, &digest)?;
                swept.images += 1;
            }
        }
        let needed: HashSet<String> =
            images.values().flat_map(ImageRecord::directories).map(Digest::hex).collect();
        let layers = &self.places.layers;
        for entry in fs::read_dir(layers).map_err(StoreError::at(layers))? {
            let entry = entry.map_err(StoreError::at(layers))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let leased = format!("sha256:{name}")
                .parse::<Digest>()
                .is_ok_and(|diff_id| self.leases.is_held(&diff_id));
            if !needed.contains(&name) && !leased {
                discard(&entry.path(), &self.places).map_err(StoreError::at(&entry.path()))?;
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
