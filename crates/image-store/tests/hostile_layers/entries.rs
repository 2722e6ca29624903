//! Whiteouts, devices, attributes, and streams that are no tar.

use crate::canary::{Canary, kept_inside, refused};
use crate::support::tarball::*;

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
