//! Manifests, indexes and image configurations as registries serve them (OCI 1.1 and Docker schema 2).
//!
//! **Invariant:** a parsed [`Manifest`] has as many layers as its configuration has diff ids once
//! [`ImageConfig::parse`] accepted it; unknown fields are ignored, unknown media types are refused.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// Largest manifest or index accepted, in bytes (the limit that registries apply to a push).
pub const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Largest image configuration accepted, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Most bytes that are kept of a configuration, for as long as its image is here: some kilobytes where it is honest, and
/// no process takes much more of arguments and variables. A text counts for what it costs in memory, also an empty one.
const PROCESS_BYTES_MAX: usize = 256 * 1024;
/// Most layers of one image: Docker's limit, and well below overlayfs's 500.
pub const LAYERS_MAX: usize = 127;
/// Most platforms of one index.
const PLATFORMS_MAX: usize = 1000;

/// The media types that a manifest request accepts.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Why a manifest, index or configuration is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON that the media type promises.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// `manifest`, `index` or `image configuration`.
        what: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// A media type that no container can be made from (schema 1, artifacts, encrypted or foreign layers).
    #[error("unsupported media type {0:?}")]
    UnsupportedMediaType(String),
    /// The index has no manifest for this machine. The text is AWS's.
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    NoMatchingPlatform(String),
    /// More layers than [`LAYERS_MAX`].
    #[error("{0} layers, at most {LAYERS_MAX} are accepted")]
    TooManyLayers(usize),
    /// `rootfs.diff_ids` does not fit the layers.
    #[error("{layers} layers but {diff_ids} diff ids")]
    LayersDiffer {
        /// Layers of the manifest.
        layers: usize,
        /// Diff ids of the configuration.
        diff_ids: usize,
    },
}

/// A reference to a blob or manifest by digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<PlatformEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct PlatformEntry {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
}

/// The operating system and architecture that images must be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name: `amd64`, `arm64`.
    pub architecture: String,
}

impl Platform {
    /// The platform of this machine.
    pub fn native() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned() }
    }
}

/// What a manifest request came back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manifest {
    Index(Vec<Descriptor>),
    Image { config: Descriptor, layers: Vec<Descriptor> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads a manifest; `content_type` is the registry's header, which the document's own field outranks.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        let raw: RawManifest = serde_json::from_slice(bytes).map_err(|error| {
            ManifestError::Malformed { what: "manifest", reason: error.to_string() }
        })?;
        let media_type = raw.media_type.as_deref().or(content_type).unwrap_or_default();
        // A document that is both index and manifest is a parser-confusion attack (CVE-2021-41190).
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) => {
                if manifests.len() > PLATFORMS_MAX {
                    let reason = format!("{} entries", manifests.len());
                    return Err(ManifestError::Malformed { what: "index", reason });
                }
                Ok(Manifest::Index(manifests))
            }
            (None, Some(config), Some(layers)) => {
                check_image_media_types(&config, &layers)?;
                Ok(Manifest::Image { config, layers })
            }
            _ => Err(ManifestError::UnsupportedMediaType(media_type.chars().take(128).collect())),
        }
    }
}

fn check_image_media_types(
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<(), ManifestError> {
    const CONFIG_TYPES: [&str; 3] = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
    ];
    // Foreign ("non-distributable") layers are asked of the registry like others; where their `urls` lead is a
    // stranger's word, and not followed.
    const LAYER_TYPES: [&str; 10] = [
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
    if layers.len() > LAYERS_MAX {
        return Err(ManifestError::TooManyLayers(layers.len()));
    }
    let unsupported = std::iter::once((config, CONFIG_TYPES.as_slice()))
        .chain(layers.iter().map(|layer| (layer, LAYER_TYPES.as_slice())))
        .find(|(descriptor, known)| !known.contains(&descriptor.media_type.as_str()));
    match unsupported {
        Some((descriptor, _)) => Err(ManifestError::UnsupportedMediaType(
            descriptor.media_type.chars().take(128).collect(),
        )),
        None => Ok(()),
    }
}

/// The entries of an index that may be for this platform, the best first: those that say so, then those that say
/// nothing (`platform` is optional), of which the configuration tells. As containerd has it.
/// Source: containerd, `Manifest` in `core/images/image.go`.
pub(crate) fn candidates(entries: Vec<Descriptor>, platform: &Platform) -> Vec<Descriptor> {
    let (mut named, unnamed): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.platform.is_some());
    named.retain(|entry| {
        entry.platform.as_ref().is_some_and(|found| {
            found.os == platform.os && found.architecture == platform.architecture
        })
    });
    named.extend(unnamed);
    named
}

impl Platform {
    /// Whether an image's configuration is for it. What it does not say does not exclude it.
    pub(crate) fn fits(&self, config: &ImageConfig) -> bool {
        let same = |found: &str, wanted: &str| found.is_empty() || found == wanted;
        same(&config.os, &self.os) && same(&config.architecture, &self.architecture)
    }

    pub(crate) fn no_match(&self) -> ManifestError {
        ManifestError::NoMatchingPlatform(format!("{}/{}", self.os, self.architecture))
    }
}

/// What an image says about its process: the defaults that a container definition overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `ENTRYPOINT`; empty when the image has none.
    pub entrypoint: Vec<String>,
    /// `CMD`; empty when the image has none.
    pub cmd: Vec<String>,
    /// `ENV` as `NAME=value`.
    pub env: Vec<String>,
    /// `USER`: empty, `name`, `uid`, `user:group`, `uid:gid`.
    pub user: String,
    /// `WORKDIR`; empty means `/`.
    pub working_dir: String,
    /// `STOPSIGNAL`, for example `SIGQUIT` or `3`.
    pub stop_signal: Option<String>,
    /// `EXPOSE`, for example `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `VOLUME`: paths in the container.
    pub volumes: Vec<String>,
    /// The architecture that the image claims, Go's name.
    pub architecture: String,
    /// The operating system that the image claims.
    pub os: String,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<RawProcess>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<Digest>,
}

/// A set, as Go writes it: what the values are is of no interest.
type Names = std::collections::BTreeMap<String, serde::de::IgnoredAny>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawProcess {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
    exposed_ports: Option<Names>,
    volumes: Option<Names>,
}

impl ImageConfig {
    /// Reads an image configuration and its diff ids, lowest layer first, which must be `layers` many.
    pub(crate) fn parse(
        bytes: &[u8],
        layers: usize,
    ) -> Result<(ImageConfig, Vec<Digest>), ManifestError> {
        let raw: RawConfig = serde_json::from_slice(bytes).map_err(|error| {
            ManifestError::Malformed { what: "image configuration", reason: error.to_string() }
        })?;
        let diff_ids = raw.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(ManifestError::LayersDiffer { layers, diff_ids: diff_ids.len() });
        }
        let process = raw.config.unwrap_or_default();
        let names = |map: Option<Names>| map.unwrap_or_default().into_keys().collect();
        let config = ImageConfig {
            entrypoint: process.entrypoint.unwrap_or_default(),
            cmd: process.cmd.unwrap_or_default(),
            env: process.env.unwrap_or_default(),
            user: process.user.unwrap_or_default(),
            working_dir: process.working_dir.unwrap_or_default(),
            stop_signal: process.stop_signal.filter(|signal| !signal.is_empty()),
            exposed_ports: names(process.exposed_ports),
            volumes: names(process.volumes),
            architecture: raw.architecture,
            os: raw.os,
        };
        if !config.is_small() {
            let reason = format!("more than {PROCESS_BYTES_MAX} bytes for a process");
            return Err(ManifestError::Malformed { what: "image configuration", reason });
        }
        Ok((config, diff_ids))
    }

    /// Whether it is to be kept at all.
    pub(crate) fn is_small(&self) -> bool {
        let lists = [&self.entrypoint, &self.cmd, &self.env, &self.exposed_ports, &self.volumes];
        let texts = lists.into_iter().flatten().chain(&self.stop_signal);
        texts
            .chain([&self.user, &self.working_dir, &self.architecture, &self.os])
            .map(|text| text.len() + size_of::<String>())
            .sum::<usize>()
            <= PROCESS_BYTES_MAX
    }
}
