//! What honest layers become, stacked by a real overlayfs. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::layer::{Unpacked, unpack_layer};
use outport_image_store::{Digest, UnpackLimits};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use support::tarball::*;

fn unpack(directory: &Path, layer: &[u8]) -> Unpacked {
    fs::create_dir_all(directory).unwrap();
    let open = File::open(directory).unwrap();
    unpack_layer(layer, open.as_fd(), &UnpackLimits::default()).unwrap()
}

#[test]
fn an_entry_keeps_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = format!("{}/{}", "l".repeat(120), "f".repeat(200));
    let tar = Tarball::new()
        .directory("bin")
        .header(Header { name: b"bin/su", mode: 0o4755, content: b"program", ..Header::default() })
        .header(Header { name: b"owned", uid: b"0001750", mode: 0o600, ..Header::default() })
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("mtime", b"1234567890.5")])
        .file("bin/ping", b"x")
        .header(Header {
            name: b"sticky",
            kind: DIRECTORY,
            mode: 0o1777,
            mtime: 1_500_000_000,
            ..Header::default()
        })
        .file("sticky/inside", b"x")
        .hard_link("bin/su2", "bin/su")
        .symlink("sh", "bin/su")
        .node("pipe", FIFO)
        .pax(&[("path", long.as_bytes())])
        .file("x", b"long")
        .file("twice", b"first")
        .file("twice", b"second")
        .header(Header { name: b"latin\xe9", content: b"bytes", ..Header::default() })
        .finish();
    for (name, blob) in [("plain", tar.clone()), ("gzip", gzip(&tar)), ("zstd", zstd(&tar))] {
        let layer = directory.path().join(name);
        let unpacked = unpack(&layer, &blob);
        assert_eq!(unpacked.diff_id, Digest::of(&tar), "{name}");
        assert_eq!(unpacked.bytes, tar.len() as u64);
        let look = |path: &str| fs::symlink_metadata(layer.join(path)).unwrap();
        assert_eq!(look("bin/su").mode() & 0o7777, 0o4755);
        assert_eq!(look("bin/su").ino(), look("bin/su2").ino());
        assert_eq!((look("owned").uid(), look("owned").mode() & 0o7777), (1000, 0o600));
        assert_eq!(look("bin/ping").mtime(), 1_234_567_890);
        let mut value = [0; 64];
        let read = rustix::fs::getxattr(layer.join("bin/ping"), "security.capability", &mut value);
        assert_eq!(&value[..read.unwrap()], capability);
        assert_eq!(
            (look("sticky").mode() & 0o7777, look("sticky").mtime()),
            (0o1777, 1_500_000_000)
        );
        assert_eq!(fs::read_link(layer.join("sh")).unwrap(), Path::new("bin/su"));
        assert!(look("pipe").file_type().is_fifo());
        assert_eq!(fs::read(layer.join(&long)).unwrap(), b"long");
        assert_eq!(fs::read(layer.join("twice")).unwrap(), b"second");
        assert_eq!(fs::read_dir(&layer).unwrap().count(), 8);
    }
    let members = [gzip(&tar[..1024]), gzip(&tar[1024..])].concat();
    let unpacked = unpack(&directory.path().join("members"), &members);
    assert_eq!(unpacked.diff_id, Digest::of(&tar), "gzip of two members");
}

/// What Go's reader, and so Docker and containerd, makes of odd streams.
#[test]
fn streams_are_read_as_docker_reads_them() {
    let scratch = tempfile::tempdir().unwrap();
    let names = |case: &str, blob: &[u8]| {
        let directory = scratch.path().join(case);
        unpack(&directory, blob);
        let listed = fs::read_dir(&directory).unwrap();
        let mut names: Vec<String> =
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let tar = Tarball::new().file("a", b"first").file("b", b"second").finish();
    let frames = [zstd(&tar[..600]), zstd(&tar[600..])].concat();
    assert_eq!(names("frames", &frames), ["a", "b"]);
    // As zstd:chunked and estargz have them at their end.
    let skippable = [zstd(&tar), b"\x50\x2a\x4d\x18\x04\0\0\0skip".to_vec()].concat();
    assert_eq!(names("skippable", &skippable), ["a", "b"]);
    let members = [gzip(&tar), gzip(b"")].concat();
    assert_eq!(names("members", &members), ["a", "b"]);
    let global = Header { name: b"pax_global_header", kind: b'g', ..Header::default() };
    let global = Header { content: b"16 path=renamed\n", ..global };
    let global = Tarball::new().header(global).file("a", b"x").finish();
    assert_eq!(names("global", &global), ["a"]);
    // Types without content have none, whatever their size says.
    let sized = Header { name: b"d", kind: DIRECTORY, size: Some(5000), ..Header::default() };
    let sized = Tarball::new().header(sized).file("a", b"x").finish();
    assert_eq!(names("sized", &sized), ["a", "d"]);
    assert_eq!(names("no end marker", &Tarball::new().file("a", b"x").unfinished()), ["a"]);
    assert_eq!(names("nothing", &[]), Vec::<String>::new());
    assert_eq!(names("the end alone", &[0; 1024]), Vec::<String>::new());
    let empty_path = Tarball::new().pax(&[("path", b""), ("linkpath", b"")]).file("a", b"x");
    assert_eq!(names("an empty record", &empty_path.finish()), ["a"]);
    let old = Header { name: b"old/", kind: 0, ..Header::default() };
    let old = Tarball::new().header(old).finish();
    assert_eq!(names("a directory of old", &old), ["old"]);
    assert!(scratch.path().join("a directory of old/old").is_dir());
}

/// Mounted layers, unmounted when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

fn stack(directory: &Path, layers: &[Vec<u8>]) -> Mounted {
    let mut lower: Vec<PathBuf> = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let place = directory.join(format!("layer{number}"));
        unpack(&place, layer);
        lower.insert(0, place);
    }
    for name in ["upper", "work", "root"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let root = directory.join("root");
    // As descriptors: a page of options takes many of them.
    let open = |path: &PathBuf| File::open(path).unwrap();
    let lower: Vec<File> = lower.iter().map(open).collect();
    let (upper, work) = (open(&directory.join("upper")), open(&directory.join("work")));
    let place = |opened: &File| format!("/proc/self/fd/{}", opened.as_raw_fd());
    let lower: Vec<String> = lower.iter().map(place).collect();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), place(&upper), place(&work));
    let options = std::ffi::CString::new(options).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("overlay", &root, "overlay", flags, options.as_c_str()).unwrap();
    Mounted(root)
}

#[test]
fn whiteouts_hide_the_layers_below() {
    let directory = tempfile::tempdir().unwrap();
    let below = Tarball::new()
        .file("keep", b"below")
        .file("gone", b"below")
        .file("changed", b"below")
        .file("opaque/old", b"below")
        .file("again/old", b"below")
        .file("late/old", b"below")
        .file("tree/a/b", b"below")
        .finish();
    let above = Tarball::new()
        .file(".wh.gone", b"")
        .file("changed", b"above")
        .directory("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"above")
        .file(".wh.again", b"")
        .directory("again")
        .file("again/new", b"above")
        .file("late/new", b"above")
        .file(".wh.late", b"")
        .file("tree/.wh.a", b"")
        .finish();
    let mounted = stack(directory.path(), &[below, above]);
    let names = |path: &str| {
        let listed = fs::read_dir(mounted.0.join(path)).unwrap();
        let mut names: Vec<String> =
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["again", "changed", "keep", "late", "opaque", "tree"]);
    assert_eq!(fs::read(mounted.0.join("changed")).unwrap(), b"above");
    assert_eq!(names("opaque"), ["new"]);
    assert_eq!(names("again"), ["new"]);
    assert_eq!(names("late"), ["new"]);
    assert_eq!(names("tree"), Vec::<String>::new());
    fs::write(mounted.0.join("written"), "x").unwrap();
    assert!(directory.path().join("upper/written").exists());
}

#[test]
fn a_hundred_and_twenty_seven_layers_stack() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("a,directory:with-a-long-name".repeat(4));
    fs::create_dir(&long).unwrap();
    let layers: Vec<Vec<u8>> =
        (0..127).map(|number| Tarball::new().file(&format!("f{number}"), b"x").finish()).collect();
    let mounted = stack(&long, &layers);
    assert_eq!(fs::read_dir(&mounted.0).unwrap().count(), 127);
}
