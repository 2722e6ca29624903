//! Layers that try to get out, or to cost too much. Needs root. A canary tree stands around the layer's directory;
//! it is compared after every case.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::UnpackLimits;
use outport_image_store::layer::{UnpackError, Unpacked, unpack_layer};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use support::tarball::*;

/// `<tmp>/canary/…` beside `<tmp>/canary/store/layer`, where the layer goes.
struct Canary {
    root: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Canary {
    fn new() -> Canary {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("store/layer")).unwrap();
        fs::create_dir_all(at("etc")).unwrap();
        fs::write(at("etc/passwd"), "canary").unwrap();
        fs::write(at("store/passwd"), "canary").unwrap();
        fs::write(at("passwd"), "canary").unwrap();
        let before = Canary::look(root.path());
        Canary { root, before }
    }

    fn layer(&self) -> PathBuf {
        self.root.path().join("store/layer")
    }

    fn path(&self) -> &str {
        self.root.path().to_str().unwrap()
    }

    /// Everything but what is in the layer: kind, mode, owner, links, size, content.
    fn look(root: &Path) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content =
                if metadata.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            let facts = (metadata.mode(), metadata.uid(), metadata.gid(), metadata.size());
            let links = if metadata.is_file() { metadata.nlink() } else { 0 };
            if path.ends_with("store/layer") {
                continue;
            }
            if metadata.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                seen.insert(path, format!("directory {} {} {}", facts.0, facts.1, facts.2));
            } else {
                seen.insert(path, format!("{facts:?} {links} {content}"));
            }
        }
        seen
    }

    fn unpack(&self, layer: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        let directory = File::open(self.layer()).unwrap();
        unpack_layer(layer, directory.as_fd(), limits)
    }

    #[track_caller]
    fn check(&self, case: &str) {
        assert_eq!(Canary::look(self.root.path()), self.before, "{case}: the canary tree changed");
    }
}

/// Unpacks and expects a refusal whose text has all of `words`, with the canary untouched.
#[track_caller]
fn refused(case: &str, layer: impl Fn(&Canary) -> Vec<u8>, words: &str) {
    let canary = Canary::new();
    let result = canary.unpack(&layer(&canary), &UnpackLimits::default());
    canary.check(case);
    let error = result.map(|_| ()).expect_err(case).to_string();
    assert!(error.contains(words), "{case}: {error:?} has no {words:?}");
}

/// Unpacks and expects success: what is asked for is in the layer, and the canary is untouched.
#[track_caller]
fn kept_inside(case: &str, layer: impl Fn(&Canary) -> Vec<u8>, inside: &[&str]) {
    let canary = Canary::new();
    canary.unpack(&layer(&canary), &UnpackLimits::default()).expect(case);
    canary.check(case);
    for path in inside {
        let found = fs::symlink_metadata(canary.layer().join(path));
        assert!(found.is_ok(), "{case}: {path} is not in the layer");
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let file = |name: &'static str| move |_: &Canary| Tarball::new().file(name, b"x").finish();
    refused("parent", file("../passwd"), "path with ..");
    refused("parent of parent", file("../../passwd"), "path with ..");
    refused("parent inside", file("a/../../passwd"), "path with ..");
    refused("harmless parent", file("a/../b"), "path with ..");
    refused("trailing parent", file("a/.."), "path with ..");
    refused("dot and parent", file("./.././passwd"), "path with ..");
    refused("absolute", file("/etc/passwd"), "absolute path");
    refused("double slash", file("//etc/passwd"), "absolute path");
    refused(
        "absolute canary",
        |canary| {
            Tarball::new()
                .pax(&[("path", format!("{}/passwd", canary.path()).as_bytes())])
                .file("x", b"x")
                .finish()
        },
        "absolute path",
    );
    refused("directory parent", |_| Tarball::new().directory("../new").finish(), "path with ..");
    refused(
        "symlink named parent",
        |_| Tarball::new().symlink("../link", "x").finish(),
        "path with ..",
    );
    refused("fifo named parent", |_| Tarball::new().node("../fifo", FIFO).finish(), "path with ..");
    refused(
        "pax path",
        |_| Tarball::new().pax(&[("path", b"../passwd")]).file("x", b"x").finish(),
        "path with ..",
    );
    refused(
        "gnu long name",
        |_| Tarball::new().gnu_long_name(b"../passwd").file("x", b"x").finish(),
        "path with ..",
    );
    refused(
        "pax path with NUL",
        |_| Tarball::new().pax(&[("path", b"a\0/../passwd")]).file("x", b"x").finish(),
        "",
    );
    refused(
        "empty pax path",
        |_| Tarball::new().pax(&[("path", b"")]).file("", b"x").finish(),
        "empty path",
    );
    refused("root as a file", file("./"), "root is not a directory");
    refused(
        "root as a symlink",
        |canary| Tarball::new().symlink(".", canary.path()).finish(),
        "root is not a directory",
    );
}

#[test]
fn symlinks_are_never_a_way_out() {
    let through = |target: &'static str| {
        move |_: &Canary| Tarball::new().symlink("out", target).file("out/passwd", b"x").finish()
    };
    refused("absolute symlink parent", through("/etc"), "leads out");
    refused("relative symlink parent", through("../.."), "leads out");
    refused("symlink to the store", through(".."), "leads out");
    refused("symlink to proc", through("/proc/self/root"), "leads out");
    refused(
        "symlink to the canary",
        |canary| Tarball::new().symlink("out", canary.path()).file("out/passwd", b"x").finish(),
        "leads out",
    );
    refused(
        "chain of symlinks",
        |_| Tarball::new().symlink("a", "b").symlink("b", "../..").file("a/passwd", b"x").finish(),
        "leads out",
    );
    refused(
        "symlink inside a directory",
        |_| {
            Tarball::new()
                .directory("d")
                .symlink("d/up", "../../..")
                .file("d/up/passwd", b"x")
                .finish()
        },
        "leads out",
    );
    refused(
        "new directory through a symlink",
        |_| Tarball::new().symlink("out", "../..").directory("out/new").finish(),
        "leads out",
    );
    refused(
        "implied directories through a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/a/b/c", b"x").finish(),
        "leads out",
    );
    refused(
        "symlink loop",
        |_| Tarball::new().symlink("a", "b").symlink("b", "a").file("a/x", b"x").finish(),
        "too many symlinks",
    );
    refused(
        "dangling symlink parent",
        |_| Tarball::new().symlink("out", "nowhere").file("out/x", b"x").finish(),
        "not a directory",
    );
    refused(
        "symlink swapped in for a directory",
        |_| Tarball::new().file("d/x", b"1").symlink("d", "../..").file("d/passwd", b"x").finish(),
        "leads out",
    );
    refused(
        "symlink swapped in under a cached parent",
        |canary| {
            Tarball::new()
                .directory("d")
                .file("d/x", b"1")
                .symlink("d", canary.path())
                .file("d/passwd", b"x")
                .finish()
        },
        "leads out",
    );
    kept_inside(
        "file over a symlink",
        |canary| {
            let target = format!("{}/passwd", canary.path());
            Tarball::new().symlink("passwd", &target).file("passwd", b"x").finish()
        },
        &["passwd"],
    );
    kept_inside(
        "directory over a symlink",
        |canary| {
            Tarball::new()
                .symlink("d", canary.path())
                .directory("d")
                .file("d/passwd", b"x")
                .finish()
        },
        &["d/passwd"],
    );
    kept_inside(
        "mode and owner of a symlink",
        |canary| {
            let target = format!("{}/passwd", canary.path());
            Tarball::new().symlink("l", &target).symlink("l", &target).finish()
        },
        &["l"],
    );
    kept_inside(
        "symlinks that stay",
        |_| {
            Tarball::new()
                .directory("usr/lib")
                .symlink("lib", "usr/lib")
                .file("lib/x", b"x")
                .finish()
        },
        &["usr/lib/x"],
    );
    kept_inside(
        "absolute symlink, not followed",
        |_| Tarball::new().symlink("var/run", "/run").symlink("up", "../../../etc").finish(),
        &["var/run", "up"],
    );
}

#[test]
fn hard_links_are_to_files_of_the_layer_only() {
    let link =
        |target: &'static str| move |_: &Canary| Tarball::new().hard_link("l", target).finish();
    refused("hard link out", link("../passwd"), "path with ..");
    refused("hard link to nothing", link("passwd"), "not in this layer");
    refused("absolute hard link", link("/etc/passwd"), "not in this layer");
    refused("hard link without a target", link(""), "without a valid target");
    refused("hard link to the root", link("./"), "empty path");
    refused(
        "hard link through a symlink",
        |_| Tarball::new().symlink("out", "../..").hard_link("l", "out/passwd").finish(),
        "leads out",
    );
    refused(
        "hard link through an absolute symlink",
        |canary| Tarball::new().symlink("out", canary.path()).hard_link("l", "out/passwd").finish(),
        "leads out",
    );
    refused(
        "hard link to a directory",
        |_| Tarball::new().directory("d").hard_link("l", "d").finish(),
        "no file",
    );
    refused(
        "hard link to a whiteout",
        |_| Tarball::new().file(".wh.gone", b"").hard_link("l", "gone").finish(),
        "no file",
    );
    refused(
        "long link name out",
        |_| Tarball::new().gnu_long_link(b"../passwd").hard_link("l", "x").finish(),
        "path with ..",
    );
    kept_inside(
        "hard link to a symlink, then a write",
        |canary| {
            let target = format!("{}/passwd", canary.path());
            Tarball::new().symlink("s", &target).hard_link("l", "s").file("l", b"x").finish()
        },
        &["s", "l"],
    );
    kept_inside(
        "hard link to itself",
        |_| Tarball::new().file("a", b"x").hard_link("a", "a").finish(),
        &["a"],
    );
    kept_inside(
        "hard link with a slash",
        |_| Tarball::new().file("a", b"x").hard_link("b", "/a").finish(),
        &["b"],
    );
}

#[test]
fn whiteouts_hide_and_do_not_reach_out() {
    let file = |name: &'static str| move |_: &Canary| Tarball::new().file(name, b"").finish();
    refused("whiteout of the parent", file(".wh..."), "");
    refused("whiteout of nothing", file(".wh."), "whiteout of nothing");
    refused("whiteout of the directory", file("a/.wh.."), "whiteout of nothing");
    refused(
        "whiteout through a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/.wh.passwd", b"").finish(),
        "leads out",
    );
    kept_inside(
        "opaque over a symlink",
        |canary| {
            Tarball::new().symlink("out", canary.path()).file("out/.wh..wh..opq", b"").finish()
        },
        &["out"],
    );
    refused(
        "opaque below a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/etc/.wh..wh..opq", b"").finish(),
        "leads out",
    );
    kept_inside(
        "aufs bookkeeping",
        |_| Tarball::new().file(".wh..wh.plnk/1.2", b"").file(".wh..wh.aufs", b"").finish(),
        &[],
    );
}

#[test]
fn devices_and_the_unknown_are_refused() {
    let node =
        |name: &'static str, kind: u8| move |_: &Canary| Tarball::new().node(name, kind).finish();
    refused("block device", node("disk", BLOCK_DEVICE), "device file");
    refused("character device", node("etc/null", CHARACTER_DEVICE), "device file");
    refused("device 0:0, a whiteout in disguise", node("hidden", CHARACTER_DEVICE), "device file");
    refused(
        "device in a directory named dev elsewhere",
        node("x/dev/sda", BLOCK_DEVICE),
        "device file",
    );
    refused("unknown type", node("x", b'Z'), "unknown type");
    kept_inside(
        "devices below dev are left out",
        |_| {
            Tarball::new().node("dev/null", CHARACTER_DEVICE).node("dev/sda", BLOCK_DEVICE).finish()
        },
        &[],
    );
    refused(
        "owner of all ones",
        |_| Tarball::new().pax(&[("uid", b"4294967295")]).file("x", b"").finish(),
        "owner out of range",
    );
    refused(
        "owner beyond 32 bits",
        |_| Tarball::new().pax(&[("gid", b"99999999999")]).file("x", b"").finish(),
        "owner out of range",
    );
    refused(
        "overlay redirect",
        |_| {
            Tarball::new()
                .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc")])
                .directory("d")
                .finish()
        },
        "overlay attribute",
    );
    refused(
        "overlay metacopy",
        |_| {
            Tarball::new()
                .pax(&[("SCHILY.xattr.user.overlay.metacopy", b"")])
                .file("d", b"")
                .finish()
        },
        "overlay attribute",
    );
    refused(
        "pax sparse",
        |_| {
            Tarball::new()
                .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")])
                .file("s", b"")
                .finish()
        },
        "not supported",
    );
}

#[test]
fn streams_that_are_cut_or_lie_are_refused() {
    let whole = Tarball::new().file("a", &[7; 3000]).finish();
    let cut = whole[..2000].to_vec();
    refused("cut in a file", |_| cut.clone(), "");
    refused("cut in a header", |_| whole[..300].to_vec(), "");
    refused("cut gzip", |_| gzip(&whole)[..40].to_vec(), "");
    refused("cut zstd", |_| zstd(&[whole.clone(), vec![9; 100_000]].concat())[..30].to_vec(), "");
    refused("no tar", |_| vec![b'x'; 4096], "");
    refused(
        "broken checksum",
        |_| {
            let mut broken = whole.clone();
            broken[0] = b'z';
            broken
        },
        "",
    );
    refused(
        "size beyond the end",
        |_| {
            Tarball::new()
                .header(Header { size: Some(1 << 20), content: b"x", ..Header::default() })
                .finish()
        },
        "",
    );
    refused(
        "size of exabytes",
        |_| {
            let size = Some(u64::MAX / 2);
            Tarball::new().header(Header { size, content: b"x", ..Header::default() }).finish()
        },
        "limit on bytes",
    );
    refused("long name without an entry", |_| Tarball::new().gnu_long_name(b"x").finish(), "");
}

#[test]
fn names_beyond_the_limits_are_refused() {
    let deep = "d/".repeat(300);
    let long = "n".repeat(300);
    let huge = "a/".repeat(3000);
    let named = |name: String| {
        move |_: &Canary| Tarball::new().pax(&[("path", name.as_bytes())]).file("x", b"").finish()
    };
    refused("too deep", named(format!("{deep}x")), "too deep");
    refused("too long a component", named(long), "too long");
    refused("too long a path", named(format!("{huge}x")), "too long");
    refused(
        "too long a link target",
        |_| Tarball::new().gnu_long_link(&vec![b't'; 5000]).symlink("l", "x").finish(),
        "too long",
    );
}

#[track_caller]
fn limited(case: &str, limits: UnpackLimits, layer: &[u8], limit: &str) {
    let canary = Canary::new();
    let result = canary.unpack(layer, &limits);
    canary.check(case);
    match result {
        Err(UnpackError::LimitExceeded(found)) => assert_eq!(found, limit, "{case}"),
        other => panic!("{case}: {other:?}"),
    }
}

#[test]
fn bombs_end_at_the_limits() {
    let limits = UnpackLimits {
        bytes_max: 8 << 20,
        entries_max: 100,
        ratio_max: 20,
        ratio_free_bytes: 1 << 20,
        header_bytes_max: 64 << 10,
        directory_path_bytes_max: 8 << 10,
        ..UnpackLimits::default()
    };
    let zeros = |megabytes: usize| Tarball::new().file("zeros", &vec![0; megabytes << 20]).finish();
    limited("gzip bomb", limits, &gzip(&zeros(6)), "compression ratio");
    limited("zstd bomb", limits, &zstd(&zeros(6)), "compression ratio");
    limited("too many bytes", limits, &zeros(9), "bytes");
    let trailer = Tarball::new().file("a", b"x").finish();
    limited(
        "bomb behind the end",
        limits,
        &gzip(&[trailer, vec![0; 6 << 20]].concat()),
        "compression ratio",
    );
    let files = (0..101).fold(Tarball::new(), |tar, number| tar.file(&format!("f{number}"), b""));
    limited("too many files", limits, &files.finish(), "entries");
    let names = Tarball::new().gnu_long_name(&vec![b'n'; 100 << 10]).file("x", b"");
    limited("long name in memory", limits, &names.finish(), "header bytes");
    let comment = vec![b'c'; 100 << 10];
    let records = Tarball::new().pax(&[("comment", &comment)]).file("x", b"");
    limited("pax records in memory", limits, &records.finish(), "header bytes");
    let claimed = Header { name: b"x", kind: b'x', size: Some(1 << 40), ..Header::default() };
    let endless = [Tarball::new().header(claimed).unfinished(), vec![b'1'; 200 << 10]].concat();
    limited("pax header of a terabyte", limits, &endless, "header bytes");
    let directories = (0..90)
        .fold(Tarball::new(), |tar, number| tar.directory(&format!("{}{number}", "d".repeat(90))));
    limited("directories in memory", limits, &directories.finish(), "directories");
    let wide = UnpackLimits { ratio_max: 2000, ..limits };
    let canary = Canary::new();
    canary.unpack(&gzip(&zeros(6)), &wide).unwrap();
}
