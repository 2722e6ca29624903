//! Where what is here came from, and so who may have it.
//!
//! Content is kept under its digest, and a digest is no secret: whoever knows one could name it in an image of his own, or
//! ask for it where nobody checks. So a registry is asked for everything by everybody once, with the credentials that
//! the task has: an image that is here is handed out where it came from, and only with credentials that got its manifest
//! there. A layer that is here is taken for that of an image if the image has it under the same blob digest in the same
//! repository, or if the same registry gives that blob from another repository, too. Else its blob is fetched, which
//! proves that the registry has it.
//!
//! **Invariant:** what one registry says lets nobody have what came from another.

use crate::digest::Digest;
use crate::image::{ImageRecord, LayerRecord};
use crate::registry::RegistryEndpoint;
use crate::store::Inner;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{MutexGuard, PoisonError};

/// Places of an image, and of a layer, that are remembered; the oldest goes first.
pub(crate) const PLACES_MAX: usize = 100;
/// Credentials that are remembered; when there are more, all have to be shown again.
const GRANTS_MAX: usize = 10_000;

/// Where an image was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// See [`RegistryEndpoint::place`].
    pub place: String,
    /// Whether it was given to somebody without a password.
    pub is_public: bool,
}

/// A layer that is here.
#[derive(Debug, Clone)]
pub(crate) struct KnownLayer {
    pub record: LayerRecord,
    /// Where it is to be had: place and blob. The oldest first.
    pub sources: Vec<(String, Digest)>,
}

impl KnownLayer {
    pub fn add(&mut self, place: &str, blob: Digest) {
        if self.is_at(place, blob) {
            return;
        }
        if self.sources.len() == PLACES_MAX {
            self.sources.remove(0);
        }
        self.sources.push((place.to_owned(), blob));
    }

    pub fn is_at(&self, place: &str, blob: Digest) -> bool {
        self.sources.iter().any(|(known, of)| known == place && *of == blob)
    }

    /// Whether the registry has it, in whatever repository.
    pub fn is_in(&self, registry: &str, blob: Digest) -> bool {
        self.sources.iter().any(|(known, of)| known.starts_with(registry) && *of == blob)
    }
}

impl Inner {
    pub fn known_layers(&self) -> MutexGuard<'_, HashMap<Digest, KnownLayer>> {
        self.known_layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer that is here, if it is what a place has under this blob digest.
    pub fn known_at(&self, diff_id: Digest, place: &str, blob: Digest) -> Option<LayerRecord> {
        let is_at = |layer: &KnownLayer| layer.is_at(place, blob);
        self.known(diff_id, blob, is_at)
    }

    pub fn is_known_in(&self, diff_id: Digest, registry: &str, blob: Digest) -> bool {
        self.known(diff_id, blob, |layer| layer.is_in(registry, blob)).is_some()
    }

    /// The same, once the place was asked.
    pub fn know_at(&self, diff_id: Digest, place: &str, blob: Digest) -> Option<LayerRecord> {
        self.known_layers().get_mut(&diff_id)?.add(place, blob);
        self.known_at(diff_id, place, blob)
    }

    /// Whether an image that is here may be handed out without asking: to somebody whose credentials, or want of them,
    /// got its manifest from there.
    pub fn may_have(&self, manifest_digest: &Digest, endpoint: &RegistryEndpoint) -> bool {
        let place = endpoint.place();
        let is_public = self.images().get(manifest_digest).is_some_and(|record| {
            record.origins.iter().any(|origin| origin.is_public && origin.place == place)
        });
        is_public || self.grants().has(manifest_digest, endpoint)
    }

    /// Remembers that the registry gave the manifest of an image that came from there; says whether it did.
    pub fn given(&self, manifest_digest: &Digest, endpoint: &RegistryEndpoint) -> bool {
        let place = endpoint.place();
        let mut images = self.images();
        let Some(record) = images.get_mut(manifest_digest) else { return false };
        let found = record.origins.iter_mut().find(|origin| origin.place == place);
        let Some(origin) = found else { return false };
        match endpoint.credentials {
            None => origin.is_public = true,
            Some(_) => self.grants().add(manifest_digest, endpoint),
        }
        true
    }

    pub fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(
        &self,
        diff_id: Digest,
        blob: Digest,
        may_have: impl Fn(&KnownLayer) -> bool,
    ) -> Option<LayerRecord> {
        let known = self.known_layers();
        let layer = known.get(&diff_id).filter(|layer| may_have(layer))?;
        let is_here = self.places.layer(&diff_id).is_dir();
        is_here.then(|| layer.record.in_blob(blob))
    }
}

/// Those of images that are here.
pub(crate) fn known_layers(images: &BTreeMap<Digest, ImageRecord>) -> HashMap<Digest, KnownLayer> {
    let mut known = HashMap::new();
    for (image, layer) in
        images.values().flat_map(|image| image.layers.iter().map(move |layer| (image, layer)))
    {
        let layer_known = known
            .entry(layer.diff_id)
            .or_insert_with(|| KnownLayer { record: layer.clone(), sources: Vec::new() });
        for (origin, blob) in image.origins.iter().zip(std::iter::repeat(layer.blob)) {
            blob.iter().for_each(|blob| layer_known.add(&origin.place, *blob));
        }
    }
    known
}

/// With which credentials the manifests of images were given. Not on the disk, where a weak password could be guessed
/// from it.
pub(crate) struct Grants {
    key: [u8; 32],
    known: HashSet<Digest>,
}

impl Grants {
    pub fn new() -> io::Result<Grants> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Grants { key, known: HashSet::new() })
    }

    pub fn add(&mut self, manifest_digest: &Digest, endpoint: &RegistryEndpoint) {
        if self.known.len() == GRANTS_MAX {
            self.known.clear();
        }
        self.known.insert(self.grant(manifest_digest, endpoint));
    }

    pub fn has(&self, manifest_digest: &Digest, endpoint: &RegistryEndpoint) -> bool {
        self.known.contains(&self.grant(manifest_digest, endpoint))
    }

    fn grant(&self, manifest_digest: &Digest, endpoint: &RegistryEndpoint) -> Digest {
        let (username, password) = match &endpoint.credentials {
            Some(credentials) => (credentials.username.as_str(), credentials.password.as_str()),
            None => ("", ""),
        };
        let parts = [&manifest_digest.hex(), &endpoint.place(), username, password];
        let mut bytes = self.key.to_vec();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Digest::of(&bytes)
    }
}
