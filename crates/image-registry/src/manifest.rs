//! Image manifests and indexes, as far as a registry must understand them.
//!
//! **Invariant:** the bytes of a manifest are kept as they came; this module only looks at them.

use serde::Deserialize;
use serde_json::Value;

use crate::Digest;

/// The largest manifest, in bytes. Source: OCI distribution 1.1 ("at least 4 MiB"), ECR's `ImageManifest`.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most descriptors in one manifest. Source: ECR service quotas, layers per image.
const DESCRIPTORS_MAX: usize = 4_200;

/// The kinds of manifest that can be pushed. Docker's schema 1 is not among them: it names no config, and
/// every client of the last years has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    OciImage,
    OciIndex,
    DockerImage,
    DockerList,
}

impl MediaType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OciImage => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerImage => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Parameters behind a semicolon do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        [Self::OciImage, Self::OciIndex, Self::DockerImage, Self::DockerList]
            .into_iter()
            .find(|media_type| media_type.as_str() == essence)
    }

    /// Does it list manifests rather than layers?
    pub fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// What a registry needs to know of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) media_type: MediaType,
    pub(crate) artifact_type: Option<String>,
    pub(crate) config_type: Option<String>,
    /// The config and the layers that a client cannot get from elsewhere.
    pub(crate) blobs: Vec<Digest>,
    pub(crate) manifests: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
    pub(crate) annotations: Option<Value>,
}

/// What an image cannot do without, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageBlobs {
    /// The config and the layers that are in a registry, each with its size in bytes. Of an index there are none.
    pub blobs: Vec<(Digest, u64)>,
}

impl ImageBlobs {
    /// Reads a manifest or an index. `content_type`: what the registry calls it that it came from.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, String> {
        Manifest::parse(content_type, body)?;
        let document: Document =
            serde_json::from_slice(body).map_err(|error| format!("not a manifest: {error}"))?;
        let layers = document.layers.unwrap_or_default();
        let needed =
            document.config.iter().chain(layers.iter().filter(|layer| !layer.is_foreign()));
        let blob = |descriptor: &Descriptor| {
            let size = descriptor.size.and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| format!("descriptor {}: no size", descriptor.digest))?;
            Ok((descriptor.digest()?, size))
        };
        Ok(Self { blobs: needed.map(blob).collect::<Result<_, String>>()? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: i64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    size: Option<i64>,
    urls: Option<Vec<String>>,
}

impl Manifest {
    /// Reads `body`, which a client calls `content_type`, if it says so. The error is for the client.
    pub(crate) fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, String> {
        if body.len() > MANIFEST_BYTES_MAX {
            return Err(format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes"));
        }
        let document: Document =
            serde_json::from_slice(body).map_err(|error| format!("not a manifest: {error}"))?;
        if document.schema_version != 2 {
            return Err(format!("schemaVersion {} is not supported", document.schema_version));
        }
        let media_type = media_type(content_type, document.media_type.as_deref())?;
        let (layers, manifests) =
            (document.layers.unwrap_or_default(), document.manifests.unwrap_or_default());
        if layers.len() + manifests.len() > DESCRIPTORS_MAX {
            return Err(format!("a manifest lists at most {DESCRIPTORS_MAX} descriptors"));
        }
        if media_type.is_index() && (document.config.is_some() || !layers.is_empty()) {
            return Err("an index has no config and no layers".into());
        }
        if !media_type.is_index() && !manifests.is_empty() {
            return Err("an image manifest lists no manifests".into());
        }
        if !media_type.is_index() && document.config.is_none() {
            return Err("an image manifest has a config".into());
        }
        let config_type = document.config.as_ref().and_then(|config| config.media_type.clone());
        let needed =
            document.config.iter().chain(layers.iter().filter(|layer| !layer.is_foreign()));
        Ok(Self {
            media_type,
            artifact_type: document.artifact_type.filter(|text| !text.is_empty()),
            config_type,
            blobs: needed.map(Descriptor::digest).collect::<Result<_, _>>()?,
            manifests: manifests.iter().map(Descriptor::digest).collect::<Result<_, _>>()?,
            subject: document.subject.as_ref().map(Descriptor::digest).transpose()?,
            annotations: document.annotations.map(Value::Object),
        })
    }

    /// What the referrers list calls the kind of artifact. Source: OCI distribution 1.1, "Listing
    /// Referrers": `artifactType`, or the config's media type of an image manifest that has none.
    pub(crate) fn referrer_type(&self) -> Option<&str> {
        self.artifact_type.as_deref().or(self.config_type.as_deref())
    }
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, String> {
        if self.size.is_some_and(|size| size < 0) {
            return Err(format!("descriptor {}: negative size", self.digest));
        }
        self.digest.parse().map_err(|error| format!("descriptor {:?}: {error}", self.digest))
    }

    /// Layers that must not be pushed to a registry; clients fetch them from their `urls`.
    fn is_foreign(&self) -> bool {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            && (media_type.contains(".nondistributable.") || media_type.contains(".foreign."))
    }
}

fn media_type(content_type: Option<&str>, field: Option<&str>) -> Result<MediaType, String> {
    let stated = content_type.or(field).ok_or("the manifest has no media type")?;
    let media_type = MediaType::parse(stated)
        .ok_or_else(|| format!("media type {stated:?} is not supported"))?;
    match field {
        Some(field) if field != media_type.as_str() => {
            Err(format!("the manifest says {field:?}, the request says {stated:?}"))
        }
        _ => Ok(media_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn check(content_type: &str, body: &str, expected: Result<(usize, usize), &str>) {
        let digest = format!("sha256:{}", "a".repeat(64));
        let body = body.replace("@", &digest);
        let parsed = Manifest::parse(Some(content_type), body.as_bytes());
        match (parsed, expected) {
            (Ok(manifest), Ok(counts)) => {
                assert_eq!((manifest.blobs.len(), manifest.manifests.len()), counts, "{body}");
            }
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{body}: {reason}"),
            (parsed, expected) => panic!("{body}: {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn manifests_are_understood_or_refused() {
        let config = r#""config":{"mediaType":"c","digest":"@","size":2}"#;
        check(OCI, &format!(r#"{{"schemaVersion":2,{config},"layers":[]}}"#), Ok((1, 0)));
        check(
            OCI,
            &format!(r#"{{"schemaVersion":2,{config},"layers":[{{"digest":"@"}}]}}"#),
            Ok((2, 0)),
        );
        check(INDEX, r#"{"schemaVersion":2,"manifests":[{"digest":"@"}]}"#, Ok((0, 1)));
        check(INDEX, r#"{"schemaVersion":2,"manifests":[]}"#, Ok((0, 0)));
        let foreign = r#"{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"@","urls":["https://example.com/l"]}"#;
        check(OCI, &format!(r#"{{"schemaVersion":2,{config},"layers":[{foreign}]}}"#), Ok((1, 0)));
        check(OCI, "", Err("not a manifest"));
        check(OCI, "[]", Err("not a manifest"));
        check(OCI, r#"{"schemaVersion":1}"#, Err("schemaVersion"));
        check(OCI, r#"{"schemaVersion":2,"layers":[]}"#, Err("has a config"));
        check(OCI, r#"{"schemaVersion":2,"config":{"digest":"sha256:../x"}}"#, Err("descriptor"));
        check(
            OCI,
            &format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}",{config}}}"#),
            Err("the request says"),
        );
        check("application/json", r#"{"schemaVersion":2}"#, Err("not supported"));
        check(INDEX, &format!(r#"{{"schemaVersion":2,{config}}}"#), Err("no config"));
    }
}
