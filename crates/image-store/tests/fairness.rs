//! What one image may take from others: places, layers that both have, what is here already. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{
    Digest, DownloadLimits, ImageStore, Platform, StoreOptions, UnpackError, UnpackLimits, Unpacker,
};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use support::registry::{Access, Fault, Registry};
use support::tarball::{Tarball, gzip};

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> StoreOptions {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    StoreOptions { platform, ..StoreOptions::default() }
}

fn tar(name: &str) -> Vec<u8> {
    Tarball::new().file(name, name.as_bytes()).finish()
}

/// Pulls in the background, for as long as the test runs.
fn begin(store: &ImageStore, registry: &Registry, tag: &str) {
    let (store, endpoint) = (store.clone(), registry.endpoint());
    let reference = registry.reference(&format!("app:{tag}"));
    tokio::spawn(async move { store.pull(&reference, &endpoint).await.map(|_| ()) });
}

/// Puts an image of layers that begin and never end.
fn put_endless(registry: &Registry, tag: &str, endless: &[Vec<u8>], more: &[Vec<u8>]) {
    registry.put_image(tag, &[endless, more].concat());
    for layer in endless {
        registry.fault(&blob(layer), Fault::Stall);
    }
}

fn blob(layer: &[u8]) -> String {
    format!("blobs/{}", Digest::of(&gzip(layer)))
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

async fn check_pulled(store: &ImageStore, registry: &Registry, tag: &str) {
    let (reference, endpoint) = (registry.reference(&format!("app:{tag}")), registry.endpoint());
    let pull = store.pull(&reference, &endpoint);
    tokio::time::timeout(PATIENCE, pull).await.expect("it waits").unwrap();
}

/// A layer that an image is not at yet is not kept from others of the same registry.
#[tokio::test]
async fn a_popular_layer_is_not_kept_by_an_image_that_does_not_come() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path(), options()).unwrap();
    let endless = [tar("x"), tar("y"), tar("z")];
    put_endless(&registry, "endless", &endless, &[tar("popular")]);
    registry.put_image("honest", &[tar("popular")]);
    begin(&store, &registry, "endless");
    until("three begin", || endless.iter().all(|layer| registry.requests(&blob(layer)) > 0)).await;
    check_pulled(&store, &registry, "honest").await;
}

#[tokio::test]
async fn one_registry_does_not_take_all_places() {
    let slow = Registry::start(Access::Open).await;
    let honest = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path(), options()).unwrap();
    for image in 0..10 {
        let layers = ["x", "y", "z"].map(|layer| tar(&format!("{layer}{image}")));
        put_endless(&slow, &image.to_string(), &layers, &[]);
        begin(&store, &slow, &image.to_string());
    }
    // Each image's configuration, and as many layers as there are places for it.
    until("the places are taken", || slow.requests("blobs/") >= 10 + 12).await;
    honest.put_image("1", &[tar("a"), tar("b"), tar("c"), tar("d")]);
    check_pulled(&store, &honest, "1").await;
}

/// However much is announced, what came has to be worth the time that it took.
#[tokio::test]
async fn an_announcement_buys_no_time() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let download = DownloadLimits {
        time_base: Duration::from_millis(300),
        bytes_per_second_min: 1 << 20,
        ..DownloadLimits::default()
    };
    let store = ImageStore::open(directory.path(), StoreOptions { download, ..options() }).unwrap();
    let layer = tar("slow");
    let mut manifest = registry.manifest(&[gzip(&layer)], &[Digest::of(&layer)]);
    manifest["layers"][0]["size"] = serde_json::json!(1_u64 << 30);
    registry.put_manifest("slow", "x", &manifest);
    registry.fault(&blob(&layer), Fault::Stall);
    let reference = registry.reference("app:slow");
    let endpoint = registry.endpoint();
    let pull = tokio::time::timeout(PATIENCE, store.pull(&reference, &endpoint));
    let error = pull.await.expect("it waits").unwrap_err();
    assert!(error.reason().contains("did not come within"), "{}", error.reason());
    assert!(error.is_transient());
}

/// What is here goes for bytes that came, and not for those that a manifest speaks of.
#[tokio::test]
async fn a_claim_throws_nothing_away() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limited = StoreOptions { bytes_max: 100_000, collect_after: Duration::ZERO, ..options() };
    let store = ImageStore::open(directory.path(), limited).unwrap();
    let large = |name: &str| Tarball::new().file(name, &[7; 40_000]).finish();
    for tag in ["a", "b"] {
        registry.put_image(tag, &[large(tag)]);
        check_pulled(&store, &registry, tag).await;
    }
    let layer = tar("claim");
    let mut manifest = registry.manifest(&[gzip(&layer)], &[Digest::of(&layer)]);
    manifest["layers"][0]["size"] = serde_json::json!(90_000);
    registry.put_manifest("claim", "x", &manifest);
    let claim = registry.reference("app:claim");
    store.pull(&claim, &registry.endpoint()).await.unwrap_err();
    // Nor for more than the store may ever hold.
    manifest["layers"][0]["size"] = serde_json::json!(1_u64 << 35);
    registry.put_manifest("claim", "x", &manifest);
    store.pull(&claim, &registry.endpoint()).await.unwrap_err();
    for tag in ["a", "b"] {
        assert!(store.find(&registry.reference(&format!("app:{tag}"))).is_some(), "{tag} is gone");
    }
}

/// Where a file system has no room for an attribute, the disk is not full.
#[test]
fn attributes_that_are_too_large_are_no_full_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let layer = Tarball::new().pax(&[("SCHILY.xattr.user.large", &[b'x'; 9_000])]).file("f", b"");
    let layer = layer.finish();
    let root = File::open(scratch.path()).unwrap();
    let limits = UnpackLimits::default();
    let unpacked =
        outport_image_store::layer::unpack_layer(layer.as_slice(), root.as_fd(), &limits);
    match unpacked {
        Err(UnpackError::Hostile { reason, .. }) => assert!(reason.contains("too large")),
        // A file system that has room.
        other => assert_eq!(other.unwrap().entries, 1),
    }
}

/// Each failed layer leaves something to remove: by one process after the other.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_removes_what_many_pulls_left() {
    let registry = Registry::start(Access::Open).await;
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("program");
    write_program(&program, scratch.path());
    let unpacker = Unpacker::Process { program, arguments: vec!["unpack".into()] };
    let directory = scratch.path().join("store");
    let store = ImageStore::open(&directory, StoreOptions { unpacker, ..options() }).unwrap();
    let mut pulls = tokio::task::JoinSet::new();
    for number in 0..20 {
        let tag = number.to_string();
        registry.put_image(&tag, &[tar(&tag)]);
        let (store, endpoint) = (store.clone(), registry.endpoint());
        let reference = registry.reference(&format!("app:{tag}"));
        pulls.spawn(async move { store.pull(&reference, &endpoint).await.unwrap_err().reason() });
    }
    for reason in pulls.join_all().await {
        assert!(reason.contains("the unpacker ended with"), "{reason}");
    }
    let left = || fs::read_dir(directory.join("trash")).unwrap().count();
    until("the trash is emptied", || left() == 0).await;
    assert!(!scratch.path().join("overlap").exists(), "two removed at once");
}

/// A program that unpacks nothing, and takes a while to remove.
fn write_program(path: &Path, scratch: &Path) {
    let scratch = scratch.display();
    let text = format!(
        "#!/bin/sh\ncase \"$2\" in\n*Remove*)\n\
         (set -C; : > {scratch}/busy) || : > {scratch}/overlap\n\
         /bin/rm -rf ./*\n/bin/sleep 0.1\n/bin/rm -f {scratch}/busy\n\
         echo '{{\"Removed\":[]}}';;\n*) exit 1;;\nesac\n"
    );
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}
