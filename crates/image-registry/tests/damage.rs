//! Metadata of which bytes are changed or missing, in any of its files: the registry does not open and says what to do, or
//! it answers as it did.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outport_image_registry::{
    Digest, ImageSelector, ImageTag, Limits, NewRepository, PutImage, Registry, RegistryError,
    RepositoryName, TagMutability, TagStatus,
};
use outport_model::clock::{Reading, StepWatch};
use outport_model::{AccountId, Region, Scope, Tags};

const DATABASE: &str = "registry.sqlite";
const LOG: &str = "registry.sqlite-wal";
const COUNT: &str = "registry.acknowledged";
const FILES: [&str; 3] = [DATABASE, LOG, COUNT];
/// Of each file; the first bytes, where formats keep what they are, are all tried.
const FLIPS: usize = 100;
const CUTS: usize = 12;
const HEAD_BYTES: usize = 100;

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
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn name(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn tag(tag: &str) -> ImageTag {
    tag.parse().unwrap()
}

fn open(directory: &Path) -> Result<Arc<Registry>, RegistryError> {
    Registry::open(directory, Limits::default())
}

fn create(registry: &Registry, repository: &str) {
    let new = NewRepository {
        name: name(repository),
        tag_mutability: TagMutability::Mutable,
        scan_on_push: false,
        tags: Tags::from([("team".to_owned(), repository.to_owned())]),
    };
    registry.create_repository(&scope(), &new, 1_000).unwrap();
}

fn push(registry: &Arc<Registry>, repository: &str, text: &str, tags: &[&str]) {
    let digest: Digest = push_blob(registry, repository, text.as_bytes());
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
        text.len()
    );
    for name_of_it in tags {
        let tag = tag(name_of_it);
        let put =
            PutImage { body: body.as_bytes(), media_type: None, tag: Some(&tag), digest: None };
        registry.put_image(&scope(), &name(repository), &put, 2_000).unwrap();
    }
}

fn push_blob(registry: &Arc<Registry>, repository: &str, bytes: &[u8]) -> Digest {
    let mut upload = registry.take_upload(&scope(), &name(repository)).unwrap();
    upload.append(bytes).unwrap();
    let digest = upload.digest(outport_image_registry::Algorithm::Sha256).unwrap();
    upload.finish(&digest, 1_500).unwrap();
    digest
}

/// All that is read of a registry, in words.
fn contents(registry: &Registry) -> Result<Vec<String>, RegistryError> {
    let mut said = Vec::new();
    for repository in registry.repositories(&scope(), None, 100)? {
        said.push(format!("{repository:?}"));
        let images = registry.list_images(&scope(), &repository.name, TagStatus::Any, None, 100)?;
        for listed in images {
            let digest = ImageSelector::Digest(listed.digest.clone());
            said.push(format!("{listed:?}"));
            said.push(format!("{:?}", registry.image(&scope(), &repository.name, &digest)?));
            let detail = registry.describe_image(&scope(), &repository.name, &digest)?;
            said.push(format!("{detail:?}"));
            if let Some(tag) = listed.tag {
                let tagged =
                    registry.image(&scope(), &repository.name, &ImageSelector::Tag(tag))?;
                assert_eq!(tagged.digest, listed.digest);
            }
        }
    }
    Ok(said)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The directory of a registry, after a clean close or as a `kill -9` leaves it, and what was acknowledged.
fn registry(killed: bool) -> (tempfile::TempDir, Vec<String>) {
    let (live, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = open(live.path()).unwrap();
    (0..6).for_each(|number| create(&registry, &format!("first-{number}")));
    push(&registry, "first-1", "one", &["a", "b"]);
    push(&registry, "first-2", "two", &["c"]);
    drop(registry);
    // Half of it is in the file itself, the rest in its log alone.
    let registry = open(live.path()).unwrap();
    (0..6).for_each(|number| create(&registry, &format!("second-{number}")));
    push(&registry, "first-1", "three", &["a", "d"]);
    registry.delete_repository(&scope(), &name("first-0"), true).unwrap();
    registry.delete_tag(&scope(), &name("first-2"), &tag("c")).unwrap();
    let said = contents(&registry).unwrap();
    if !killed {
        drop(registry);
        copy(live.path(), files.path());
        return (files, said);
    }
    copy(live.path(), files.path());
    (files, said)
}

/// Opens a copy with one file damaged; whether that was noticed.
#[track_caller]
fn check(files: &Path, expected: &[String], name: &str, damage: &Damage) -> bool {
    let copied = tempfile::tempdir().unwrap();
    copy(files, copied.path());
    let path: PathBuf = copied.path().join(name);
    damage.apply(&path);
    let before = (fs::read(copied.path().join(DATABASE)), fs::read(copied.path().join(LOG)));
    match open(copied.path()) {
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "one line: {text}");
            let directory = copied.path().display().to_string();
            assert!(text.contains(&directory), "{name} {damage:?}: where: {text}");
            assert!(
                ["restore", "start the version"].iter().any(|what| text.contains(what)),
                "{name} {damage:?}: what to do: {text}"
            );
            let after = (fs::read(copied.path().join(DATABASE)), fs::read(copied.path().join(LOG)));
            let same = |a: &std::io::Result<Vec<u8>>, b: &std::io::Result<Vec<u8>>| {
                a.as_ref().ok().filter(|bytes| !bytes.is_empty())
                    == b.as_ref().ok().filter(|bytes| !bytes.is_empty())
            };
            assert!(same(&before.0, &after.0), "{name} {damage:?}: the file was changed");
            assert!(same(&before.1, &after.1), "{name} {damage:?}: its log was changed");
            true
        }
        Ok(registry) => {
            let said = contents(&registry).unwrap();
            assert_eq!(said, expected, "{name} {damage:?}");
            if !matches!(damage, Damage::Flipped(_)) {
                // It goes on, too.
                create(&registry, "afterwards");
            }
            false
        }
    }
}

fn try_all(killed: bool, is_lossy: impl Fn(&str) -> bool) {
    let (files, expected) = registry(killed);
    for name in FILES {
        let bytes = fs::metadata(files.path().join(name)).unwrap().len() as usize;
        let mut noticed = 0;
        for damage in Damage::all(bytes) {
            let is_seen = check(files.path(), &expected, name, &damage);
            assert!(!is_seen || !matches!(damage, Damage::Nothing), "{name} as it was");
            if is_lossy(name) && matches!(damage, Damage::Removed | Damage::CutAt(0)) {
                assert!(is_seen, "{name} {damage:?}");
            }
            noticed += usize::from(is_seen);
        }
        assert_eq!(noticed > 0, is_lossy(name), "{name}: {noticed}");
    }
}

#[test]
fn after_a_kill_nothing_that_is_damaged_is_taken_for_what_was_acknowledged() {
    // The count is a second opinion: without it the first one stands.
    try_all(true, |name| name != COUNT);
}

#[test]
fn after_a_clean_close_nothing_that_is_damaged_is_taken_for_what_was_acknowledged() {
    // All of the log is in the file.
    try_all(false, |name| name == DATABASE);
}

#[test]
fn without_the_count_what_is_left_can_be_gone_on_with() {
    let (files, expected) = registry(true);
    fs::remove_file(files.path().join(LOG)).unwrap();
    let refused = open(files.path()).map(drop).unwrap_err().to_string();
    let count = files.path().join(COUNT);
    assert!(refused.contains(&format!("or remove {}", count.display())), "{refused}");
    assert!(refused.contains("registry.sqlite-wal"), "{refused}");
    fs::remove_file(count).unwrap();
    let said = contents(&open(files.path()).unwrap()).unwrap();
    assert!(!said.is_empty() && said != expected);
}

#[test]
fn blobs_without_any_metadata_are_not_taken_for_leftovers() {
    let (files, _) = registry(true);
    for name in FILES {
        fs::remove_file(files.path().join(name)).unwrap();
    }
    let refused = open(files.path()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("registry.sqlite is damaged: the file is gone"), "{refused}");
}

/// Of a registry that was killed before anything of its log came into the file, the tables too are in the log alone.
#[test]
fn a_log_that_had_everything_is_missed() {
    let (live, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = open(live.path()).unwrap();
    create(&registry, "app");
    copy(live.path(), killed.path());
    fs::remove_file(killed.path().join(LOG)).unwrap();
    let refused = open(killed.path()).map(drop).unwrap_err().to_string();
    let what = "all that was in it is missing, as if registry.sqlite-wal had been removed";
    assert!(refused.contains(what), "{refused}");
}

/// What takes the tables back to version 1, in which they were the same but for what version 3 added.
const TO_VERSION_1: &str = "
    DROP TABLE row_total;
    DROP TABLE lifecycle_preview;
    DROP TABLE registry_setting;
    DROP INDEX repository_with_lifecycle_policy;
    ALTER TABLE repository DROP COLUMN policy;
    ALTER TABLE repository DROP COLUMN lifecycle_policy;
    ALTER TABLE repository DROP COLUMN lifecycle_evaluated_at_ms;
    PRAGMA user_version = 1";

/// Version 1 had no totals, and no count.
#[test]
fn metadata_of_version_1_is_taken_and_watched_from_then_on() {
    let (files, expected) = registry(true);
    let database = rusqlite::Connection::open(files.path().join(DATABASE)).unwrap();
    database.execute_batch(TO_VERSION_1).unwrap();
    drop(database);
    fs::remove_file(files.path().join(COUNT)).unwrap();
    let opened = open(files.path()).unwrap();
    assert_eq!(contents(&opened).unwrap(), expected);
    create(&opened, "zzz-afterwards");
    let killed = tempfile::tempdir().unwrap();
    copy(files.path(), killed.path());
    assert_eq!(contents(&open(killed.path()).unwrap()).unwrap().len(), expected.len() + 1);
    copy(files.path(), killed.path());
    fs::remove_file(killed.path().join(LOG)).unwrap();
    assert!(open(killed.path()).is_err());
}

/// A `kill -9` between a commit and the count of it, and a power loss that took more counts.
#[test]
fn a_count_that_is_behind_is_no_damage() {
    let live = tempfile::tempdir().unwrap();
    let registry = open(live.path()).unwrap();
    let mut counts = vec![fs::read(live.path().join(COUNT)).unwrap()];
    for number in 0..3 {
        create(&registry, &format!("app-{number}"));
        counts.push(fs::read(live.path().join(COUNT)).unwrap());
    }
    // What changes nothing writes nothing.
    let mut steps = StepWatch::new(Reading { wall_ms: 0, steady_ms: 0 });
    let now = steps.look(Reading { wall_ms: 1, steady_ms: 1 });
    let log = fs::read(live.path().join(LOG)).unwrap();
    registry.collect_garbage(&now).unwrap();
    assert!(fs::read(live.path().join(LOG)).unwrap() == log);
    for count in counts {
        let killed = tempfile::tempdir().unwrap();
        copy(live.path(), killed.path());
        fs::write(killed.path().join(COUNT), count).unwrap();
        assert_eq!(contents(&open(killed.path()).unwrap()).unwrap().len(), 3);
    }
}
