//! Images of an OCI layout, in a directory or an archive. Source: OCI image specification 1.1, "Image Layout".

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::content::{Blob, Content, Manifest, Wanted, named};
use super::digest::Digest;
use super::platform::Platform;
use super::source::Source;

pub const INDEX: &str = "index.json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of indexes of images; deeper ones nobody makes.
const DEPTH_MAX: usize = 4;
/// Names in `index.json`: the second is containerd's and Docker's, and the longer one.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: HashMap<String, String>,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Descriptor {
    fn names(&self) -> Vec<String> {
        NAMES.iter().filter_map(|name| self.annotations.get(*name).cloned()).collect()
    }

    /// Layers that no registry has: their licence forbids it.
    fn is_foreign(&self) -> bool {
        let has = |part: &str| self.media_type.contains(part);
        !self.urls.is_empty() && (has(".nondistributable.") || has(".foreign."))
    }
}

/// # Errors
/// As of [`Content::of`].
pub fn content(source: &Source, index: &[u8], wanted: &Wanted<'_>) -> Result<Content> {
    let document = parse(INDEX, index)?;
    let mut entries = document.manifests.with_context(|| format!("{INDEX} lists no images"))?;
    let mut content = Content::default();
    // The list of all images of the layout may itself be that of one image's platforms.
    let is_one_image = wanted.name.is_none()
        && entries.len() > 1
        && entries.iter().all(|entry| entry.platform.is_some() && entry.names().is_empty());
    if is_one_image {
        let manifest = Manifest {
            media_type: document.media_type.unwrap_or_else(|| OCI_INDEX.to_owned()),
            digest: Digest::of(index),
            bytes: index.to_vec(),
        };
        add_index(source, manifest, &entries, wanted, &mut content, 0)?;
        return Ok(content);
    }
    // One image may stand there under several names.
    if wanted.name.is_none() && entries.windows(2).all(|pair| pair[0].digest == pair[1].digest) {
        entries.truncate(1);
    }
    let entry = named(&entries, Descriptor::names, wanted)?;
    add(source, entry, wanted, &mut content, 0)?;
    Ok(content)
}

/// Adds what a descriptor refers to, an image or an index.
fn add(
    source: &Source,
    descriptor: &Descriptor,
    wanted: &Wanted<'_>,
    content: &mut Content,
    depth: usize,
) -> Result<()> {
    ensure!(depth < DEPTH_MAX, "its indexes are nested more than {DEPTH_MAX} deep");
    let digest = &descriptor.digest;
    let name = format!("the manifest {digest}");
    let bytes = source.blob(digest)?.document(&name)?;
    ensure!(Digest::of(&bytes) == *digest, "{name} is damaged: its bytes have another digest");
    let document = parse(&name, &bytes)?;
    let said = document.media_type.clone().or(Some(descriptor.media_type.clone()));
    let media_type = |default: &str| said.filter(|said| !said.is_empty()).unwrap_or(default.into());
    // A document that is both is taken for one thing by some and for the other by others (CVE-2021-41190).
    match (document.manifests, document.config, document.layers) {
        (Some(entries), None, None) => {
            let media_type = media_type(OCI_INDEX);
            let manifest = Manifest { media_type, digest: digest.clone(), bytes };
            add_index(source, manifest, &entries, wanted, content, depth + 1)
        }
        (None, Some(config), Some(layers)) => {
            wanted.check_platform(&source.blob(&config.digest)?.document("its configuration")?)?;
            for blob in layers.iter().filter(|layer| !layer.is_foreign()).chain([&config]) {
                let part = source.blob(&blob.digest)?;
                ensure!(
                    part.place.size == blob.size,
                    "the blob {} is damaged: it has {} bytes, and its manifest says {}",
                    blob.digest,
                    part.place.size,
                    blob.size
                );
                content.add_blob(Blob { digest: blob.digest.clone(), part })?;
            }
            let media_type = media_type(OCI_IMAGE);
            content.add_manifest(Manifest { media_type, digest: digest.clone(), bytes })
        }
        _ => bail!("{name} is neither of an image nor an index of images"),
    }
}

/// Adds the image of an index that is wanted, or all of them and the index.
fn add_index(
    source: &Source,
    index: Manifest,
    entries: &[Descriptor],
    wanted: &Wanted<'_>,
    content: &mut Content,
    depth: usize,
) -> Result<()> {
    if wanted.all {
        for entry in entries {
            add(source, entry, wanted, content, depth)?;
        }
        return content.add_manifest(index);
    }
    let platform = |entry: &Descriptor| entry.platform.clone().unwrap_or_default();
    // One that says none may be for any.
    let found = entries
        .iter()
        .find(|entry| wanted.platform.takes(&platform(entry)))
        .or_else(|| entries.iter().find(|entry| entry.platform.is_none()));
    let Some(found) = found else {
        let mut there: Vec<String> =
            entries.iter().map(|entry| platform(entry).to_string()).collect();
        // Where an engine keeps how an image was built.
        there.retain(|platform| platform != "unknown/unknown");
        there.dedup();
        bail!(
            "it is not for {}, but for {}: take one with --platform, or --all",
            wanted.platform,
            there.join(", ")
        );
    };
    add(source, found, wanted, content, depth)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Document> {
    serde_json::from_slice(bytes).with_context(|| format!("{name} is no manifest"))
}
