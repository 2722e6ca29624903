//! Whiteouts, devices, attributes, and streams that are no tar.

use outport_image_store::UnpackLimits;

use crate::canary::{Canary, kept_inside, left_out, refused};
use crate::support::tarball::*;

#[test]
fn whiteouts_hide_and_do_not_reach_out() {
    let file = |name: &'static str| move |_: &Canary| Tarball::new().file(name, b"").finish();
    refused("whiteout of the parent", file(".wh..."), "");
    refused("whiteout of nothing", file(".wh."), "whiteout of nothing");
    refused("whiteout of the directory", file("a/.wh.."), "whiteout of nothing");
    kept_inside(
        "whiteout through a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/.wh.passwd", b"").finish(),
        &["passwd"],
    );
    kept_inside(
        "opaque over a symlink",
        |canary| {
            Tarball::new().symlink("out", canary.path()).file("out/.wh..wh..opq", b"").finish()
        },
        &["out"],
    );
    kept_inside(
        "opaque below a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/etc/.wh..wh..opq", b"").finish(),
        &["etc"],
    );
    kept_inside(
        "aufs bookkeeping",
        |_| Tarball::new().file(".wh..wh.plnk/1.2", b"").file(".wh..wh.aufs", b"").finish(),
        &[],
    );
}

#[test]
fn devices_are_left_out_but_for_those_that_every_container_has() {
    let node = |name: &str, kind: u8, device: (u32, u32)| {
        Tarball::new().device(name, kind, device).file("after", b"").finish()
    };
    left_out("block device", &node("disk", BLOCK_DEVICE, (8, 0)), "disk");
    left_out("block device with harmless numbers", &node("disk", BLOCK_DEVICE, (1, 3)), "disk");
    left_out("memory", &node("etc/mem", CHARACTER_DEVICE, (1, 1)), "etc/mem");
    left_out("device 0:0, a whiteout in disguise", &node("w", CHARACTER_DEVICE, (0, 0)), "w");
    left_out("the container's own", &node("dev/null", CHARACTER_DEVICE, (1, 3)), "dev/null");
    left_out("the same, absolute", &node("/dev/null", CHARACTER_DEVICE, (1, 3)), "dev/null");
    let through = Tarball::new().directory("dev").symlink("d", "/dev");
    let through = through.device("d/null", CHARACTER_DEVICE, (1, 3)).finish();
    left_out("the same through a symlink", &through, "dev/null");
    let chroot = "var/spool/postfix/dev/urandom";
    kept_inside("a chroot's", |_| node(chroot, CHARACTER_DEVICE, (1, 9)), &[chroot, "after"]);
}

#[test]
fn the_unknown_is_refused_and_attributes_of_overlayfs_are_left_out() {
    let node =
        |name: &'static str, kind: u8| move |_: &Canary| Tarball::new().node(name, kind).finish();
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
    for name in ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.origin"] {
        let canary = Canary::new();
        let record = format!("SCHILY.xattr.{name}");
        let layer = Tarball::new().pax(&[(&record, b"y")]).directory("d").finish();
        canary.unpack(&layer, &UnpackLimits::default()).unwrap();
        let mut value = [0; 8];
        let found = rustix::fs::getxattr(canary.layer().join("d"), name, &mut value[..]);
        assert_eq!(found, Err(rustix::io::Errno::NODATA), "{name}");
    }
}

/// Sparse members whose maps lie.
#[test]
fn sparse_maps_that_do_not_fit_are_refused() {
    let old = |extents: &[(u64, u64)], size: u64, content: &[u8]| {
        let layer = Tarball::new().gnu_sparse("s", extents, size, content).finish();
        move |_: &Canary| layer.clone()
    };
    refused("beyond the end", old(&[(0, 10)], 5, &[1; 10]), "does not fit");
    refused("backwards", old(&[(10, 5), (0, 5)], 20, &[1; 10]), "does not fit");
    refused("overlapping", old(&[(0, 10), (5, 10)], 20, &[1; 20]), "does not fit");
    refused("an offset of exabytes", old(&[(u64::MAX - 5, 10)], 20, &[1; 10]), "does not fit");
    refused("less than the map", old(&[(0, 10)], 20, &[1; 5]), "another length");
    refused("more than the map", old(&[(0, 10)], 20, &[1; 15]), "another length");
    let pax = |records: &[(&str, &[u8])], content: &[u8]| {
        let layer = Tarball::new().pax(records).file("s", content).finish();
        move |_: &Canary| layer.clone()
    };
    let form_1: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    let block = |text: &[u8]| [text, &vec![0; 512 - text.len()]].concat();
    refused("no map", pax(&form_1, b""), "cut off");
    refused("a map that is text", pax(&form_1, &block(b"one\n")), "that is none");
    refused("numbers of kilobytes", pax(&form_1, &block(&[b'9'; 512])), "out of range");
    refused("more extents than there are", pax(&form_1, &block(b"2\n0\n1\n")), "that is none");
    refused("no size", pax(&form_1[..2], &block(b"0\n")), "without a size");
    let form_0: [(&str, &[u8]); 2] = [("GNU.sparse.map", b"0,5,7"), ("GNU.sparse.size", b"9")];
    refused("half an extent", pax(&form_0, b"12345"), "that is none");
    let order: [(&str, &[u8]); 3] =
        [("GNU.sparse.numbytes", b"5"), ("GNU.sparse.offset", b"0"), ("GNU.sparse.size", b"9")];
    refused("records in the wrong order", pax(&order, b"12345"), "that is none");
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
