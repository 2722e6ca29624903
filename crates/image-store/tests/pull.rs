//! Pulling from a registry, a well-behaved one and others. Needs root (layers have owners).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{
    Digest, DownloadLimits, HostNetwork, Image, ImageStore, Nearness, Network, Platform, PullError,
    RegistryEndpoint, StoreOptions, SweepPolicy, UnpackLimits,
};
use outport_model::Now;
use outport_model::clock::{Reading, StepWatch};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::registry::{Access, Fault, Registry};
use support::tarball::{Tarball, gzip};

fn options() -> StoreOptions {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    StoreOptions { platform, ..StoreOptions::default() }
}

fn open(directory: &Path) -> ImageStore {
    ImageStore::open(directory, options()).unwrap()
}

fn tar(name: &str) -> Vec<u8> {
    Tarball::new().file(name, name.as_bytes()).finish()
}

/// Not compressible: large blobs stay large.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 0x1234_5678_u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Nothing half-made is in the store: waits for the background deletion.
#[track_caller]
fn check_clean(directory: &Path, layers: usize) {
    let count = |name: &str| fs::read_dir(directory.join(name)).unwrap().count();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while count("trash") + count("tmp") > 0 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!((count("tmp"), count("trash"), count("layers")), (0, 0, layers));
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let digest = registry.put_image("1.0", &[tar("low"), tar("high")]);
    let image = store.pull(&registry.reference("app:1.0"), &registry.endpoint()).await.unwrap();
    assert_eq!((image.digest, image.manifest_digest), (digest, digest));
    assert_eq!(image.config.entrypoint, ["/app"]);
    assert_eq!(image.config.cmd, ["serve"]);
    assert_eq!(image.config.env, ["A=b"]);
    assert_eq!((image.config.user.as_str(), image.config.working_dir.as_str()), ("1000", "/srv"));
    assert_eq!(image.config.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(image.config.exposed_ports, ["80/tcp"]);
    assert_eq!(fs::read(image.layers[0].join("high")).unwrap(), b"high", "the top layer is first");
    assert_eq!(fs::read(image.layers[1].join("low")).unwrap(), b"low");

    let before = registry.requests("");
    let again = registry.reference(&format!("app@{digest}"));
    let again = store.pull(&again, &registry.endpoint()).await.unwrap();
    assert_eq!(again.layers, image.layers);
    assert_eq!(registry.requests(""), before, "a digest that is here costs no request");
    assert_eq!(store.find(&registry.reference("app:1.0")).unwrap().digest, digest);

    let again = store.pull(&registry.reference("app:1.0"), &registry.endpoint()).await.unwrap();
    assert_eq!((again.digest, &again.layers), (digest, &image.layers));
    assert_eq!(
        registry.requests(""),
        before + 1,
        "a tag that names what is here costs one request"
    );

    let moved = registry.put_image("1.0", &[tar("low"), tar("other")]);
    let image = store.pull(&registry.reference("app:1.0"), &registry.endpoint()).await.unwrap();
    assert_eq!(image.digest, moved, "a tag is resolved at every pull");
    assert_eq!(store.find(&registry.reference("app:1.0")).unwrap().digest, moved);
    assert_eq!(registry.requests(&format!("blobs/{}", Digest::of(&gzip(&tar("low"))))), 1);
    check_clean(directory.path(), 3);

    // Another process after a kill: found again, and whatever is no image's is gone.
    drop((image, again, store));
    fs::create_dir_all(directory.path().join("layers/junk/x")).unwrap();
    fs::create_dir_all(directory.path().join("tmp/half-made/x")).unwrap();
    fs::write(directory.path().join("images/broken.json"), "{").unwrap();
    let store = open(directory.path());
    assert_eq!(store.find(&registry.reference("app:1.0")).unwrap().digest, moved);
    assert_eq!(store.digests().len(), 2);
    check_clean(directory.path(), 3);
}

#[tokio::test]
async fn an_index_leads_to_the_platforms_manifest() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let arm = registry.put_image("arm", &[tar("arm")]);
    let amd = registry.put_image("amd", &[tar("amd")]);
    let index = registry.put_index("multi", &[("arm64", arm), ("amd64", amd)]);
    let image = store.pull(&registry.reference("app:multi"), &registry.endpoint()).await.unwrap();
    assert_eq!((image.digest, image.manifest_digest), (index, amd));
    assert!(store.image(index).is_some());

    registry.put_index("arm-only", &[("arm64", arm)]);
    check_error(
        &store,
        &registry,
        "app:arm-only",
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'",
    )
    .await;
}

#[tokio::test]
async fn an_index_need_not_say_platforms_and_may_hold_indexes() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let amd = registry.put_image("amd", &[tar("amd")]);
    let blob = gzip(&tar("arm"));
    let arm =
        registry.manifest_for("arm64", std::slice::from_ref(&blob), &[Digest::of(&tar("arm"))]);
    let arm = registry.put_manifest("arm", "x", &arm);
    let signature = serde_json::json!({
        "schemaVersion": 2, "layers": [],
        "config": {"mediaType": "application/vnd.of.a.signature", "digest": amd, "size": 1},
    });
    let signature = registry.put_manifest("signature", "x", &signature);
    let pulled = async |tag: &str| {
        let reference = registry.reference(&format!("app:{tag}"));
        store.pull(&reference, &registry.endpoint()).await.map(|image| image.manifest_digest)
    };
    // The configuration tells; what no container can be made from is passed over.
    registry.put_bare_index("bare", &[(false, signature), (false, arm), (false, amd)]);
    assert_eq!(pulled("bare").await.unwrap(), amd);
    let none = registry.put_bare_index("none", &[(false, arm)]);
    check_error(&store, &registry, "app:none", "matching platform 'linux/amd64'").await;
    registry.put_bare_index("unusable", &[(false, signature)]);
    check_error(&store, &registry, "app:unusable", "unsupported media type").await;
    registry.put_bare_index("empty", &[]);
    check_error(&store, &registry, "app:empty", "matching platform 'linux/amd64'").await;
    // Indexes in indexes, with and without a platform said; the first branch leads nowhere.
    let inner = registry.put_index("inner", &[("arm64", arm), ("amd64", amd)]);
    let nested = registry.put_bare_index("nested", &[(true, none), (true, inner)]);
    assert_eq!(pulled("nested").await.unwrap(), amd);
    registry.put_index("said", &[("amd64", inner)]);
    assert_eq!(pulled("said").await.unwrap(), amd);
    let deeper = (0..10).fold(nested, |below, level| {
        registry.put_bare_index(&format!("deeper{level}"), &[(true, below)])
    });
    assert_ne!(deeper, nested);
    check_error(&store, &registry, "app:deeper9", "malformed index").await;
    // Each level names the one below often: a tree of a million.
    let wide = (0..3).fold(none, |below, level| {
        registry.put_bare_index(&format!("wide{level}"), &[(true, below); 100])
    });
    assert_ne!(wide, none);
    let before = registry.requests("");
    check_error(&store, &registry, "app:wide2", "malformed index").await;
    assert!(registry.requests("") - before < 80, "{}", registry.requests("") - before);
    // A registry that gives the same index whatever is asked for.
    let own = registry.put_bare_index("loop", &[(true, none)]);
    let itself = serde_json::json!({"schemaVersion": 2, "manifests": [{"digest": own, "size": 1}]});
    registry.put(&format!("manifests/{none}"), "x", itself.to_string().as_bytes());
    check_error(&store, &registry, "app:loop", "unexpected commit digest").await;
}

/// Foreign layers come from the registry or not at all: where their `urls` lead is not asked.
#[tokio::test]
async fn foreign_layers_are_asked_of_the_registry_only() {
    let registry = Registry::start(Access::Open).await;
    let elsewhere = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let blob = gzip(&tar("foreign"));
    let mut manifest =
        registry.manifest(std::slice::from_ref(&blob), &[Digest::of(&tar("foreign"))]);
    let layer = &mut manifest["layers"][0];
    layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    layer["urls"] = serde_json::json!([format!("http://{}/secret", elsewhere.authority())]);
    registry.put_manifest("foreign", "x", &manifest);
    let reference = registry.reference("app:foreign");
    let image = store.pull(&reference, &registry.endpoint()).await.unwrap();
    assert_eq!(fs::read(image.layers[0].join("foreign")).unwrap(), b"foreign");
    let absent = Digest::of(b"nobody has it");
    manifest["layers"][0]["digest"] = serde_json::json!(absent);
    manifest["config"] = registry.manifest(&[vec![1]], &[absent])["config"].clone();
    registry.put_manifest("absent", "x", &manifest);
    check_error(&store, &registry, "app:absent", "not found").await;
    assert_eq!(elsewhere.requests(""), 0);
}

/// Three layers that never come hold no place of others, and end.
#[tokio::test]
async fn layers_without_an_end_keep_nobody_waiting() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let endless = [tar("x"), tar("y"), tar("z"), tar("shared")];
    registry.put_image("endless", &endless);
    for layer in &endless {
        registry.fault(&format!("blobs/{}", Digest::of(&gzip(layer))), Fault::Stall);
    }
    let store = open(directory.path());
    let waiting = {
        let (store, endpoint) = (store.clone(), registry.endpoint());
        let reference = registry.reference("app:endless");
        tokio::spawn(async move { store.pull(&reference, &endpoint).await.map(|_| ()) })
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while registry.requests("blobs/") < 4 && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    // Of another registry, also a layer that the first only claims to have.
    let honest = Registry::start(Access::Open).await;
    honest.put_image("1", &[tar("shared"), tar("own")]);
    for tag in ["1", "1"] {
        let reference = honest.reference(&format!("app:{tag}"));
        let endpoint = honest.endpoint();
        let pull = store.pull(&reference, &endpoint);
        tokio::time::timeout(Duration::from_secs(20), pull).await.expect("it waits").unwrap();
    }
    assert!(!waiting.is_finished());
    waiting.abort();

    let download = DownloadLimits {
        time_base: Duration::from_millis(200),
        bytes_per_second_min: 1 << 20,
        ..DownloadLimits::default()
    };
    let store =
        ImageStore::open(&directory.path().join("other"), StoreOptions { download, ..options() });
    registry.put_image("slow", &[tar("slow")]);
    registry.fault(&format!("blobs/{}", Digest::of(&gzip(&tar("slow")))), Fault::Stall);
    let error = check_error(&store.unwrap(), &registry, "app:slow", "did not come within").await;
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_blob_that_is_announced_too_large_is_not_begun() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { blob_bytes_max: 10, ..UnpackLimits::default() };
    let store = ImageStore::open(directory.path(), StoreOptions { limits, ..options() }).unwrap();
    registry.put_image("1", &[tar("a")]);
    check_error(&store, &registry, "app:1", "unexpected size").await;
    assert_eq!(registry.requests(&format!("blobs/{}", Digest::of(&gzip(&tar("a"))))), 0);
}

#[tokio::test]
async fn unused_images_make_room_before_a_pull_fails() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let large = |name: &str| Tarball::new().file(name, &noise(40_000)).finish();
    let limited = StoreOptions { bytes_max: 100_000, collect_after: Duration::ZERO, ..options() };
    let store = ImageStore::open(directory.path(), limited).unwrap();
    for tag in ["a", "b", "c"] {
        registry.put_image(tag, &[large(tag)]);
    }
    let pull = async |tag: &str| {
        store.pull(&registry.reference(&format!("app:{tag}")), &registry.endpoint()).await
    };
    drop(pull("a").await.unwrap());
    let b = pull("b").await.unwrap();
    let c = pull("c").await.unwrap();
    assert!(store.find(&registry.reference("app:a")).is_none(), "the oldest unused one went");
    assert!(store.find(&registry.reference("app:b")).is_some());
    check_error(&store, &registry, "app:a", "write image store: no space left on device").await;
    drop(c);
    pull("a").await.unwrap();
    assert!(store.find(&registry.reference("app:c")).is_none());
    assert_eq!(fs::read(b.layers[0].join("b")).unwrap().len(), 40_000, "what is used stays");
    drop(b);
    registry.put_image("huge", &[Tarball::new().file("huge", &noise(200_000)).finish()]);
    check_error(&store, &registry, "app:huge", "write image store: no space left on device").await;
}

/// An image without a byte of layers is remembered, too.
#[tokio::test]
async fn images_have_a_number() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limited = StoreOptions { images_max: 2, collect_after: Duration::ZERO, ..options() };
    let store = ImageStore::open(directory.path(), limited).unwrap();
    let mut held = Vec::new();
    for tag in ["a", "b", "c"] {
        registry.put_image(tag, &[tar(tag)]);
        let reference = registry.reference(&format!("app:{tag}"));
        let image = store.pull(&reference, &registry.endpoint()).await.unwrap();
        assert!(store.digests().len() <= 2, "{tag}");
        if tag != "a" {
            held.push(image);
        }
    }
    assert!(store.find(&registry.reference("app:a")).is_none(), "the unused one went");
    registry.put_image("d", &[tar("d")]);
    check_error(&store, &registry, "app:d", "no space left on device").await;
    drop(held);
    store.pull(&registry.reference("app:d"), &registry.endpoint()).await.unwrap();
}

/// Pulls, expects this in the reason, and that nothing is left.
async fn check_error(
    store: &ImageStore,
    registry: &Registry,
    rest: &str,
    words: &str,
) -> PullError {
    let error = store.pull(&registry.reference(rest), &registry.endpoint()).await.unwrap_err();
    let reason = error.reason();
    assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
    assert!(reason.contains(words), "{reason} has no {words}");
    error
}

#[tokio::test]
async fn what_is_wrong_with_an_image_is_said_and_leaves_nothing() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let authority = registry.authority();
    let missing = format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {authority}/app:none: {authority}/app:none: not found"
    );
    let error = check_error(&store, &registry, "app:none", &missing).await;
    assert!(!error.is_transient());

    let good = gzip(&tar("a"));
    let wrong_diff = registry.manifest(std::slice::from_ref(&good), &[Digest::of(b"other")]);
    registry.put_manifest("diff", "x", &wrong_diff);
    check_error(&store, &registry, "app:diff", "wrong diff id calculated on extraction").await;

    registry.put_image("blob", &[tar("b")]);
    registry.fault("blobs/sha256", Fault::Status(200));
    let blob = Digest::of(&gzip(&tar("b")));
    let other = gzip(&tar("c"));
    registry.put(&format!("blobs/{blob}"), "x", &other);
    check_error(&store, &registry, "app:blob", "").await;
    registry.put(&format!("blobs/{blob}"), "x", &vec![0; gzip(&tar("b")).len()]);
    check_error(&store, &registry, "app:blob", "unexpected commit digest").await;
    registry.put(&format!("blobs/{blob}"), "x", &vec![0; 100_000]);
    check_error(&store, &registry, "app:blob", "unexpected size").await;
    registry.put(&format!("blobs/{blob}"), "x", b"short");
    check_error(&store, &registry, "app:blob", "").await;

    let asked = registry.put_image("lie", &[tar("d")]);
    registry.fault(&format!("manifests/{asked}"), Fault::Replace(b"{}".to_vec()));
    check_error(&store, &registry, &format!("app@{asked}"), "unexpected commit digest").await;
    registry.put("manifests/junk", "x", b"not json");
    check_error(&store, &registry, "app:junk", "malformed manifest").await;
    registry.put("manifests/huge", "x", &vec![b' '; 5 << 20]);
    check_error(&store, &registry, "app:huge", "unexpected size").await;
    let mut both = registry.manifest(&[], &[]);
    both["manifests"] = serde_json::json!([]);
    registry.put_manifest("both", "x", &both);
    check_error(&store, &registry, "app:both", "unsupported media type").await;
    let mut count = registry.manifest(std::slice::from_ref(&good), &[]);
    registry.put_manifest("count", "x", &count);
    check_error(&store, &registry, "app:count", "1 layers but 0 diff ids").await;
    count["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+encrypted".into();
    registry.put_manifest("encrypted", "x", &count);
    check_error(&store, &registry, "app:encrypted", "unsupported media type").await;
    let many = registry.manifest(&vec![good; 128], &[Digest::of(b""); 128]);
    registry.put_manifest("many", "x", &many);
    check_error(&store, &registry, "app:many", "128 layers, at most 127").await;

    let hostile = Tarball::new().file("../../escape", b"x").finish();
    registry.put_image("hostile", &[tar("fine"), hostile]);
    let error = check_error(&store, &registry, "app:hostile", "path with ..").await;
    assert!(!error.is_transient());
    assert!(store.digests().is_empty());
    let kept = HashSet::new();
    let policy = SweepPolicy { unused_age_max: Duration::ZERO, bytes_max: 0 };
    store.sweep(&kept, &policy, &now(0)).unwrap();
    check_clean(directory.path(), 0);
}

#[tokio::test]
async fn troubles_that_pass_are_ridden_out() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let large = Tarball::new().file("large", &noise(3_000_000)).finish();
    registry.put_image("1", std::slice::from_ref(&large));
    let blob = format!("blobs/{}", Digest::of(&gzip(&large)));
    registry.fault("manifests/1", Fault::Status(503));
    registry.fault("manifests/1", Fault::Status(429));
    registry.fault(&blob, Fault::BreakAfter(1_000_000));
    registry.fault(&blob, Fault::Status(500));
    registry.fault(&blob, Fault::BreakAfter(500_000));
    let image = store.pull(&registry.reference("app:1"), &registry.endpoint()).await.unwrap();
    assert_eq!(fs::read(image.layers[0].join("large")).unwrap().len(), 3_000_000);
    assert!(registry.requests("range=bytes=1") > 0, "the download was resumed, not begun again");

    registry.put_image("2", &[tar("two")]);
    (0..3).for_each(|_| registry.fault("manifests/2", Fault::Status(503)));
    let error = check_error(&store, &registry, "app:2", "503").await;
    assert!(error.is_transient());
    (0..3).for_each(|_| registry.fault("manifests/2", Fault::Status(429)));
    check_error(&store, &registry, "app:2", "429 Too Many Requests").await;
    let gone = RegistryEndpoint::http("127.0.0.1:1", "app", None);
    let error = store.pull(&registry.reference("app:2"), &gone).await.unwrap_err();
    assert!(error.reason().contains("failed to do request"), "{}", error.reason());
    assert!(error.is_transient());
}

/// A registry on loopback sends nowhere; these are not.
struct Elsewhere;

impl Network for Elsewhere {
    fn resolve(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        HostNetwork.resolve(host)
    }

    fn nearness(&self, _: IpAddr) -> Nearness {
        Nearness::Public
    }
}

#[tokio::test]
async fn credentials_are_given_when_asked_for_and_to_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for access in [Access::Basic, Access::Bearer] {
        let registry = Registry::start(access.clone()).await;
        registry.put_image("1", &[tar("private")]);
        let endpoint = registry.endpoint_as("AWS", "secret");
        store.pull(&registry.reference("app:1"), &endpoint).await.unwrap();
        if access == Access::Basic {
            check_error(&store, &registry, "app:1", "no basic auth credentials").await;
            let wrong = registry.endpoint_as("AWS", "wrong");
            let error = store.pull(&registry.reference("app:1"), &wrong).await.unwrap_err();
            assert!(error.reason().contains("unauthorized: who are you"), "{}", error.reason());
            assert!(!error.reason().contains("wrong"));
        }
    }
    let (from, to) = (Registry::start(Access::Basic).await, Registry::start(Access::Open).await);
    from.put_image("1", &[tar("moved")]);
    to.put_image("1", &[tar("moved")]);
    let blob = Digest::of(&gzip(&tar("moved")));
    let target = format!("http://{}/v2/app/blobs/{blob}", to.authority());
    from.fault(&format!("blobs/{blob}"), Fault::Redirect(target));
    let directory = tempfile::tempdir().unwrap();
    let network = std::sync::Arc::new(Elsewhere);
    let store = ImageStore::open(directory.path(), StoreOptions { network, ..options() }).unwrap();
    let endpoint = from.endpoint_as("AWS", "secret");
    store.pull(&from.reference("app:1"), &endpoint).await.unwrap();
    assert_eq!(to.requests("blobs/"), 1);
    assert_eq!(to.requests("Basic"), 0, "the redirect took the password along");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_fetched_once_however_many_want_it() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let shared = Tarball::new().file("shared", &noise(500_000)).finish();
    for number in 0..8 {
        registry.put_image(&format!("t{number}"), &[shared.clone(), tar(&format!("own{number}"))]);
    }
    let mut pulls = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (store, endpoint) = (store.clone(), registry.endpoint());
        let reference = registry.reference(&format!("app:t{}", number % 8));
        pulls.spawn(async move { store.pull(&reference, &endpoint).await.unwrap() });
    }
    let images: Vec<Image> = pulls.join_all().await;
    assert_eq!(images.len(), 16);
    assert_eq!(registry.requests(&format!("blobs/{}", Digest::of(&gzip(&shared)))), 1);
    check_clean(directory.path(), 9);
}

fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since_epoch.as_millis() as i64
}

/// So much later.
fn now(later_ms: i64) -> Now {
    Now::steady_at(wall_ms() + later_ms)
}

/// Right after somebody set the wall clock forward.
fn stepped(by_ms: i64) -> Now {
    let mut watch = StepWatch::new(Reading { wall_ms: wall_ms(), steady_ms: 0 });
    watch.look(Reading { wall_ms: wall_ms() + by_ms, steady_ms: 1 })
}

#[tokio::test]
async fn a_sweep_takes_what_nobody_needs() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (a, b) = (&registry.reference("app:a"), &registry.reference("app:b"));
    registry.put_image("a", &[tar("shared"), tar("a")]);
    registry.put_image("b", &[tar("shared"), tar("b")]);
    let first = store.pull(a, &registry.endpoint()).await.unwrap();
    let second = store.pull(b, &registry.endpoint()).await.unwrap();
    let everything = SweepPolicy { unused_age_max: Duration::ZERO, bytes_max: 0 };
    let nothing = SweepPolicy { unused_age_max: Duration::from_secs(3600), bytes_max: 1 << 30 };
    let none = HashSet::new();
    let counts = |policy: &SweepPolicy, in_use: &HashSet<Digest>| {
        let swept = store.sweep(in_use, policy, &now(0)).unwrap();
        (swept.images, swept.layers)
    };
    assert_eq!(counts(&everything, &none), (0, 0), "leases hold");
    let used = HashSet::from([second.manifest_digest]);
    drop((first, second));
    assert_eq!(counts(&nothing, &none), (0, 0), "young and small");
    assert_eq!(counts(&everything, &used), (1, 1), "the shared layer stays");
    assert!(store.find(a).is_none() && store.find(b).is_some());
    let swept = store.sweep(&none, &nothing, &stepped(7_200_000)).unwrap();
    assert_eq!((swept.images, swept.layers), (0, 0), "a clock that was set makes nothing unused");
    let swept = store.sweep(&none, &nothing, &now(7_200_000)).unwrap();
    assert_eq!((swept.images, swept.layers), (1, 2), "too old");
    check_clean(directory.path(), 0);
    store.pull(a, &registry.endpoint()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing() {
    let registry = Registry::start(Access::Open).await;
    let mounted = tempfile::tempdir().unwrap();
    let tmpfs = || {
        use rustix::mount::{MountFlags, mount};
        let size = c"size=1m,mode=0700";
        mount("tmpfs", mounted.path(), "tmpfs", MountFlags::empty(), size).unwrap();
    };
    tmpfs();
    struct Unmount<'place>(&'place Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    }
    let _unmount = Unmount(mounted.path());
    let store = open(mounted.path());
    // Does not fit while it is downloaded.
    registry.put_image("blob", &[Tarball::new().file("large", &noise(3_000_000)).finish()]);
    check_error(&store, &registry, "app:blob", "no space left on device").await;
    // Does not fit when it is unpacked.
    let zeros = Tarball::new().file("zeros", &vec![7; 3_000_000]).finish();
    registry.put_image("layer", &[zeros]);
    check_error(&store, &registry, "app:layer", "write image store: no space left on device").await;
    registry.put_image("small", &[tar("small")]);
    check_clean(mounted.path(), 0);
    store.pull(&registry.reference("app:small"), &registry.endpoint()).await.unwrap();
}

#[tokio::test]
async fn limits_reach_the_unpacker() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { bytes_max: 10_000, ..UnpackLimits::default() };
    let store = ImageStore::open(directory.path(), StoreOptions { limits, ..options() }).unwrap();
    registry.put_image("bomb", &[Tarball::new().file("zeros", &[0; 20_000]).finish()]);
    check_error(&store, &registry, "app:bomb", "limit on bytes exceeded").await;
    check_clean(directory.path(), 0);
}
