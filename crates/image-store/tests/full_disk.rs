//! A disk that images fill: they stop above what others need. Needs root, for a small file system.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_free_space::{FreeSpace, Part};
use outport_image_store::{Image, ImageStore, Platform, PullError, StoreOptions};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::registry::{Access, Registry};
use support::tarball::Tarball;

const MIB: usize = 1 << 20;
const DISK_MIB: usize = 16;
const FULL: &str = "CannotPullContainerError: ref pull has been retried 1 time(s): write image store: no space left on device";

/// In memory; gone when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_MIB}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "outport-test"]).arg(directory.path());
        assert!(mount.status().unwrap().success(), "mounting a file system needs root");
        Self(directory)
    }

    fn store(&self) -> ImageStore {
        let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
        let collect_after = Duration::ZERO;
        let options = StoreOptions { platform, collect_after, ..StoreOptions::default() };
        ImageStore::open(self.0.path(), options).unwrap()
    }

    fn space(&self) -> FreeSpace {
        FreeSpace::of(self.0.path()).unwrap()
    }

    /// What was half-made is removed behind the caller's back.
    #[track_caller]
    fn wait_for_free(&self, mib: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while (self.space().bytes_free as usize) < mib * MIB {
            assert!(Instant::now() < deadline, "{:?} stays", self.space());
            std::thread::yield_now();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// Not compressible: another one for each seed.
fn noise(mut seed: u32, mib: usize) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed.to_le_bytes()
    };
    (0..mib * MIB / 4).flat_map(|_| next()).collect()
}

async fn pull(store: &ImageStore, registry: &Registry, tag: &str) -> Result<Image, PullError> {
    store.pull(&registry.reference(&format!("app:{tag}")), &registry.endpoint()).await
}

#[track_caller]
fn check_full(pulled: Result<Image, PullError>) {
    let error = pulled.map(|_| ()).unwrap_err();
    assert_eq!(error.reason(), FULL);
    assert!(error.is_transient());
}

#[tokio::test]
async fn what_announces_too_much_is_not_begun() {
    let registry = Registry::start(Access::Open).await;
    let disk = SmallDisk::mount();
    let store = disk.store();
    registry.put_image("1", &[Tarball::new().file("noise", &noise(1, DISK_MIB - 1)).finish()]);
    // Less than the disk has, and more than it has above the floor.
    let rest = disk.space().bytes_free - (DISK_MIB - 1) as u64 * MIB as u64;
    std::fs::write(disk.0.path().join("other"), vec![7; rest as usize - MIB / 4]).unwrap();
    check_full(pull(&store, &registry, "1").await);
    // The manifest and the configuration were asked for.
    assert_eq!(registry.requests("blobs/"), 1);
}

#[tokio::test]
async fn what_is_larger_than_it_looks_stops_above_the_floor() {
    let registry = Registry::start(Access::Open).await;
    let disk = SmallDisk::mount();
    let store = disk.store();
    registry.put_image("1", &[Tarball::new().file("zeros", &vec![0; 2 * DISK_MIB * MIB]).finish()]);
    let watched = disk.0.path().to_owned();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let least =
        tokio::task::spawn_blocking(move || least_free(&watched, || stopped.try_recv().is_err()));
    check_full(pull(&store, &registry, "1").await);
    stop.send(()).unwrap();
    let least = least.await.unwrap();
    assert!(!least.is_low_for(Part::RunningTasks), "{least:?}");
    disk.wait_for_free(DISK_MIB - 1);
}

/// The least that was seen to be free.
fn least_free(path: &Path, mut goes_on: impl FnMut() -> bool) -> FreeSpace {
    let mut least = FreeSpace::of(path).unwrap();
    while goes_on() {
        let now = FreeSpace::of(path).unwrap();
        if now.bytes_free < least.bytes_free {
            least = now;
        }
        std::thread::yield_now();
    }
    least
}

#[tokio::test]
async fn images_that_nobody_uses_go_before_one_is_refused() {
    let registry = Registry::start(Access::Open).await;
    let disk = SmallDisk::mount();
    let store = disk.store();
    for (seed, tag) in [(1, "a"), (2, "b"), (3, "c")] {
        registry.put_image(tag, &[Tarball::new().file(tag, &noise(seed, 5)).finish()]);
    }
    let used = pull(&store, &registry, "a").await.unwrap();
    let also_used = pull(&store, &registry, "b").await.unwrap();
    check_full(pull(&store, &registry, "c").await);
    drop(also_used);
    disk.wait_for_free(5);
    drop(pull(&store, &registry, "c").await.unwrap());
    assert!(store.find(&registry.reference("app:a")).is_some(), "what is used stays");
    assert!(store.find(&registry.reference("app:b")).is_none());
    assert!(store.make_disk_room((DISK_MIB * MIB) as u64).unwrap());
    assert!(store.find(&registry.reference("app:c")).is_none());
    assert!(!store.make_disk_room((DISK_MIB * MIB) as u64).unwrap(), "no other is unused");
    assert_eq!(std::fs::read(used.layers[0].join("a")).unwrap().len(), 5 * MIB);
}
