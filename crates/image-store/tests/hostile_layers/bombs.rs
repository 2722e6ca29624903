//! Layers that would cost too much.

use outport_image_store::UnpackLimits;
use outport_image_store::layer::UnpackError;

use crate::canary::Canary;
use crate::support::tarball::*;

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

/// What costs nothing to claim costs nothing to refuse.
#[test]
fn claims_end_at_the_limits() {
    let limits = UnpackLimits { bytes_max: 8 << 20, entries_max: 100, ..UnpackLimits::default() };
    let sparse = |size: u64| {
        Tarball::new().gnu_sparse("hole", &[(0, 1), (size - 1, 1)], size, b"xy").finish()
    };
    limited("an old sparse file of a terabyte", limits, &sparse(1 << 40), "bytes");
    let hundred = (0..5).fold(Tarball::new(), |tar, number| {
        tar.gnu_sparse(&format!("h{number}"), &[(0, 1)], 2 << 20, b"x")
    });
    limited("small sparse files together", limits, &hundred.finish(), "bytes");
    let records: [(&str, &[u8]); 2] =
        [("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"1099511627776")];
    let pax = Tarball::new().pax(&records).file("s", b"x").finish();
    limited("a pax sparse file of a terabyte", limits, &pax, "bytes");
    let size: [(&str, &[u8]); 1] = [("size", b"1099511627776")];
    let pax = Tarball::new().pax(&size).file("s", b"x").finish();
    limited("a size in records", limits, &pax, "bytes");
    let deep = Tarball::new().file(&format!("{}f", "d/".repeat(40)), b"");
    let deep = deep.file(&format!("{}f", "e/".repeat(40)), b"");
    let deep = deep.file(&format!("{}f", "f/".repeat(40)), b"");
    limited("directories that no entry lists", limits, &deep.clone().finish(), "entries");
    let few = UnpackLimits { marked_path_bytes_max: 1000, ..limits };
    limited("the same, by the bytes of their paths", few, &deep.finish(), "directories");
    let at_once = UnpackLimits { time_max_s: 0, ..limits };
    let file = Tarball::new().file("a", b"x").finish();
    limited("no time", at_once, &file, "time");
    // Within the limits, holes cost no blocks.
    let canary = Canary::new();
    canary.unpack(&sparse(4 << 20), &limits).unwrap();
    let made = std::fs::metadata(canary.layer().join("hole")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(made.size(), 4 << 20);
    assert!(made.blocks() * 512 < 1 << 20, "{} blocks", made.blocks());
}
