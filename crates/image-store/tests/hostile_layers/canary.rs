//! A tree around the layer's directory, compared after every case.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use outport_image_store::UnpackLimits;
use outport_image_store::layer::{UnpackError, Unpacked, unpack_layer};

/// `<tmp>/canary/…` beside `<tmp>/canary/store/layer`, where the layer goes.
pub struct Canary {
    root: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Canary {
    pub fn new() -> Canary {
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

    pub fn layer(&self) -> PathBuf {
        self.root.path().join("store/layer")
    }

    pub fn path(&self) -> &str {
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

    pub fn unpack(&self, layer: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        let directory = File::open(self.layer()).unwrap();
        unpack_layer(layer, directory.as_fd(), limits)
    }

    #[track_caller]
    pub fn check(&self, case: &str) {
        assert_eq!(Canary::look(self.root.path()), self.before, "{case}: the canary tree changed");
    }
}

/// Unpacks and expects a refusal whose text has all of `words`, with the canary untouched.
#[track_caller]
pub fn refused(case: &str, layer: impl Fn(&Canary) -> Vec<u8>, words: &str) {
    let canary = Canary::new();
    let result = canary.unpack(&layer(&canary), &UnpackLimits::default());
    canary.check(case);
    let error = result.map(|_| ()).expect_err(case).to_string();
    assert!(error.contains(words), "{case}: {error:?} has no {words:?}");
}

/// Unpacks and expects success: what is asked for is in the layer, and the canary is untouched.
#[track_caller]
pub fn kept_inside(case: &str, layer: impl Fn(&Canary) -> Vec<u8>, inside: &[&str]) {
    let canary = Canary::new();
    inside_of(&canary, case, &layer(&canary), inside);
}

/// The same, of a path that depends on where the canary lies.
#[track_caller]
pub fn kept_inside_at(
    case: &str,
    layer: impl Fn(&Canary) -> Vec<u8>,
    inside: impl Fn(&Canary) -> String,
) {
    let canary = Canary::new();
    inside_of(&canary, case, &layer(&canary), &[inside(&canary).as_str()]);
}

#[track_caller]
fn inside_of(canary: &Canary, case: &str, layer: &[u8], inside: &[&str]) {
    canary.unpack(layer, &UnpackLimits::default()).expect(case);
    canary.check(case);
    for path in inside {
        let found = fs::symlink_metadata(canary.layer().join(path));
        assert!(found.is_ok(), "{case}: {path} is not in the layer");
    }
}

/// Unpacks and expects success, and that a path is not in the layer.
#[track_caller]
pub fn left_out(case: &str, layer: &[u8], absent: &str) {
    let canary = Canary::new();
    inside_of(&canary, case, layer, &[]);
    let found = fs::symlink_metadata(canary.layer().join(absent));
    assert!(found.is_err(), "{case}: {absent} is in the layer");
}
