//! Pulling from a registry, a well-behaved one and others. Needs root (layers have owners).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{
    Digest, Image, ImageStore, Platform, PullError, RegistryEndpoint, StoreOptions, SweepPolicy,
    UnpackLimits,
};
use outport_model::Now;
use outport_model::clock::{Reading, StepWatch};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
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
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
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
    registry.put_index("nested", &[("amd64", index)]);
    check_error(&store, &registry, "app:nested", "an index inside an index").await;
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
    let store = open(directory.path());
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
    check_error(&store, &registry, "app:layer", "write zeros: no space left on device").await;
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
