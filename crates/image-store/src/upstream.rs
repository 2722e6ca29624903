//! Registries as they are, for who keeps their images without unpacking them: the same client that pulls for tasks.

use crate::digest::Digest;
use crate::download::{DownloadLimits, download};
use crate::registry::{
    HostNetwork, Network, RawManifest, RegistryClient, RegistryEndpoint, RegistryError,
};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Connections to registries that images are copied from.
pub struct UpstreamRegistries {
    client: RegistryClient,
    limits: DownloadLimits,
    /// Where blobs are on their way; nothing in it has a name.
    directory: PathBuf,
}

impl UpstreamRegistries {
    /// `directory`: of a disk with room for the largest blob.
    pub fn new(directory: PathBuf) -> Self {
        let network: Arc<dyn Network> = Arc::new(HostNetwork);
        let client = RegistryClient::new(&network, None);
        Self { client, limits: DownloadLimits::default(), directory }
    }

    /// Whether the registry answers, and takes the credentials.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self, endpoint: &RegistryEndpoint) -> Result<(), RegistryError> {
        self.client.session(endpoint).ping().await
    }

    /// A manifest or an index by a tag or a digest, verified when it is a digest.
    ///
    /// # Errors
    /// Why the registry did not give it.
    pub async fn manifest(
        &self,
        endpoint: &RegistryEndpoint,
        selector: &str,
    ) -> Result<RawManifest, RegistryError> {
        self.client.session(endpoint).raw_manifest(selector).await
    }

    /// A blob of `size` bytes, verified, in a file that nobody else has.
    ///
    /// # Errors
    /// Why the registry did not give it, and those of the disk.
    pub async fn blob(
        &self,
        endpoint: &RegistryEndpoint,
        digest: Digest,
        size: u64,
    ) -> Result<File, RegistryError> {
        let file = tempfile::tempfile_in(&self.directory).map_err(RegistryError::Disk)?;
        let session = self.client.session(endpoint);
        download(&session, digest, size, file, &self.limits).await
    }
}
