//! Layers of which hardly anything is listed and very much implied: what it may cost to remember them. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{Image, ImageStore, Platform, PullError, StoreOptions, UnpackLimits};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use support::registry::{Access, Registry};
use support::tarball::{DIRECTORY, Header, Tarball, gzip};

/// Two of [`deep`] are below it, three are not.
const MARKED_PATH_BYTES_MAX: usize = 150_000;
/// Most bytes of the file that remembers an image of a few layers.
const RECORD_BYTES: u64 = 8_000;

fn open(directory: &Path) -> ImageStore {
    let limits =
        UnpackLimits { marked_path_bytes_max: MARKED_PATH_BYTES_MAX, ..UnpackLimits::default() };
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    ImageStore::open(directory, StoreOptions { limits, platform, ..StoreOptions::default() })
        .unwrap()
}

/// One file below 199 directories, of which the archive says nothing: some 60,000 bytes of paths.
fn deep(top: &str) -> Vec<u8> {
    let name = format!("{top}/{}f", "dd/".repeat(197));
    Tarball::new().gnu_long_name(name.as_bytes()).file("f", b"").finish()
}

async fn pull(store: &ImageStore, registry: &Registry, tag: &str) -> Result<Image, PullError> {
    store.pull(&registry.reference(&format!("app:{tag}")), &registry.endpoint()).await
}

#[tokio::test]
async fn what_layers_imply_is_bounded_for_the_image_and_remembered_once() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let base = Tarball::new().header(Header {
        name: b"a",
        kind: DIRECTORY,
        mode: 0o711,
        uid: b"0001750",
        ..Header::default()
    });
    registry.put_image("one", &[base.finish(), deep("a")]);
    let image = pull(&store, &registry, "one").await.unwrap();
    assert_eq!(image.layers.len(), 3, "one more, of directories");
    let above = fs::metadata(image.layers[0].join("a")).unwrap();
    assert_eq!((above.mode() & 0o7777, above.uid()), (0o711, 1000));
    // The same layer again and again is one.
    registry.put_image("often", &vec![deep("a"); 127]);
    pull(&store, &registry, "often").await.unwrap();
    for entry in fs::read_dir(directory.path().join("images")).unwrap() {
        let bytes = entry.unwrap().metadata().unwrap().len();
        assert!(bytes < 127 * RECORD_BYTES / 4, "{bytes} bytes");
    }
    // Each is within the limit, and two are; three are not, also of layers that are here.
    registry.put_image("two", &[deep("a"), deep("b")]);
    pull(&store, &registry, "two").await.unwrap();
    registry.put_image("three", &[deep("a"), deep("b"), deep("c")]);
    let error = pull(&store, &registry, "three").await.unwrap_err();
    assert!(error.reason().contains("limit on directories exceeded"), "{}", error.reason());
    assert!(!error.is_transient());
    drop((image, store));

    // Another process knows what its layers imply, and on another base it is another thing.
    let store = open(directory.path());
    assert_eq!(store.digests().len(), 3);
    let other = Tarball::new().header(Header {
        name: b"a",
        kind: DIRECTORY,
        mode: 0o700,
        uid: b"0001751",
        ..Header::default()
    });
    registry.put_image("other", &[other.finish(), deep("a")]);
    let before = registry.requests(&format!("blobs/{}", digest_of(&deep("a"))));
    let image = pull(&store, &registry, "other").await.unwrap();
    assert_eq!(registry.requests(&format!("blobs/{}", digest_of(&deep("a")))), before);
    let above = fs::metadata(image.layers[0].join("a")).unwrap();
    assert_eq!((above.mode() & 0o7777, above.uid()), (0o700, 1001));
}

fn digest_of(tar: &[u8]) -> outport_image_store::Digest {
    outport_image_store::Digest::of(&gzip(tar))
}

/// What a version without limits may have left: it is said by name, and the image pulled again.
#[tokio::test]
async fn a_record_that_is_too_large_is_not_read() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    registry.put_image("1", &[Tarball::new().file("f", b"x").finish()]);
    drop(pull(&store, &registry, "1").await.unwrap());
    let images = directory.path().join("images");
    let record = fs::read_dir(&images).unwrap().next().unwrap().unwrap().path();
    // Written again when its layers are on the disk.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&record).unwrap().contains("\"durable\":true") {
        assert!(Instant::now() < deadline, "never durable");
        tokio::task::yield_now().await;
    }
    drop(store);
    let mut bytes = fs::read(&record).unwrap();
    // Still the same JSON.
    bytes.resize(5 << 20, b' ');
    fs::write(&record, bytes).unwrap();
    let store = open(directory.path());
    assert!(store.digests().is_empty());
    assert!(!record.exists());
    pull(&store, &registry, "1").await.unwrap();
}

/// An image's configuration has a size, and lists have a length.
#[tokio::test]
async fn a_configuration_is_kept_only_as_far_as_a_process_needs_it() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let tar = Tarball::new().file("f", b"x").finish();
    let put = |tag: &str, process: serde_json::Value, filling: usize| {
        let mut manifest =
            registry.manifest(&[gzip(&tar)], &[outport_image_store::Digest::of(&tar)]);
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": process,
            "rootfs": {"type": "layers", "diff_ids": [outport_image_store::Digest::of(&tar)]},
            "history": "x".repeat(filling),
        });
        let config = config.to_string();
        manifest["config"]["digest"] = serde_json::json!(registry.put_blob(config.as_bytes()));
        manifest["config"]["size"] = serde_json::json!(config.len());
        registry.put_manifest(tag, "x", &manifest);
    };
    let numbered = |prefix: &str, count: usize| -> serde_json::Map<String, serde_json::Value> {
        (0..count).map(|at| (format!("{prefix}{at}"), serde_json::json!({}))).collect()
    };
    put(
        "honest",
        serde_json::json!({"Env": vec!["A=b"; 200], "Labels": {"a": "x".repeat(90_000)}}),
        500_000,
    );
    let image = pull(&store, &registry, "honest").await.unwrap();
    assert_eq!(image.config.env.len(), 200);
    for (tag, process) in [
        ("env", serde_json::json!({"Env": vec![""; 100_000]})),
        ("cmd", serde_json::json!({"Cmd": ["x".repeat(400_000)]})),
        ("ports", serde_json::json!({"ExposedPorts": numbered("", 50_000)})),
        ("volumes", serde_json::json!({"Volumes": numbered("/v", 50_000)})),
    ] {
        put(tag, process, 0);
        let reason = pull(&store, &registry, tag).await.unwrap_err().reason();
        assert!(reason.contains("malformed image configuration"), "{tag}: {reason}");
    }
    put("large", serde_json::json!({}), 2 << 20);
    let reason = pull(&store, &registry, "large").await.unwrap_err().reason();
    assert!(reason.contains("unexpected size"), "{reason}");
}
