//! Files of which bytes are changed or missing: the store does not open, or a read is refused, each with what to do; or it
//! answers as it did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::crashes::copy_directory;
use super::rig::{NOW, Rig, group, messages_of, scope, ship, stream, try_open};
use crate::{GroupQuery, LogStore, LogStoreError, NewLogGroup, StreamQuery};

/// Of each file; the first bytes, where formats keep what they are, are all tried.
const FLIPS: usize = 40;
const CUTS: usize = 8;
const HEAD_BYTES: usize = 32;
/// Sealed when it is full; nothing fills it by itself.
const SEAL_BYTES: u64 = 1 << 20;

/// What is done to a file.
#[derive(Debug)]
enum Damage {
    Nothing,
    Removed,
    CutAt(usize),
    Flipped(usize),
}

impl Damage {
    /// Everything that is tried on a file of so many bytes.
    fn all(bytes: usize) -> Vec<Self> {
        let cuts = (0..bytes).step_by((bytes / CUTS).max(1)).map(Self::CutAt);
        // Every bit of a byte has its turn.
        let head = (0..HEAD_BYTES.min(bytes)).map(|byte| byte * 8 + byte % 8);
        let step = (bytes * 8 / FLIPS).max(1);
        let rest = (0..bytes * 8).step_by(step).map(|bit| bit - bit % 8 + bit / step % 8);
        let flips = head.chain(rest).map(Self::Flipped);
        [Self::Nothing, Self::Removed].into_iter().chain(cuts).chain(flips).collect()
    }

    fn apply(&self, path: &Path) {
        match *self {
            Self::Nothing => {}
            Self::Removed => fs::remove_file(path).unwrap(),
            Self::CutAt(length) => {
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_len(length as u64).unwrap();
            }
            Self::Flipped(bit) => {
                let mut bytes = fs::read(path).unwrap();
                bytes[bit / 8] ^= 1 << (bit % 8);
                fs::write(path, bytes).unwrap();
            }
        }
    }

    fn takes_all(&self) -> bool {
        matches!(self, Self::Removed | Self::CutAt(0))
    }
}

/// All that is read of a store, in words.
fn contents(store: &LogStore) -> Result<Vec<String>, LogStoreError> {
    let mut said = Vec::new();
    for found in store.describe_groups(&scope(), &GroupQuery::default(), 50)?.groups {
        said.push(format!("{found:?}"));
        let every = StreamQuery::default();
        let streams = store.describe_streams(&scope(), &found.name, &every, 50)?.streams;
        said.extend(streams.iter().map(|found| format!("{found:?}")));
    }
    for name in ["a", "b"] {
        said.extend(messages_of(store, name)?);
    }
    said.push(format!("{}", ship(store, 0, 10)?));
    Ok(said)
}

struct Files {
    directory: tempfile::TempDir,
    expected: Vec<String>,
}

impl Files {
    /// As a store leaves them after a clean close, or as a `kill -9` does: a segment, two full journals that could not be
    /// sealed yet, and one that grows; of the catalog, half is in its log alone.
    fn of(killed: bool) -> Self {
        let (live, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sealing = Rig::open(live.path(), 1).with_streams();
        sealing.ship(0, 60).unwrap();
        sealing.put("b", &[(NOW, "in b")]);
        drop(sealing);
        let rig = Rig::open(live.path(), SEAL_BYTES);
        // Where no segment can be written, full journals wait.
        let (segments, away) = (live.path().join("segments"), live.path().join("away"));
        fs::rename(&segments, &away).unwrap();
        for number in 0..3 {
            let name = group(&format!("later-{number}"));
            rig.store.create_group(&scope(), NewLogGroup::named(name)).unwrap();
            for line in 0..2 {
                rig.put("b", &[(NOW + 2 * number + line, "more in b")]);
                let cursor = 60 + 20 * (2 * number + line) as u64;
                rig.ship(cursor, cursor + 20).unwrap();
            }
            if number < 2 {
                rig.store.commit.rotate_if_used(|number| rig.store.create_journal(number)).unwrap();
            }
        }
        rig.store.delete_group(&scope(), &group("later-1")).unwrap();
        fs::rename(&away, &segments).unwrap();
        let keeps = killed.then(|| rig.store.clone());
        drop(rig);
        copy_directory(live.path(), directory.path());
        drop(keeps);
        let mut files = Self { directory, expected: Vec::new() };
        files.expected = contents(&try_open(files.copied().path(), SEAL_BYTES).unwrap()).unwrap();
        files
    }

    /// Their paths below the directory.
    fn names(&self) -> Vec<PathBuf> {
        let whole = bytes_below(self.directory.path());
        let names = whole.keys().map(|path| path.strip_prefix(self.directory.path()).unwrap());
        names.map(Path::to_owned).collect()
    }

    fn copied(&self) -> tempfile::TempDir {
        let copied = tempfile::tempdir().unwrap();
        copy_directory(self.directory.path(), copied.path());
        copied
    }

    /// Damages one file of a copy; whether that was noticed.
    #[track_caller]
    fn check(&self, name: &Path, damage: &Damage) -> bool {
        let copied = self.copied();
        damage.apply(&copied.path().join(name));
        self.check_directory(copied.path(), &format!("{} {damage:?}", name.display()))
    }

    #[track_caller]
    fn check_directory(&self, directory: &Path, what: &str) -> bool {
        let before = bytes_below(directory);
        let opened = try_open(directory, SEAL_BYTES);
        if let Err(error) = &opened {
            says_what_to_do(error, directory, what);
            let after = bytes_below(directory);
            // A catalog that is whole takes in its own log when it is closed.
            let is_kept = |path: &&PathBuf| {
                let of_catalog =
                    path.file_name().unwrap().to_str().unwrap().starts_with("catalog.");
                !of_catalog || error.to_string().contains("catalog.sqlite is damaged")
            };
            for path in before.keys().filter(is_kept) {
                assert!(before.get(path) == after.get(path), "{what}: {path:?} changed: {error}");
            }
            return true;
        }
        match contents(&opened.unwrap()) {
            Err(error) => {
                says_what_to_do(&error, directory, what);
                true
            }
            Ok(said) => {
                assert_eq!(said, self.expected, "{what}");
                false
            }
        }
    }
}

#[track_caller]
fn says_what_to_do(error: &LogStoreError, directory: &Path, what: &str) {
    let text = error.to_string();
    assert!(error.is_fault() && !text.contains('\n'), "{what}: {text}");
    assert!(text.contains(&directory.display().to_string()), "{what}: where: {text}");
    assert!(
        ["restore", "start the version"].iter().any(|todo| text.contains(todo)),
        "{what}: what to do: {text}"
    );
}

/// Of each file in which there is something.
fn bytes_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_below(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found.retain(|_, bytes| !bytes.is_empty());
    found
}

fn try_all(killed: bool, is_lossy: impl Fn(&str) -> bool) {
    let files = Files::of(killed);
    let names = files.names();
    let journals = names.iter().filter(|name| name.starts_with("journals")).count();
    assert_eq!(journals, 3, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("segments")), "{names:?}");
    for name in names {
        let is_lossy = is_lossy(name.to_str().unwrap());
        let bytes = fs::metadata(files.directory.path().join(&name)).unwrap().len() as usize;
        let mut noticed = 0;
        for damage in Damage::all(bytes) {
            let is_seen = files.check(&name, &damage);
            assert!(!is_seen || !matches!(damage, Damage::Nothing), "{name:?} as it was");
            assert!(is_seen || !is_lossy || !damage.takes_all(), "{name:?} {damage:?}");
            noticed += usize::from(is_seen);
        }
        assert_eq!(noticed > 0, is_lossy, "{name:?}: {noticed}");
    }
}

#[test]
fn after_a_kill_nothing_that_is_damaged_is_taken_for_what_was_acknowledged() {
    // The counts are a second opinion: without one the first one stands.
    try_all(true, |name| !name.ends_with(".acknowledged"));
}

#[test]
fn after_a_clean_close_nothing_that_is_damaged_is_taken_for_what_was_acknowledged() {
    try_all(false, |name| !name.ends_with(".acknowledged") && !name.ends_with("-wal"));
}

#[test]
fn directories_that_are_gone_are_missed() {
    let files = Files::of(true);
    for name in ["journals", "segments"] {
        let copied = files.copied();
        fs::remove_dir_all(copied.path().join(name)).unwrap();
        assert!(files.check_directory(copied.path(), name));
    }
    // Events, and no word of what they were of: the segments would be taken for leftovers, and removed.
    let copied = files.copied();
    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.acknowledged"] {
        fs::remove_file(copied.path().join(name)).unwrap();
    }
    assert!(files.check_directory(copied.path(), "the whole catalog"));
}

/// What the errors say that can be done works.
#[test]
fn what_is_left_can_be_gone_on_with() {
    let files = Files::of(true);
    for name in files.names().iter().filter(|name| name.starts_with("journals")) {
        let copied = files.copied();
        let damaged = copied.path().join(name);
        Damage::Flipped(8 * 40).apply(&damaged);
        let refused = try_open(copied.path(), SEAL_BYTES).map(drop).unwrap_err().to_string();
        let count = copied.path().join("journals.acknowledged");
        assert!(refused.contains(&count.display().to_string()), "{refused}");
        fs::remove_file(damaged).unwrap();
        fs::remove_file(count).unwrap();
        let store = try_open(copied.path(), SEAL_BYTES).unwrap();
        let left = messages_of(&store, "b").unwrap();
        assert_eq!(left.len(), 5, "{name:?}: {left:?}");
        ship(&store, 0, 10).unwrap();
    }
    let copied = files.copied();
    fs::remove_file(copied.path().join("catalog.sqlite-wal")).unwrap();
    let refused = try_open(copied.path(), SEAL_BYTES).map(drop).unwrap_err().to_string();
    let count = copied.path().join("catalog.acknowledged");
    assert!(refused.contains(&format!("or remove {}", count.display())), "{refused}");
    fs::remove_file(count).unwrap();
    let store = try_open(copied.path(), SEAL_BYTES).unwrap();
    assert!(store.group(&scope(), &group("later-0")).is_err());
    assert_eq!(messages_of(&store, "b").unwrap().len(), 7);
}

/// Version 1 had no totals, and no counts.
#[test]
fn a_store_of_version_1_is_taken_and_watched_from_then_on() {
    let files = Files::of(true);
    let directory = files.directory.path();
    let database = rusqlite::Connection::open(directory.join("catalog.sqlite")).unwrap();
    database.execute_batch("DROP TABLE row_total; PRAGMA user_version = 1").unwrap();
    drop(database);
    for name in ["catalog.acknowledged", "journals.acknowledged"] {
        fs::remove_file(directory.join(name)).unwrap();
    }
    let store = try_open(directory, SEAL_BYTES).unwrap();
    assert_eq!(contents(&store).unwrap(), files.expected);
    let name = stream("later");
    store.create_stream(&scope(), &group("g"), &name).unwrap();
    let killed = files.copied();
    assert!(try_open(killed.path(), SEAL_BYTES).unwrap().group(&scope(), &group("g")).is_ok());
    ship(&store, 180, 190).unwrap();
    let journals = files.names().into_iter().filter(|name| name.starts_with("journals"));
    for lost in journals.chain([PathBuf::from("catalog.sqlite-wal")]) {
        let killed = files.copied();
        fs::remove_file(killed.path().join(&lost)).unwrap();
        assert!(try_open(killed.path(), SEAL_BYTES).is_err(), "{lost:?}");
    }
}
