//! Symlinks and hard links.

use crate::canary::{Canary, kept_inside, kept_inside_at, refused};
use crate::support::tarball::*;

/// A symlink on the way counts from the layer's root, as in a container of it: what comes through one is inside.
#[test]
fn symlinks_are_never_a_way_out() {
    let through = |case: &str, target: &'static str, inside: &str| {
        kept_inside(
            case,
            |_| Tarball::new().symlink("out", target).file("out/passwd", b"x").finish(),
            &["out", inside],
        );
    };
    through("absolute symlink parent", "/etc", "etc/passwd");
    through("relative symlink parent", "../..", "passwd");
    through("symlink to the store", "..", "passwd");
    through("symlink to proc", "/proc/self/root", "proc/self/root/passwd");
    through("dangling symlink parent", "nowhere", "nowhere/passwd");
    through("symlink with dots and slashes", "//a/./../b//", "b/passwd");
    let at_canary = |canary: &Canary| format!("{}/passwd", &canary.path()[1..]);
    kept_inside_at(
        "symlink to the canary",
        |canary| Tarball::new().symlink("out", canary.path()).file("out/passwd", b"x").finish(),
        at_canary,
    );
    kept_inside(
        "chain of symlinks",
        |_| Tarball::new().symlink("a", "b").symlink("b", "../..").file("a/passwd", b"x").finish(),
        &["passwd"],
    );
    kept_inside(
        "symlink inside a directory",
        |_| {
            Tarball::new()
                .directory("d")
                .symlink("d/up", "../../..")
                .file("d/up/passwd", b"x")
                .finish()
        },
        &["passwd"],
    );
    kept_inside(
        "new directory through a symlink",
        |_| Tarball::new().symlink("out", "../..").directory("out/new").finish(),
        &["new"],
    );
    kept_inside(
        "implied directories through a symlink",
        |_| Tarball::new().symlink("out", "../..").file("out/a/b/c", b"x").finish(),
        &["a/b/c"],
    );
    kept_inside(
        "a service's run directory",
        |_| {
            Tarball::new()
                .directory("run")
                .directory("var")
                .symlink("var/run", "/run")
                .file("var/run/app.pid", b"7")
                .hard_link("pid", "var/run/app.pid")
                .file("var/run/.wh.old", b"")
                .finish()
        },
        &["var/run", "run/app.pid", "pid", "run/old"],
    );
    refused(
        "symlink loop",
        |_| Tarball::new().symlink("a", "b").symlink("b", "a").file("a/x", b"x").finish(),
        "too many symlinks",
    );
    refused(
        "symlinks that never come to an end",
        |_| {
            let long = "a/../".repeat(800) + "b";
            Tarball::new()
                .directory("a")
                .gnu_long_link(long.as_bytes())
                .symlink("b", "x")
                .file("b/x", b"")
                .finish()
        },
        "too many symlinks",
    );
    refused(
        "a file on the way",
        |_| Tarball::new().file("f", b"").symlink("l", "f").file("l/x", b"x").finish(),
        "not a directory",
    );
    kept_inside(
        "symlink swapped in for a directory",
        |_| Tarball::new().file("d/x", b"1").symlink("d", "../..").file("d/passwd", b"x").finish(),
        &["passwd"],
    );
    kept_inside_at(
        "symlink swapped in under a cached parent",
        |canary| {
            Tarball::new()
                .directory("d")
                .file("d/x", b"1")
                .symlink("d", canary.path())
                .file("d/passwd", b"x")
                .finish()
        },
        at_canary,
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
        "not in this layer",
    );
    refused(
        "hard link through an absolute symlink",
        |canary| Tarball::new().symlink("out", canary.path()).hard_link("l", "out/passwd").finish(),
        "not in this layer",
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

/// Names within the limit, each of which begins where the last one ended.
#[test]
fn directories_are_no_deeper_than_their_names_may_be() {
    refused(
        "a tree that symlinks build",
        |_| {
            let down = "d/".repeat(150);
            let mut tarball = Tarball::new().gnu_long_name(down.as_bytes()).directory("x");
            tarball = tarball.gnu_long_link(down.as_bytes()).symlink("l0", "x");
            for step in 1..100 {
                let name = format!("l{}/{down}", step - 1);
                tarball = tarball.gnu_long_name(name.as_bytes()).directory("x");
                tarball = tarball.gnu_long_link(name.as_bytes()).symlink(&format!("l{step}"), "x");
            }
            tarball.finish()
        },
        "path too deep",
    );
    refused(
        "a path that symlinks make long",
        |_| {
            let down = format!("{}/", "n".repeat(250)).repeat(10);
            Tarball::new()
                .gnu_long_name(down.as_bytes())
                .directory("x")
                .gnu_long_link(down.as_bytes())
                .symlink("l", "x")
                .gnu_long_name(format!("l/{down}").as_bytes())
                .directory("x")
                .finish()
        },
        "path too long",
    );
}
