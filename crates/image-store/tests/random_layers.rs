//! Layers of random hostile entries, whole and damaged. Needs root. Whatever comes of one, nothing beside
//! the layer's directory changes, and nothing in it is a device. A failure names the seed of its layer.
//!
//! `OUTPORT_LAYERS` and `OUTPORT_LAYERS_SEED` change how many there are and the seed of the first: a campaign
//! (`cargo xtask campaign layers`) runs this test with many.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::UnpackLimits;
use outport_image_store::layer::unpack_layer;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use support::tarball::*;

const LAYERS: u64 = 1000;
/// Most bytes on disk of one layer, whose tar file has less than 40 KiB.
const DISK_BYTES_MAX: u64 = 1 << 20;
/// Longest unpacking and removal of one layer; they take some milliseconds.
const SECONDS_MAX: u64 = 20;
const ENTRIES_MAX: u64 = 14;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Mostly a name that is allowed, so that layers get far; few components, so that names meet.
    fn name(&mut self, outside: &str) -> Vec<u8> {
        const COMPONENTS: [&str; 12] = [
            "a",
            "b",
            "c",
            "a",
            "b",
            "dev",
            ".",
            "",
            ".wh.a",
            ".wh.b",
            ".wh..wh..opq",
            ".wh..wh.x",
        ];
        let mut name = String::new();
        match self.below(40) {
            0 => name.push_str("../"),
            1 => name.push('/'),
            2 => name.push_str(outside),
            3 => return vec![b'n'; 300],
            _ => {}
        }
        for level in 0..=self.below(4) {
            if level > 0 {
                name.push('/');
            }
            let component = self.one(&COMPONENTS);
            name.push_str(if self.below(60) == 0 { ".." } else { component });
        }
        name.into_bytes()
    }

    fn target(&mut self, outside: &str) -> Vec<u8> {
        const TARGETS: [&str; 12] = [
            "a",
            "b",
            "c",
            "a/b",
            "./c",
            "..",
            "../..",
            "../../passwd",
            "../b",
            "b/../..",
            "",
            "/proc/self/cwd",
        ];
        match self.below(10) {
            0 => outside.as_bytes().to_vec(),
            1 => format!("/proc/self/root{outside}").into_bytes(),
            2 => format!("{outside}/passwd").into_bytes(),
            _ => self.one(&TARGETS).as_bytes().to_vec(),
        }
    }
}

fn layer(random: &mut Random, outside: &str) -> Vec<u8> {
    const KINDS: [u8; 15] = [
        FILE,
        FILE,
        FILE,
        DIRECTORY,
        DIRECTORY,
        SYMLINK,
        SYMLINK,
        SYMLINK,
        HARD_LINK,
        HARD_LINK,
        FIFO,
        CHARACTER_DEVICE,
        BLOCK_DEVICE,
        b'7',
        b'Z',
    ];
    let mut tarball = Tarball::new();
    for _ in 0..=random.below(ENTRIES_MAX) {
        let (name, link) = (random.name(outside), random.target(outside));
        let content = vec![b'x'; random.below(1500) as usize];
        match random.below(14) {
            12 => {
                let size = (1_u64 << random.below(44)).to_string();
                let map = format!("{},{}", random.below(3000), content.len());
                let (map, size) = (map.as_bytes(), size.as_bytes());
                tarball = tarball.pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)]);
            }
            13 => {
                let extents = [(random.below(2000), content.len() as u64)];
                let size = 1 << random.below(44);
                tarball = tarball.gnu_sparse("sparse", &extents, size, &content);
            }
            0 => tarball = tarball.pax(&[("path", &name), ("linkpath", &link)]),
            1 => tarball = tarball.gnu_long_name(&name).gnu_long_link(&link),
            2 => tarball = tarball.pax(&[("SCHILY.xattr.user.x", b"1"), ("mtime", b"-1.5")]),
            3 => tarball = tarball.pax(&[("SCHILY.xattr.trusted.overlay.redirect", &link)]),
            _ => {}
        }
        let kind = random.one(&KINDS);
        let has_content = kind == FILE || random.below(20) == 0;
        tarball = tarball.header(Header {
            name: &name,
            kind,
            link: &link,
            mode: random.one(&[0o644, 0o755, 0o7777, 0]),
            content: if has_content { &content } else { b"" },
            ..Header::default()
        });
    }
    let mut bytes = tarball.finish();
    // One in four is damaged: cut off, or with bytes changed.
    match random.below(8) {
        0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        1 => {
            for _ in 0..4 {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.number() as u8;
            }
        }
        _ => {}
    }
    match random.below(8) {
        0 => gzip(&bytes),
        1 => zstd(&bytes),
        _ => bytes,
    }
}

/// Path, mode, owner, links, size and content of all that lies in `root`, without the layer.
fn look(root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let facts = (metadata.mode(), metadata.uid(), metadata.gid());
        if metadata.is_dir() {
            if !path.ends_with("store/layer") {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                seen.push(format!("{path:?} {facts:?}"));
            }
        } else {
            let content = fs::read_to_string(&path).unwrap_or_default();
            seen.push(format!("{path:?} {facts:?} {} {content}", metadata.nlink()));
        }
    }
    seen.sort();
    seen
}

/// The only devices are whiteouts. And what it takes on disk.
fn devices_and_bytes(directory: &Path) -> (usize, u64) {
    let (mut found, mut bytes) = (0, 0);
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let kind = metadata.file_type();
        let is_device = kind.is_block_device() || kind.is_char_device() && metadata.rdev() != 0;
        found += usize::from(is_device);
        bytes += metadata.blocks() * 512;
        if kind.is_dir() {
            let (below, bytes_below) = devices_and_bytes(&entry.path());
            found += below;
            bytes += bytes_below;
        }
    }
    (found, bytes)
}

#[test]
fn random_layers_stay_in_their_directory() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("store")).unwrap();
    fs::create_dir_all(at("a/b")).unwrap();
    for canary in ["passwd", "store/passwd", "a/passwd", "a/b/c"] {
        fs::write(at(canary), "canary").unwrap();
    }
    let before = look(root.path());
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let (layers, first) = (number("OUTPORT_LAYERS", LAYERS), number("OUTPORT_LAYERS_SEED", 0));
    let (mut unpacked, mut slowest, mut largest) = (0, Duration::ZERO, 0);
    for seed in (0..layers).map(|index| first.wrapping_add(index)) {
        let begun = Instant::now();
        let layer = layer(&mut Random(seed), root.path().to_str().unwrap());
        fs::create_dir(at("store/layer")).unwrap();
        let directory = File::open(at("store/layer")).unwrap();
        let done = unpack_layer(layer.as_slice(), directory.as_fd(), &UnpackLimits::default());
        unpacked += u64::from(done.is_ok());
        // A layer may take away the rights of its own directory, from everybody but root.
        fs::set_permissions(at("store/layer"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look(root.path()), before, "seed {seed}: {done:?}");
        let (devices, bytes) = devices_and_bytes(&at("store/layer"));
        assert_eq!(devices, 0, "seed {seed}");
        assert!(bytes < DISK_BYTES_MAX, "seed {seed}: {bytes} bytes");
        outport_tree_removal::remove_tree(&at("store/layer")).unwrap();
        assert!(begun.elapsed().as_secs() < SECONDS_MAX, "seed {seed}: {:?}", begun.elapsed());
        (slowest, largest) = (slowest.max(begun.elapsed()), largest.max(bytes));
    }
    println!(
        "{layers} layers from seed {first}: {unpacked} unpacked, slowest {slowest:?}, largest {largest} bytes"
    );
    // Layers that are all refused at their first entry would show nothing.
    assert!((layers / 20..layers).contains(&unpacked), "{unpacked} of {layers} were unpacked");
}
