//! Names of entries.

use crate::canary::{Canary, refused};
use crate::support::tarball::*;

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
