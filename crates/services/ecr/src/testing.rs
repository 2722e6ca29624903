//! A service over a registry in a scratch directory, and a caller who is root.

use std::sync::{Arc, Mutex};

use outport_aws_ecr::{CreateRepositoryRequest, EcrHandler, ImageIdentifier, MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Credential, Sealer, SecretAccessKey};
use outport_image_registry::{
    Algorithm, Digest, ImageTag, Limits, PutImage, Registry, Repository, RepositoryName, TagStatus,
    UploadId,
};
use outport_model::own_registry::OwnRegistry;
use outport_model::{AccountId, NodeId, Region, Scope};

use crate::{
    EcrService, PullSource, PullThroughCache, RegistryAddress, Upstream, UpstreamError,
    UpstreamManifest, UpstreamRepository, UpstreamUser,
};

pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// No node has any task.
pub(crate) struct NoTasks;

impl PullSource for NoTasks {
    fn pulls(&self, _: &NodeId, _: &str) -> bool {
        false
    }
}

/// `other:5000`, which answers and has nothing; every secret but `…none-…` has a user for it.
struct OtherRegistry;

#[async_trait::async_trait]
impl Upstream for OtherRegistry {
    fn named_by_operator(&self, address: &str) -> Option<String> {
        (address == "other:5000").then(|| "http://other:5000".to_owned())
    }
    async fn user(&self, _: &Scope, arn: &str) -> Result<UpstreamUser, UpstreamError> {
        match arn.contains("none-") {
            true => Err(UpstreamError::SecretNotFound(format!("no {arn}"))),
            false => Ok(UpstreamUser { name: "user".into(), token: "token".into() }),
        }
    }
    async fn ping(&self, _: &UpstreamRepository) -> Result<(), UpstreamError> {
        Ok(())
    }
    async fn manifest(
        &self,
        _: &UpstreamRepository,
        _: &str,
    ) -> Result<UpstreamManifest, UpstreamError> {
        Err(UpstreamError::NotFound)
    }
    async fn blob(
        &self,
        _: &UpstreamRepository,
        _: &str,
        _: u64,
    ) -> Result<std::fs::File, UpstreamError> {
        Err(UpstreamError::NotFound)
    }
}

pub(crate) struct Fixture {
    pub(crate) service: EcrService,
    pub(crate) call: Call,
    scope: Scope,
    open_uploads: Mutex<Vec<UploadId>>,
    _directory: tempfile::TempDir,
}

pub(crate) fn tagged(tag: &str) -> ImageIdentifier {
    ImageIdentifier { image_digest: None, image_tag: Some(tag.into()) }
}

pub(crate) fn digested(digest: &str) -> ImageIdentifier {
    ImageIdentifier { image_digest: Some(digest.into()), image_tag: None }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let registry = Registry::open(directory.path(), Limits::default()).expect("a registry");
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let call = Call::for_tests().at(NOW_MS);
        let own = OwnRegistry {
            host: "127.0.0.1:4566".to_owned(),
            names: vec!["localhost:4566".to_owned()],
        };
        let credential = Credential {
            access_key_id: call.access_key_id.clone(),
            secret_access_key: SecretAccessKey::new("secret"),
            principal: call.principal.clone(),
            session: None,
        };
        let address = RegistryAddress::new(own);
        let cache = PullThroughCache::new(registry.clone(), Arc::new(OtherRegistry));
        let service =
            EcrService::new(registry, address, sealer, Arc::new(credential)).with_cache(cache);
        Self { service, call, scope, open_uploads: Mutex::default(), _directory: directory }
    }

    /// From now on this answers every question of permission.
    pub(crate) fn ask(&mut self, permissions: Arc<WatchedPermissions>) {
        self.call = self.call.clone().asking(permissions);
    }

    /// Status and answer to a call with JSON, as a client makes it.
    pub(crate) async fn reply(
        &self,
        operation: &str,
        input: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        self.reply_to(&self.call, operation, input).await
    }

    /// The same, whoever calls otherwise.
    pub(crate) async fn reply_to_root(
        &self,
        operation: &str,
        input: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        self.reply_to(&Call::for_tests().at(NOW_MS), operation, input).await
    }

    async fn reply_to(
        &self,
        call: &Call,
        operation: &str,
        input: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let body = input.to_string().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let mut exchange = Exchange::new(request).expect("JSON");
        let reply = match dispatch(&self.service, call, operation, &mut exchange).await {
            Ok(()) => exchange.into_reply(),
            Err(error) => request.failure(&error),
        };
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    pub(crate) async fn create(&self, name: &str) {
        let input =
            CreateRepositoryRequest { repository_name: Some(name.into()), ..Default::default() };
        self.service.create_repository(&self.call, input).await.expect("the repository is created");
    }

    pub(crate) fn repository(&self, name: &str) -> Repository {
        self.service
            .registry()
            .repository(&self.scope, &parse(name))
            .expect("the repository is there")
    }

    /// Gives the repository a tag, behind the back of the service.
    pub(crate) fn tag(&self, name: &str, key: &str, value: &str) {
        self.tagging(name, key, value)();
    }

    /// The same, later.
    pub(crate) fn tagging(&self, name: &str, key: &str, value: &str) -> impl Fn() + use<> {
        let (registry, scope) = (self.service.registry().clone(), self.scope.clone());
        let (name, key, value) = (parse(name), key.to_owned(), value.to_owned());
        move || {
            let tagged = registry.change_repository_tags(&scope, &name, |tags| {
                tags.insert(key.clone(), value.clone());
            });
            tagged.expect("the repository is there");
        }
    }

    /// A session that has these bytes.
    pub(crate) fn upload_of(&self, name: &str, bytes: &[u8]) -> UploadId {
        let (registry, name) = (self.service.registry(), parse(name));
        let id = registry.start_upload(&self.scope, &name, NOW_MS).expect("a session");
        let mut upload = registry.resume_upload(&self.scope, &name, id).expect("a session");
        upload.append(bytes).expect("bytes are taken");
        self.open_uploads.lock().expect("no test panicked").push(id);
        id
    }

    /// How far the sessions of [`Fixture::upload_of`] are.
    pub(crate) fn uploads(&self, name: &str) -> String {
        let (registry, name) = (self.service.registry(), parse(name));
        let ids = self.open_uploads.lock().expect("no test panicked").clone();
        let offset = |id: &UploadId| registry.upload_offset(&self.scope, &name, *id).ok();
        format!("{:?}", ids.iter().map(offset).collect::<Vec<_>>())
    }

    pub(crate) fn image_count(&self, name: &str) -> usize {
        let registry = self.service.registry();
        let images =
            registry.describe_images(&self.scope, &parse(name), TagStatus::Any, None, 1_000);
        images.expect("images").len()
    }

    pub(crate) fn digest_of(&self, bytes: &[u8]) -> String {
        Digest::of(Algorithm::Sha256, bytes).to_string()
    }

    /// Uploads a config and a layer, and returns the manifest of their image.
    pub(crate) fn manifest(&self, name: &str, layer: &[u8]) -> String {
        let (config, size) = (self.upload(name, b"{}"), layer.len());
        let layer = self.upload(name, layer);
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{size}}}]}}"#
        )
    }

    /// Pushes an image of one layer, and returns its digest.
    pub(crate) async fn push(&self, name: &str, tag: &str, layer: &[u8]) -> String {
        let manifest = self.manifest(name, layer);
        self.put(name, tag, &manifest)
    }

    /// Pushes an index of one image, and returns its digest.
    pub(crate) fn push_index(&self, name: &str, tag: &str, image: &str) -> String {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{image}","size":1}}]}}"#
        );
        self.put(name, tag, &index)
    }

    /// Pushes what is about an image, without a tag, and returns its digest.
    pub(crate) fn push_about(&self, name: &str, image: &str, artifact_type: &str) -> String {
        let config = self.upload(name, b"{}");
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"{artifact_type}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{image}","size":1}},"annotations":{{"by":"a test"}}}}"#
        );
        self.put_manifest(name, None, &manifest)
    }

    fn put(&self, name: &str, tag: &str, manifest: &str) -> String {
        self.put_manifest(name, Some(&tag.parse().expect("a tag")), manifest)
    }

    fn put_manifest(&self, name: &str, tag: Option<&ImageTag>, manifest: &str) -> String {
        let put = PutImage { body: manifest.as_bytes(), media_type: None, tag, digest: None };
        let stored = self.service.registry().put_image(&self.scope, &parse(name), &put, NOW_MS);
        stored.expect("the image is stored").digest.to_string()
    }

    fn upload(&self, name: &str, bytes: &[u8]) -> Digest {
        let (registry, name) = (self.service.registry(), parse(name));
        let id = registry.start_upload(&self.scope, &name, NOW_MS).expect("a session");
        let mut upload = registry.resume_upload(&self.scope, &name, id).expect("a session");
        upload.append(bytes).expect("bytes are taken");
        let digest = Digest::of(Algorithm::Sha256, bytes);
        upload.finish(&digest, NOW_MS).expect("a blob").digest
    }
}

fn parse(name: &str) -> RepositoryName {
    name.parse().expect("a repository name")
}
