//! Names of entries.

use crate::canary::{Canary, kept_inside, kept_inside_at, refused};
use crate::support::tarball::*;

#[test]
fn names_that_lead_out_are_refused() {
    let file = |name: &'static str| move |_: &Canary| Tarball::new().file(name, b"x").finish();
    refused("parent", file("../passwd"), "path with ..");
    refused("parent of parent", file("../../passwd"), "path with ..");
    refused("parent inside", file("a/../../passwd"), "path with ..");
    refused("trailing parent", file("a/.."), "root is not a directory");
    refused("dot and parent", file("./.././passwd"), "path with ..");
    refused("absolute parent", file("/../passwd"), "path with ..");
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

/// As kaniko and others write them: they count from the layer's root.
#[test]
fn names_that_docker_takes_are_taken() {
    let file = |name: &'static str| move |_: &Canary| Tarball::new().file(name, b"x").finish();
    let directory = |name: &'static str| {
        move |_: &Canary| Tarball::new().directory(name).file("f", b"").finish()
    };
    kept_inside("the root as a slash", directory("/"), &["f"]);
    kept_inside("the root as slashes", directory("//"), &["f"]);
    kept_inside("the root as a dot", directory("."), &["f"]);
    kept_inside("the root as dot and slash", directory("./"), &["f"]);
    kept_inside("the root as slash and dot", directory("/./"), &["f"]);
    kept_inside("absolute", file("/etc/passwd"), &["etc/passwd"]);
    kept_inside("double slash", file("//etc//passwd"), &["etc/passwd"]);
    kept_inside("harmless parent", file("a/../b"), &["b"]);
    kept_inside("a directory by its slash", file("d/"), &["d"]);
    kept_inside(
        "absolute hard link of an absolute name",
        |_| Tarball::new().file("/a/b", b"x").hard_link("/c/d/", "/a/./b").finish(),
        &["c/d"],
    );
    kept_inside("absolute whiteout", file("/etc/.wh.passwd"), &["etc/passwd"]);
    kept_inside("absolute opaque marker", file("/etc/.wh..wh..opq"), &["etc"]);
    kept_inside_at(
        "absolute canary",
        |canary| {
            Tarball::new()
                .pax(&[("path", format!("{}/passwd", canary.path()).as_bytes())])
                .file("x", b"x")
                .finish()
        },
        |canary| format!("{}/passwd", &canary.path()[1..]),
    );
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
