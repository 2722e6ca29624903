//! What has to be pushed, so that an image is there.
//!
//! **Invariant:** the bytes of a manifest are never changed, and a manifest comes behind all that it refers to.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};

use super::digest::Digest;
use super::platform::Platform;
use super::source::{Part, Source};
use super::{docker_save, layout};

/// Layers and manifests of one image, for all platforms: more than the registry takes of one manifest.
const PARTS_MAX: usize = 10_000;

/// Which image is meant.
pub struct Wanted<'w> {
    pub name: Option<&'w str>,
    pub platform: Platform,
    /// Whether somebody named that platform: else an image for one alone is taken, whatever it is for.
    pub is_platform_named: bool,
    pub all: bool,
}

impl Wanted<'_> {
    /// Looks at the configuration of an image that no index says the platform of. One that says none may be for any.
    ///
    /// # Errors
    /// When it is for another platform than the one that was named.
    pub fn check_platform(&self, configuration: &[u8]) -> Result<()> {
        if self.all || !self.is_platform_named {
            return Ok(());
        }
        let found: Platform = serde_json::from_slice(configuration)
            .context("its configuration is none of an image")?;
        // Configurations seldom say a variant.
        let variant =
            if found.variant.is_empty() { String::new() } else { self.platform.variant.clone() };
        let platform = Platform { variant, ..self.platform.clone() };
        if !found.architecture.is_empty() && !platform.takes(&found) {
            bail!("it is not for {}, but for {found} alone", self.platform);
        }
        Ok(())
    }
}

/// A layer or a configuration.
#[derive(Debug)]
pub struct Blob {
    /// What its bytes have to have.
    pub digest: Digest,
    pub part: Part,
}

#[derive(Debug)]
pub struct Manifest {
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

/// Blobs and manifests in the order in which they are pushed.
#[derive(Debug, Default)]
pub struct Content {
    pub blobs: Vec<Blob>,
    pub manifests: Vec<Manifest>,
    seen: HashSet<Digest>,
}

impl Content {
    /// # Errors
    /// When the source has not that image, or not all of it, or more than one.
    pub fn of(source: &Source, wanted: &Wanted<'_>) -> Result<Self> {
        // Newer versions of Docker save both forms in one archive, and only this one has all platforms.
        if let Some(index) = source.document(layout::INDEX)? {
            return layout::content(source, &index, wanted);
        }
        match source.document(docker_save::MANIFEST)? {
            Some(manifest) => docker_save::content(source, &manifest, wanted),
            None => bail!(
                "it has neither {} of an OCI layout nor {} of `docker save`",
                layout::INDEX,
                docker_save::MANIFEST
            ),
        }
    }

    /// Of the image, or of the index of its platforms.
    pub fn digest(&self) -> &Digest {
        // Each way to make one ends with a manifest.
        &self.manifests[self.manifests.len() - 1].digest
    }

    pub fn add_blob(&mut self, blob: Blob) -> Result<()> {
        if self.is_new(&blob.digest)? {
            self.blobs.push(blob);
        }
        Ok(())
    }

    pub fn add_manifest(&mut self, manifest: Manifest) -> Result<()> {
        if self.is_new(&manifest.digest)? {
            self.manifests.push(manifest);
        }
        Ok(())
    }

    fn is_new(&mut self, digest: &Digest) -> Result<bool> {
        if self.seen.len() >= PARTS_MAX {
            bail!("the image has more than {PARTS_MAX} layers and manifests");
        }
        Ok(self.seen.insert(digest.clone()))
    }
}

/// Of several images the one that is asked for. Each has its names.
///
/// # Errors
/// When there is none of the name, or no name is given and there are several.
pub fn named<'i, I>(
    images: &'i [I],
    names: impl Fn(&I) -> Vec<String>,
    wanted: &Wanted<'_>,
) -> Result<&'i I> {
    let all: Vec<String> = images.iter().flat_map(&names).collect();
    let Some(name) = wanted.name else {
        match images {
            [] => bail!("it has no image"),
            [image] => return Ok(image),
            _ => bail!("it has several images, {}: say which one with --name", either(&all)),
        }
    };
    // `docker save app` calls it docker.io/library/app:latest or app:latest; a layout has often the tag alone.
    let fits = |own: &String| {
        own == name || own.ends_with(&format!("/{name}")) || own.ends_with(&format!(":{name}"))
    };
    match images.iter().find(|image| names(image).iter().any(fits)) {
        Some(image) => Ok(image),
        None if all.is_empty() => bail!("its images have no names, so none is {name}"),
        None => bail!("it has no image {name}, but {}", either(&all)),
    }
}

fn either(names: &[String]) -> String {
    const SHOWN_MAX: usize = 10;
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let more = names.len() - shown.len();
    match (shown.is_empty(), more) {
        (true, _) => "all without names".to_owned(),
        (false, 0) => shown.join(" and "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_one_platform_is_refused_for_another_that_was_named() {
        let check = |platform: &str, is_platform_named, configuration: &str, expected: &str| {
            let platform = Platform::parse(platform).unwrap();
            let wanted = Wanted { name: None, platform, is_platform_named, all: false };
            let checked = wanted.check_platform(configuration.as_bytes());
            let said = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said, expected, "{configuration}");
        };
        let amd64 = r#"{"os":"linux","architecture":"amd64","rootfs":{}}"#;
        check("linux/amd64", true, amd64, "");
        check("linux/arm64", true, amd64, "it is not for linux/arm64, but for linux/amd64 alone");
        check("linux/arm64", false, amd64, "");
        check("linux/arm64", true, "{}", "");
        let arm = r#"{"os":"linux","architecture":"arm"}"#;
        check("linux/arm/v7", true, arm, "");
        let v6 = r#"{"os":"linux","architecture":"arm","variant":"v6"}"#;
        check("linux/arm/v7", true, v6, "it is not for linux/arm/v7, but for linux/arm/v6 alone");
    }
}
