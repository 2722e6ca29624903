//! Outport itself as a container image: an OCI archive that `docker load`, podman and skopeo read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::debian_root::{self, Package};
use super::{Release, archive};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The archive, and the Debian packages that are in it.
pub fn make(release: &Release, mirror: &str) -> Result<(PathBuf, Vec<Package>)> {
    let root = release.scratch.join("root");
    let packages = debian_root::make(release, mirror, &root)?;
    // In a layer of its own: the packages change seldom.
    let own = release.scratch.join("own");
    archive::place(&own, "usr/bin/outport", 0o755, release.binary.read()?)?;
    let texts = super::crates::licence_texts(release)?;
    archive::place(&own, "usr/share/doc/outport/THIRD-PARTY", 0o644, texts)?;
    for file in ["LICENSE", "NOTICE"] {
        let path = format!("usr/share/doc/outport/{file}");
        archive::place(&own, &path, 0o644, release.file(file)?)?;
    }

    let layout = release.scratch.join("layout");
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    let layers = [layer(release, &root, &layout)?, layer(release, &own, &layout)?];
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let config = blob(&layout, CONFIG, &configuration(release, &diff_ids)?)?;
    let descriptors: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": descriptors,
    });
    let mut manifest = blob(&layout, MANIFEST, &manifest)?;
    let name = format!("outport:{}", release.version);
    manifest["platform"] = json!({ "architecture": release.architecture.debian(), "os": "linux" });
    manifest["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{name}"),
        "org.opencontainers.image.ref.name": release.version,
    });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    // For a Docker before 25, which does not know the layout.
    let paths: Vec<String> = descriptors.iter().map(|layer| path(layer)).collect();
    let docker = json!([{ "Config": path(&config), "RepoTags": [name], "Layers": paths }]);
    fs::write(layout.join("manifest.json"), serde_json::to_vec(&docker)?)?;

    let into = release.out.join(format!("{}.oci.tar", release.name()));
    let names = ["blobs", "index.json", "manifest.json", "oci-layout"];
    archive::write_tar(&layout, &names, release.epoch, &into)?;
    Ok((into, packages))
}

fn configuration(release: &Release, diff_ids: &[&str]) -> Result<Value> {
    Ok(json!({
        "created": release.timestamp()?,
        "architecture": release.architecture.debian(),
        "os": "linux",
        "config": {
            "Env": [PATH],
            "Entrypoint": ["tini", "--", "outport"],
            "Cmd": ["up", "--listen", "0.0.0.0:4566"],
            "ExposedPorts": { "4566/tcp": {} },
            "Volumes": { "/var/lib/outport": {} },
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "Outport",
                "org.opencontainers.image.description": "Amazon ECS, run by yourself",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.revision": release.revision,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))
}

struct Layer {
    descriptor: Value,
    diff_id: String,
}

fn layer(release: &Release, root: &Path, layout: &Path) -> Result<Layer> {
    let file = layout.join("layer");
    let diff_id = archive::write_tar_gz(root, ".", release.epoch, &file)?;
    let (digest, size) = archive::digest(&file)?;
    let descriptor =
        json!({ "mediaType": LAYER, "digest": format!("sha256:{digest}"), "size": size });
    fs::rename(&file, layout.join(path(&descriptor)))?;
    Ok(Layer { descriptor, diff_id: format!("sha256:{diff_id}") })
}

/// Writes a document; its descriptor.
fn blob(layout: &Path, media_type: &str, document: &Value) -> Result<Value> {
    let bytes = serde_json::to_vec(document)?;
    let digest = format!("sha256:{}", archive::digest_of(&bytes));
    let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
    fs::write(layout.join(path(&descriptor)), bytes)?;
    Ok(descriptor)
}

/// Where a blob lies in the layout.
fn path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}
