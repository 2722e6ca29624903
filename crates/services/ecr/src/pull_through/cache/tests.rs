use std::io::{Seek, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use outport_image_registry::{AccessDenied, Algorithm, Limits};
use outport_model::{AccountId, Region, Tags};

use super::super::{Template, UpstreamManifest, UpstreamUser};
use super::*;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DAY_MS: i64 = LOOKED_AT_EVERY_MS;

/// A registry with one index of one image, and what was asked of it.
#[derive(Default)]
struct Other {
    is_down: AtomicBool,
    layer: Mutex<Vec<u8>>,
    manifests: AtomicUsize,
    blobs: AtomicUsize,
}

impl Other {
    fn image(&self) -> (Vec<u8>, Digest) {
        let layer = lock(&self.layer).clone();
        let describe = |bytes: &[u8]| {
            let digest = Digest::of(Algorithm::Sha256, bytes);
            format!(r#"{{"mediaType":"m","digest":"{digest}","size":{}}}"#, bytes.len())
        };
        let (config, layer) = (describe(b"{}"), describe(&layer));
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{layer}]}}"#
        );
        let digest = Digest::of(Algorithm::Sha256, body.as_bytes());
        (body.into_bytes(), digest)
    }

    fn index(&self) -> Vec<u8> {
        let (body, digest) = self.image();
        let other = Digest::of(Algorithm::Sha256, b"of another platform");
        let entry = |digest: &Digest, size: usize| {
            format!(r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":{size}}}"#)
        };
        let entries = [entry(&digest, body.len()), entry(&other, 7)].join(",");
        let index =
            format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#);
        index.into_bytes()
    }
}

#[async_trait]
impl Upstream for Other {
    fn named_by_operator(&self, address: &str) -> Option<String> {
        (address == "other:5000").then(|| "http://other:5000".to_owned())
    }
    async fn user(&self, _: &Scope, _: &str) -> Result<UpstreamUser, UpstreamError> {
        Ok(UpstreamUser { name: "u".into(), token: "t".into() })
    }
    async fn ping(&self, _: &UpstreamRepository) -> Result<(), UpstreamError> {
        Ok(())
    }
    async fn manifest(
        &self,
        of: &UpstreamRepository,
        selector: &str,
    ) -> Result<UpstreamManifest, UpstreamError> {
        self.manifests.fetch_add(1, Ordering::Relaxed);
        assert_eq!((of.registry.as_str(), of.name.as_str()), ("http://other:5000", "team/app"));
        if self.is_down.load(Ordering::Relaxed) {
            return Err(UpstreamError::Failed("connection refused".into()));
        }
        let (image, digest) = self.image();
        match selector {
            "1" => Ok(UpstreamManifest { body: self.index(), media_type: Some(INDEX.into()) }),
            of if of == digest.to_string() => {
                Ok(UpstreamManifest { body: image, media_type: Some(IMAGE.into()) })
            }
            _ => Err(UpstreamError::NotFound),
        }
    }
    async fn blob(
        &self,
        _: &UpstreamRepository,
        digest: &str,
        _: u64,
    ) -> Result<File, UpstreamError> {
        self.blobs.fetch_add(1, Ordering::Relaxed);
        let layer = lock(&self.layer).clone();
        let is_layer = Digest::of(Algorithm::Sha256, &layer).to_string() == digest;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(if is_layer { &layer } else { b"{}" }).unwrap();
        file.rewind().unwrap();
        Ok(file)
    }
}

/// May do what is listed.
struct Puller(Scope, &'static [&'static str]);

impl RegistryCaller for Puller {
    fn scope(&self) -> &Scope {
        &self.0
    }
    fn authorize(
        &self,
        action: &'static str,
        resource: &str,
        _: &Tags,
        _: Option<&str>,
    ) -> Result<(), AccessDenied> {
        assert!(resource.ends_with(":repository/other/app"), "{resource}");
        match self.1.contains(&action) {
            true => Ok(()),
            false => Err(AccessDenied { message: format!("no {action}") }),
        }
    }
}

struct World {
    registry: Arc<Registry>,
    other: Arc<Other>,
    cache: PullThroughCache,
    scope: Scope,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(directory.path(), Limits::default()).unwrap();
        let other = Arc::new(Other { layer: Mutex::new(b"layer".to_vec()), ..Other::default() });
        let cache = PullThroughCache::new(registry.clone(), other.clone());
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let rule = Rule {
            prefix: "other".into(),
            upstream_url: "other:5000".into(),
            upstream: None,
            credential_arn: Some("arn".into()),
            upstream_prefix: "team".into(),
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        Rules::change(&registry, &scope, |rules| rules.add(&scope, rule)).unwrap();
        let template = Template {
            prefix: "ROOT".into(),
            description: None,
            tags: [("team".to_owned(), "red".to_owned())].into(),
            mutability: "MUTABLE".into(),
            mutability_filters: Vec::new(),
            repository_policy: Some("{}".into()),
            lifecycle_policy: None,
            applied_for: vec!["PULL_THROUGH_CACHE".into()],
            custom_role_arn: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        Templates::change(&registry, &scope, |all| all.add(&scope, template)).unwrap();
        Self { registry, other, cache, scope, _directory: directory }
    }

    async fn pull(
        &self,
        may: &'static [&'static str],
        reference: &str,
        now_ms: i64,
    ) -> Result<Vec<u8>, NotTaken> {
        let reference = match reference.parse() {
            Ok(digest) => ImageSelector::Digest(digest),
            Err(_) => ImageSelector::Tag(reference.parse().unwrap()),
        };
        let name: RepositoryName = "other/app".parse().unwrap();
        let wanted = WantedImage {
            scope: self.scope.clone(),
            repository: name.clone(),
            reference: reference.clone(),
            now_ms,
        };
        self.cache.prepare_image(&Puller(self.scope.clone(), may), wanted).await?;
        Ok(self.registry.image(&self.scope, &name, &reference).unwrap().body)
    }

    fn asked(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.other.manifests), count(&self.other.blobs))
    }
}

const ALL: &[&str] = &[IMPORT, CREATE];

#[tokio::test]
async fn an_image_is_taken_once_and_looked_at_once_a_day() {
    let world = World::new();
    let index = world.other.index();
    let (image, digest) = world.other.image();
    assert_eq!(world.pull(ALL, "1", 0).await, Ok(index.clone()));
    assert_eq!(world.asked(), (1, 0), "of an index no image comes unasked");
    let repository =
        world.registry.repository(&world.scope, &"other/app".parse().unwrap()).unwrap();
    assert_eq!(repository.tags.get("team").map(String::as_str), Some("red"));
    assert_eq!(repository.policy.as_deref(), Some("{}"));
    // Ten at once are one.
    let digest = digest.to_string();
    let pulls = (0..10).map(|_| world.pull(ALL, &digest, 0));
    for pulled in futures_util::future::join_all(pulls).await {
        assert_eq!(pulled, Ok(image.clone()));
    }
    assert_eq!(world.asked(), (2, 2));
    assert_eq!(world.pull(ALL, "1", DAY_MS - 1).await, Ok(index.clone()));
    assert_eq!(world.asked(), (2, 2));
    // A day later the tag is another image, which who may not import does not get.
    *lock(&world.other.layer) = b"another".to_vec();
    assert_eq!(world.pull(&[], "1", DAY_MS).await, Ok(index.clone()));
    let changed = world.other.index();
    assert_eq!(world.pull(&[IMPORT], "1", DAY_MS).await, Ok(changed.clone()));
    assert_ne!(changed, index);
    // What is here is served though the other one is down, which is not asked with each pull.
    world.other.is_down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(world.pull(ALL, "1", 3 * DAY_MS).await, Ok(changed.clone()));
    }
    assert_eq!(world.asked(), (4, 2));
    assert!(matches!(world.pull(ALL, "2", 0).await, Err(NotTaken::Failed(_))));
}

#[tokio::test]
async fn who_pulls_needs_both_permissions_for_what_is_not_here() {
    let world = World::new();
    let denied =
        |action: &str| Err(NotTaken::Denied(AccessDenied { message: format!("no {action}") }));
    assert_eq!(world.pull(&[CREATE], "1", 0).await, denied(IMPORT));
    assert_eq!(world.pull(&[IMPORT], "1", 0).await, denied(CREATE));
    assert_eq!(world.asked(), (0, 0));
    let missing = world.pull(ALL, "none", 0).await;
    assert!(matches!(&missing, Err(NotTaken::NotThere(text)) if text.contains("team/app")));
    world.pull(ALL, "1", 0).await.unwrap();
}
