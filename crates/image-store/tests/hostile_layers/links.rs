//! Symlinks and hard links.

use crate::canary::{Canary, kept_inside, refused};
use crate::support::tarball::*;

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
