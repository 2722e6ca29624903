//! Images of `docker save` and `podman save`. Source: Docker Image Specification v1.2, "Combined Image JSON + Filesystem
//! Changeset Format".
//!
//! Their layers are not compressed, and are pushed so: the configuration says the digest of each, so that one which the
//! registry has is known without a look at it, and nodes unpack it faster. It costs space in the registry.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::content::{Blob, Content, Manifest, Wanted, named};
use super::digest::Digest;
use super::source::{Part, Source};

pub const MANIFEST: &str = "manifest.json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// # Errors
/// As of [`Content::of`].
pub fn content(source: &Source, manifest: &[u8], wanted: &Wanted<'_>) -> Result<Content> {
    let images: Vec<Image> = serde_json::from_slice(manifest)
        .with_context(|| format!("{MANIFEST} is not that of `docker save`"))?;
    let image = named(&images, |image| image.repo_tags.clone().unwrap_or_default(), wanted)?;
    let missing = |name: &str| format!("{name} is missing");
    let config = source.part(&image.config)?.with_context(|| missing(&image.config))?;
    let bytes = config.document(&image.config)?;
    let parsed: Configuration = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no configuration of an image", image.config))?;
    wanted.check_platform(&bytes)?;
    let diff_ids = parsed.rootfs.diff_ids;
    ensure!(
        diff_ids.len() == image.layers.len(),
        "it has {} layers, and its configuration knows {}",
        image.layers.len(),
        diff_ids.len()
    );
    let mut content = Content::default();
    let mut layers = Vec::new();
    for (name, diff_id) in image.layers.iter().zip(diff_ids) {
        let part = source.part(name)?.with_context(|| missing(name))?;
        let size = part.place.size;
        let (media_type, digest) = match part.is_gzip()? {
            true => {
                (OCI_LAYER_GZIP, digest_of(&part).with_context(|| format!("cannot read {name}"))?)
            }
            false => (OCI_LAYER, diff_id),
        };
        layers.push(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size }));
        content.add_blob(Blob { digest, part })?;
    }
    let digest = Digest::of(&bytes);
    let config_descriptor =
        json!({ "mediaType": OCI_CONFIG, "digest": digest.to_string(), "size": bytes.len() });
    content.add_blob(Blob { digest, part: config })?;
    let bytes = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": config_descriptor,
        "layers": layers,
    }))?;
    let digest = Digest::of(&bytes);
    content.add_manifest(Manifest { media_type: OCI_IMAGE.to_owned(), digest, bytes })?;
    Ok(content)
}

pub fn digest_of(part: &Part) -> Result<Digest> {
    use sha2::Digest as _;
    let mut hash = Sha256::new();
    for piece in part.pieces() {
        hash.update(piece?);
    }
    Ok(Digest::from(hash))
}
