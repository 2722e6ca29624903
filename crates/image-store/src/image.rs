//! A pulled image, and the file that remembers it.

use crate::digest::Digest;
use crate::layer::LayerPath;
use crate::lease::Lease;
use crate::manifest::ImageConfig;
use crate::marks::Marks;
use crate::source::Origin;
use serde::{Deserialize, Serialize};
use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;

/// An image whose layers are all unpacked. While it (or a clone) lives, no sweep touches its layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the reference resolved to: the digest of the index if there is one, as ECS reports in `imageDigest`.
    pub digest: Digest,
    /// The digest of this platform's manifest: the image's name in the store.
    pub manifest_digest: Digest,
    /// The image's defaults for its process.
    pub config: Arc<ImageConfig>,
    /// The layers' directories, **top first**, the order of overlayfs's `lowerdir`. The empty layer may come twice,
    /// which overlayfs does not take.
    pub layers: Vec<PathBuf>,
    /// Decompressed bytes of all layers.
    pub bytes: u64,
    pub(crate) _lease: Arc<Lease>,
}

/// `images/<manifest digest>.json`: a promise to later versions, see the test with the old bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub manifest_digest: Digest,
    /// Digests of indexes that led here.
    pub index_digests: Vec<Digest>,
    /// References that last resolved to this image.
    pub references: Vec<ReferenceRecord>,
    #[serde(with = "shared")]
    pub config: Arc<ImageConfig>,
    /// Where it came from, the oldest first.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// Lowest first.
    pub layers: Vec<LayerRecord>,
    /// When a pull last used it, in seconds since 1970.
    pub used_at_s: u64,
    /// The boot in which it was written; another boot may only trust it when it is `durable`.
    pub boot_id: String,
    /// The layers were flushed to the disk.
    pub durable: bool,
    /// There is a layer of directories on top, named by the manifest digest.
    #[serde(default)]
    pub has_directories: bool,
}

impl ImageRecord {
    /// The names of the image's directories below `layers/`, top first.
    pub fn directories(&self) -> impl Iterator<Item = &Digest> {
        let own = self.has_directories.then_some(&self.manifest_digest);
        own.into_iter().chain(self.layers.iter().rev().map(|layer| &layer.diff_id))
    }
}

/// What a pull made, or found made.
pub(crate) struct MadeLayers {
    /// Lowest first.
    pub layers: Vec<LayerRecord>,
    /// See [`ImageRecord`].
    pub has_directories: bool,
}

/// A reference and what it resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReferenceRecord {
    pub reference: String,
    pub digest: Digest,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub diff_id: Digest,
    pub bytes: u64,
    /// The blob that it was in, in this image's manifest; older versions did not remember it.
    #[serde(default)]
    pub blob: Option<Digest>,
    /// What its marks cost, see [`Marks::bytes`]; 0 if it has no file of them.
    #[serde(default)]
    pub marked_bytes: u64,
    /// Where an older version kept the marks: moved to their file when the record is loaded.
    #[serde(default, skip_serializing)]
    implied: Vec<LayerPath>,
    #[serde(default, skip_serializing)]
    opaque: Vec<LayerPath>,
}

impl LayerRecord {
    pub fn new(diff_id: Digest, bytes: u64, blob: Digest, marked_bytes: u64) -> LayerRecord {
        let (implied, opaque) = Default::default();
        LayerRecord { diff_id, bytes, blob: Some(blob), marked_bytes, implied, opaque }
    }

    /// The same layer in an image that has it in this blob.
    pub fn in_blob(&self, blob: Digest) -> LayerRecord {
        let mut layer = self.clone();
        layer.blob = Some(blob);
        layer
    }

    /// The marks that an older version kept in the record; they are gone from it.
    pub fn take_marks(&mut self) -> Option<Marks> {
        if self.implied.is_empty() && self.opaque.is_empty() {
            return None;
        }
        let (implied, opaque) = (take(&mut self.implied), take(&mut self.opaque));
        let marks = Marks { implied, opaque };
        self.marked_bytes = marks.bytes();
        Some(marks)
    }
}

/// A configuration is one for all handles of an image.
mod shared {
    use super::{Arc, ImageConfig};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        config: &Arc<ImageConfig>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        config.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<ImageConfig>, D::Error> {
        ImageConfig::deserialize(deserializer).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let bytes = format!(
            r#"{{"manifest_digest":"{digest}","index_digests":["{digest}"],
            "references":[{{"reference":"h.x/a:1","digest":"{digest}"}}],
            "config":{{"entrypoint":["/app"],"cmd":[],"env":["A=b"],"user":"","working_dir":"",
            "stop_signal":null,"exposed_ports":["80/tcp"],"volumes":[],"labels":{{}},"architecture":"amd64"}},
            "layers":[{{"diff_id":"{digest}","bytes":10}}],"used_at_s":1700000000,"boot_id":"b","durable":true}}"#
        );
        let record: ImageRecord = serde_json::from_str(&bytes).unwrap();
        assert_eq!(record.references[0].reference, "h.x/a:1");
        assert_eq!(record.layers[0].bytes, 10);
        assert!(record.layers[0].marked_bytes == 0 && !record.has_directories);
        assert_eq!(record.config.entrypoint, ["/app"]);
        let again: ImageRecord =
            serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(again, record);
    }

    #[test]
    fn marks_in_a_record_of_an_older_version_are_taken_out() {
        let digest = Digest::of(b"");
        let bytes = format!(
            r#"{{"diff_id":"{digest}","bytes":10,"implied":["61","612f62"],"opaque":["63"]}}"#
        );
        let mut layer: LayerRecord = serde_json::from_str(&bytes).unwrap();
        let marks = layer.take_marks().unwrap();
        assert_eq!((marks.implied.len(), marks.opaque.len()), (2, 1));
        assert_eq!(layer.marked_bytes, marks.bytes());
        assert!(layer.take_marks().is_none());
        let again = serde_json::to_string(&layer).unwrap();
        assert!(!again.contains("implied"), "{again}");
    }
}
