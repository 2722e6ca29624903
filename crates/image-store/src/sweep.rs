//! Throwing away images that nothing uses.

use crate::digest::Digest;
use crate::store::{ImageStore, Inner, StoreError, discard, empty_trash};
use outport_model::Now;
use std::collections::HashSet;
use std::fs;
use std::sync::PoisonError;
use std::time::Duration;

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
        empty_trash(&self.inner.places.trash);
        Ok(swept)
    }
}

impl Inner {
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
            if too_old || distinct.values().sum::<u64>() > policy.bytes_max {
                Inner::forget(&mut images, &self.places, &digest)?;
                swept.images += 1;
            }
        }
        let needed: HashSet<String> = images
            .values()
            .flat_map(|record| &record.layers)
            .map(|layer| layer.diff_id.hex())
            .collect();
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
        self.layer_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|diff_id, _| self.places.layer(diff_id).is_dir());
        Ok(swept)
    }
}
