//! Images of several layers, pulled and mounted as a container has them. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{Image, ImageStore, Platform, StoreOptions, SweepPolicy};
use outport_model::Now;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::registry::{Access, Registry};
use support::tarball::*;

/// A mounted image, unmounted when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

fn mount(image: &Image, root: &Path) -> Mounted {
    fs::create_dir_all(root).unwrap();
    let lower: Vec<File> = image.layers.iter().map(|path| File::open(path).unwrap()).collect();
    let names: Vec<String> =
        lower.iter().map(|opened| format!("/proc/self/fd/{}", opened.as_raw_fd())).collect();
    // One layer alone is no overlay: an empty one below.
    let empty = root.with_extension("empty");
    fs::create_dir_all(&empty).unwrap();
    let options = format!("lowerdir={}:{}", names.join(":"), empty.display());
    let options = std::ffi::CString::new(options).unwrap();
    let flags = rustix::mount::MountFlags::RDONLY;
    rustix::mount::mount("overlay", root, "overlay", flags, options.as_c_str()).unwrap();
    Mounted(root.to_owned())
}

fn open(directory: &Path) -> ImageStore {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    let options = StoreOptions { platform, ..StoreOptions::default() };
    ImageStore::open(directory, options).unwrap()
}

fn directory<'name>(name: &'name str, mode: u32, uid: &'name [u8]) -> Header<'name> {
    Header { name: name.as_bytes(), kind: DIRECTORY, mode, uid, ..Header::default() }
}

/// What an image's directory looks like in a container: mode and owner.
#[track_caller]
fn check(mounted: &Mounted, path: &str, mode: u32, uid: u32) {
    let found = fs::symlink_metadata(mounted.0.join(path)).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (mode, uid), "{path}");
}

#[tokio::test]
async fn directories_that_a_layer_only_implies_are_what_they_are_below() {
    let registry = Registry::start(Access::Open).await;
    let scratch = tempfile::tempdir().unwrap();
    let store = open(&scratch.path().join("store"));
    let base = Tarball::new()
        .header(directory("tmp", 0o1777, b"0000000"))
        .header(directory("data", 0o700, b"0001750"))
        .pax(&[("SCHILY.xattr.user.note", b"kept")])
        .header(directory("data/deep", 0o750, b"0001751"))
        .header(directory("gone", 0o711, b"0001752"))
        .header(directory("hidden", 0o711, b"0001752"))
        .header(directory("replaced", 0o711, b"0001752"))
        .header(directory("plain", 0o755, b"0000000"))
        .symlink("link", "data")
        .finish();
    let middle = Tarball::new()
        .file("data/deep/one", b"")
        .file(".wh.gone", b"")
        .directory("hidden")
        .file("hidden/.wh..wh..opq", b"")
        .header(directory("new", 0o770, b"0001753"))
        .file("replaced", b"a file")
        .finish();
    let top = Tarball::new()
        .file("tmp/up", b"1")
        .file("data/up", b"2")
        .file("data/deep/two", b"")
        .file("data/other/three", b"")
        .file("data/deep/.wh.one", b"")
        .file("gone/again", b"")
        .file("plain/f", b"")
        .file("new/f", b"")
        .file("link/f", b"")
        .finish();
    registry.put_image("1", &[base.clone(), middle.clone(), top.clone()]);
    let image = store.pull(&registry.reference("app:1"), &registry.endpoint()).await.unwrap();
    assert_eq!(image.layers.len(), 4, "one more, of directories");
    let mounted = mount(&image, &scratch.path().join("root"));
    check(&mounted, "tmp", 0o1777, 0);
    check(&mounted, "data", 0o700, 1000);
    check(&mounted, "data/deep", 0o750, 1001);
    check(&mounted, "data/other", 0o755, 0);
    check(&mounted, "gone", 0o755, 0);
    check(&mounted, "hidden", 0o755, 0);
    check(&mounted, "plain", 0o755, 0);
    check(&mounted, "new", 0o770, 1003);
    // As containerd: what implies a directory puts it in the place of the symlink.
    check(&mounted, "link", 0o755, 0);
    for file in ["tmp/up", "data/up", "data/deep/two", "data/other/three", "gone/again", "link/f"] {
        assert!(mounted.0.join(file).is_file(), "{file}");
    }
    assert!(!mounted.0.join("data/deep/one").exists());
    let mut value = [0; 16];
    let read = rustix::fs::getxattr(mounted.0.join("data/deep"), "user.note", &mut value[..]);
    if let Ok(length) = read {
        assert_eq!(&value[..length], b"kept");
    }
    drop(mounted);

    // On another base the same layer is another thing.
    registry.put_image("2", std::slice::from_ref(&top));
    let bare = store.pull(&registry.reference("app:2"), &registry.endpoint()).await.unwrap();
    assert_eq!(bare.layers.len(), 1);
    check(&mount(&bare, &scratch.path().join("bare")), "tmp", 0o755, 0);

    // It is there after a restart, by a digest, and goes with its image.
    let (layers, digest) = (image.layers.clone(), image.digest);
    drop((image, bare, store));
    let store = open(&scratch.path().join("store"));
    assert_eq!(store.image(digest).unwrap().layers, layers);
    registry.put_image("3", &[base, middle, top]);
    let again = store.pull(&registry.reference("app:3"), &registry.endpoint()).await.unwrap();
    assert_eq!(again.layers, layers);
    drop(again);
    let everything = SweepPolicy { unused_age_max: Duration::ZERO, bytes_max: 0 };
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Now::steady_at(since_epoch.as_millis() as i64);
    store.sweep(&HashSet::new(), &everything, &now).unwrap();
    assert_eq!(fs::read_dir(scratch.path().join("store/layers")).unwrap().count(), 0);
}

/// GNU tar's forms, of which Docker and containerd unpack each.
#[test]
fn sparse_files_of_every_form_are_files_with_holes() {
    use std::os::fd::AsFd;
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("from")).unwrap();
    let mut expected = vec![0_u8; 3_000_000];
    for (index, offset) in [(0_usize, 100_000_usize), (1, 900_000), (2, 2_999_990)] {
        expected[offset..offset + 10].fill(b'a' + index as u8);
    }
    let file = File::create(at("from/hole")).unwrap();
    file.set_len(expected.len() as u64).unwrap();
    for offset in [100_000, 900_000, 2_999_990] {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&expected[offset..offset + 10], offset as u64).unwrap();
    }
    file.sync_all().unwrap();
    fs::write(at("from/next"), "after").unwrap();
    for form in [
        ["--format=gnu", "-S"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ] {
        let tar = std::process::Command::new("tar")
            .arg("-C")
            .arg(at("from"))
            .args(form)
            .args(["-S", "--hole-detection=raw", "-cf", "-", "hole", "next"])
            .output()
            .unwrap();
        assert!(tar.status.success(), "{form:?}: {}", String::from_utf8_lossy(&tar.stderr));
        assert!(tar.stdout.len() < 1_000_000, "{form:?} is not sparse");
        let to = at("to");
        fs::create_dir(&to).unwrap();
        let limits = outport_image_store::UnpackLimits::default();
        let opened = File::open(&to).unwrap();
        let layer = tar.stdout.as_slice();
        outport_image_store::layer::unpack_layer(layer, opened.as_fd(), &limits).unwrap();
        let names: HashSet<_> =
            fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{form:?}: {names:?}");
        assert!(fs::read(to.join("hole")).unwrap() == expected, "{form:?}");
        assert_eq!(fs::read(to.join("next")).unwrap(), b"after", "{form:?}");
        let blocks = fs::metadata(to.join("hole")).unwrap().blocks() * 512;
        assert!(blocks < 1_500_000, "{form:?}: {blocks} bytes on disk");
        fs::remove_dir_all(&to).unwrap();
    }
}
