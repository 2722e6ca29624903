//! From a manifest or index to the one image in it that this machine can run.
//!
//! **Invariant:** indexes lie in each other only so deep, and one image asks for so many manifests only.

use crate::digest::Digest;
use crate::manifest::{self, CONFIG_BYTES_MAX, Descriptor, ImageConfig, Manifest, ManifestError};
use crate::registry::{RegistryError, Session};
use crate::store::ImageStore;

/// How deep indexes may lie in each other.
const INDEX_DEPTH_MAX: u32 = 4;
/// Manifests and indexes that one pull asks for.
const MANIFESTS_MAX: u32 = 32;

impl ImageStore {
    pub(crate) async fn resolve(
        &self,
        session: &Session<'_>,
        (found, digest): (Manifest, Digest),
    ) -> Result<Resolved, RegistryError> {
        let platform = &self.inner.options.platform;
        // A manifest that is named by itself is taken for what it is.
        let mut ahead =
            vec![Candidate { found: Some(found), digest, is_platform_said: true, depth: 0 }];
        let (mut asked, mut unusable) = (0, None);
        while let Some(Candidate { found, digest: of, is_platform_said, depth }) = ahead.pop() {
            let found = match found {
                Some(found) => found,
                None if asked == MANIFESTS_MAX => return Err(too_many_manifests().into()),
                None => {
                    asked += 1;
                    match session.manifest(&of.to_string()).await {
                        Ok((found, _)) => found,
                        // Indexes list signatures and other artifacts, too.
                        Err(RegistryError::Manifest(error)) if !is_platform_said => {
                            unusable = Some(error);
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            match found {
                Manifest::Index(_) if depth == INDEX_DEPTH_MAX => {
                    return Err(too_many_manifests().into());
                }
                Manifest::Index(entries) => {
                    let entries = manifest::candidates(entries, platform);
                    ahead.extend(entries.into_iter().rev().map(|entry| Candidate {
                        found: None,
                        digest: entry.digest,
                        is_platform_said: entry.platform.is_some(),
                        depth: depth + 1,
                    }));
                }
                Manifest::Image { config, layers } => {
                    let (config, diff_ids) = self.config(session, &config, layers.len()).await?;
                    if is_platform_said || platform.fits(&config) {
                        let layers = layers.into_iter().zip(diff_ids).collect();
                        return Ok(Resolved { digest, manifest_digest: of, config, layers });
                    }
                }
            }
        }
        Err(unusable.unwrap_or_else(|| platform.no_match()).into())
    }

    async fn config(
        &self,
        session: &Session<'_>,
        config: &Descriptor,
        layers: usize,
    ) -> Result<(ImageConfig, Vec<Digest>), RegistryError> {
        let bytes = session.small_blob(config.digest, config.size, CONFIG_BYTES_MAX).await?;
        Ok(ImageConfig::parse(&bytes, layers)?)
    }
}

fn too_many_manifests() -> ManifestError {
    let reason = format!("more than {INDEX_DEPTH_MAX} in each other, or {MANIFESTS_MAX} in all");
    ManifestError::Malformed { what: "index", reason }
}

/// A manifest or index that may lead to the image.
struct Candidate {
    /// If it was asked for already.
    found: Option<Manifest>,
    digest: Digest,
    /// Whether the way to it says that it is for this platform, or that nobody asks.
    is_platform_said: bool,
    depth: u32,
}

pub(crate) struct Resolved {
    pub digest: Digest,
    pub manifest_digest: Digest,
    pub config: ImageConfig,
    /// Lowest first, each with its diff id.
    pub layers: Vec<(Descriptor, Digest)>,
}
