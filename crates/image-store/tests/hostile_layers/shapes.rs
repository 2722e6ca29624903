//! Every kind of entry by every way that leads, or seems to lead, somewhere else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use outport_image_store::UnpackLimits;

use crate::canary::Canary;
use crate::support::tarball::*;

/// What is done at the end of the way.
const KINDS: [&str; 9] = [
    "file",
    "directory",
    "symlink",
    "hard link",
    "fifo",
    "device",
    "sparse file",
    "whiteout",
    "opaque marker",
];

fn entry(kind: &str, tarball: Tarball, name: &str) -> Tarball {
    let (parent, last) = name.trim_end_matches('/').rsplit_once('/').unwrap_or(("", name));
    let special = |marker: &str| match parent {
        "" => marker.to_owned(),
        parent => format!("{parent}/{marker}"),
    };
    // Long enough for every way.
    let long = |tarball: Tarball, name: &str| tarball.gnu_long_name(name.as_bytes());
    match kind {
        "file" => long(tarball, name).file("x", b"hostile"),
        "directory" => long(tarball, name).directory("x"),
        "symlink" => long(tarball, name).symlink("x", "../../.."),
        "hard link" => long(tarball.file("own", b"own"), name).hard_link("x", "own"),
        "fifo" => long(tarball, name).node("x", FIFO),
        "device" => long(tarball, name).device("x", CHARACTER_DEVICE, (1, 9)),
        "sparse file" => long(tarball, name).gnu_sparse("x", &[(0, 1)], 4096, b"h"),
        "whiteout" => {
            let name = special(&format!(".wh.{last}"));
            long(tarball, &name).file("x", b"")
        }
        "opaque marker" => long(tarball, &special(".wh..wh..opq")).file("x", b""),
        other => panic!("{other}"),
    }
}

/// The way, and the name at its end.
fn ways(canary: &Canary) -> Vec<(&'static str, Tarball, String)> {
    let new = Tarball::new;
    let home = canary.path();
    let passwd = || "out/passwd".to_owned();
    let chain = (0..45)
        .fold(new(), |tar, step| tar.symlink(&format!("l{step}"), &format!("l{}", step + 1)));
    vec![
        ("above", new(), "../passwd".to_owned()),
        ("above the slash", new(), "/../passwd".to_owned()),
        ("above, late", new(), "a/b/../../../passwd".to_owned()),
        ("absolute", new(), format!("{home}/passwd")),
        ("link up", new().symlink("out", ".."), passwd()),
        ("link far up", new().symlink("out", "../../../../../../../../.."), passwd()),
        ("link to the root", new().symlink("out", "/"), passwd()),
        ("link to the canary", new().symlink("out", home), passwd()),
        (
            "link to a file of it",
            new().symlink("passwd", &format!("{home}/passwd")),
            "passwd".into(),
        ),
        ("link through proc", new().symlink("out", "/proc/self/cwd/.."), passwd()),
        ("link through a descriptor", new().symlink("out", "/proc/self/fd/3/.."), passwd()),
        ("two links", new().symlink("out", "b").symlink("b", ".."), passwd()),
        ("link in a directory", new().directory("d").symlink("d/l", "../.."), "d/l/passwd".into()),
        (
            "link in the place of a directory",
            new().file("out/f", b"").symlink("out", ".."),
            passwd(),
        ),
        (
            "link under the last parent",
            new().directory("out").file("out/f", b"").symlink("out", home),
            passwd(),
        ),
        ("another name of a link", new().symlink("s", "..").hard_link("out", "s"), passwd()),
        ("links without an end", new().symlink("out", "out"), passwd()),
        ("more links than one may", chain, "l0/passwd".to_owned()),
        ("a fifo on the way", new().node("out", FIFO), passwd()),
        ("a file on the way", new().file("out", b"f"), passwd()),
        ("a whiteout on the way", new().file(".wh.out", b""), passwd()),
        ("a link that was hidden", new().symlink("out", "..").file(".wh.out", b""), passwd()),
        ("an opaque root", new().file(".wh..wh..opq", b""), passwd()),
        ("the devices' directory", new().directory("dev"), "dev/passwd".to_owned()),
        ("as deep as it goes", new(), "d/".repeat(199) + "passwd"),
        ("deeper than it goes", new(), "d/".repeat(200) + "passwd"),
        ("slashes at the end", new().symlink("out", ".."), "out/passwd//".to_owned()),
        ("dots on the way", new().symlink("out", ".."), "./out/././passwd".to_owned()),
        ("twice", new().file("passwd", b"1").directory("passwd"), "passwd".to_owned()),
        ("the root", new(), "/".to_owned()),
    ]
}

#[track_caller]
fn check_inside(case: &str, directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let kind = metadata.file_type();
        let harmless = [0, rustix::fs::makedev(1, 9)].contains(&metadata.rdev());
        assert!(!kind.is_block_device() && harmless, "{case}: {:?}", entry.path());
        if kind.is_dir() && entry.path().as_os_str().len() < 3000 {
            check_inside(case, &entry.path());
        }
    }
}

#[test]
fn every_kind_by_every_way_stays_inside() {
    let (mut shapes, mut taken) = (0, 0);
    for kind in KINDS {
        for index in 0.. {
            let canary = Canary::new();
            let Some((way, tarball, name)) = ways(&canary).into_iter().nth(index) else { break };
            let layer = entry(kind, tarball, &name).file("after", b"").finish();
            let case = format!("{kind}, {way}");
            let done = canary.unpack(&layer, &UnpackLimits::default());
            canary.check(&case);
            check_inside(&case, &canary.layer());
            outport_tree_removal::remove_tree(&canary.layer()).unwrap();
            shapes += 1;
            taken += usize::from(done.is_ok());
        }
    }
    println!("{shapes} crafted layers, {taken} unpacked");
    // Shapes that are all refused would show as little as some that are all taken.
    assert!(shapes > 250 && taken > shapes / 3 && taken < shapes, "{taken} of {shapes}");
}
