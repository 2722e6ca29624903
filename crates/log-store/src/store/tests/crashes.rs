//! Stops at every point, torn ends and flipped bits.

use std::fs;
use std::path::{Path, PathBuf};

use super::rig::{NOW, Rig, lines, messages_of, ship, try_open};
use crate::LogStoreError;

pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn only_file(directory: PathBuf, extension: &str) -> PathBuf {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn journal_of(directory: &Path) -> PathBuf {
    only_file(directory.join("journals"), "journal")
}

/// What a store had written of its journal at some time.
struct Written {
    journal_bytes: u64,
    /// The file that says how much was acknowledged.
    acknowledged: Vec<u8>,
}

const ACKNOWLEDGED: &str = "journals.acknowledged";

/// A store that was killed after three shipments, and what it had written after each.
fn killed_store(directory: &Path) -> Vec<Written> {
    let live = directory.join("live");
    let rig = Rig::open(&live, 1 << 20).with_streams();
    let written = || Written {
        journal_bytes: fs::metadata(journal_of(&live)).unwrap().len(),
        acknowledged: fs::read(live.join(ACKNOWLEDGED)).unwrap(),
    };
    let mut stages = vec![written()];
    for to in [30, 60, 90] {
        rig.ship(to - 30, to).unwrap();
        stages.push(written());
    }
    copy_directory(&live, &directory.join("killed"));
    stages
}

#[test]
fn a_torn_end_is_cut_and_shipping_goes_on_without_loss_or_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let stages = killed_store(directory.path());
    let killed = directory.path().join("killed");
    let whole = fs::read(journal_of(&killed)).unwrap();
    for cut in 0..=whole.len() {
        let reached = |stage: &&Written| stage.journal_bytes <= cut as u64;
        let committed = stages.iter().filter(reached).count().saturating_sub(1);
        if let Some(next) = stages.get(committed + 1) {
            // Had somebody been told of the rest, it would be a loss.
            fs::write(journal_of(&killed), &whole[..cut]).unwrap();
            fs::write(killed.join(ACKNOWLEDGED), &next.acknowledged).unwrap();
            let refused = try_open(&killed, 1 << 20).map(drop).unwrap_err();
            assert!(matches!(refused, LogStoreError::Damaged { .. }), "cut at {cut}: {refused}");
        }
        fs::write(journal_of(&killed), &whole[..cut]).unwrap();
        // Killed before or after it was written that the last whole frame is there.
        let told = &stages[committed.saturating_sub(cut % 2)];
        fs::write(killed.join(ACKNOWLEDGED), &told.acknowledged).unwrap();
        let store = try_open(&killed, 1 << 20).unwrap();
        assert_eq!(messages_of(&store, "a").unwrap(), lines(committed as u64 * 30), "cut at {cut}");
        if cut % 10 == 0 {
            let (from, to) = (committed as u64 * 30, 100);
            assert_eq!(ship(&store, from, to).unwrap(), to);
            assert_eq!(messages_of(&store, "a").unwrap(), lines(to));
        }
    }
}

#[test]
fn a_torn_end_of_any_bytes_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let stages = killed_store(directory.path());
    let killed = directory.path().join("killed");
    let whole = fs::read(journal_of(&killed)).unwrap();
    for garbage in [vec![0; 4096], vec![0xff; 33], whole[24..90].to_vec()] {
        let torn = [whole.as_slice(), &garbage].concat();
        fs::write(journal_of(&killed), torn).unwrap();
        fs::write(killed.join(ACKNOWLEDGED), &stages[3].acknowledged).unwrap();
        let store = try_open(&killed, 1 << 20).unwrap();
        assert_eq!(messages_of(&store, "a").unwrap(), lines(90));
    }
}

#[test]
fn a_flipped_bit_in_a_journal_is_found() {
    let directory = tempfile::tempdir().unwrap();
    killed_store(directory.path());
    let killed = directory.path().join("killed");
    let whole = fs::read(journal_of(&killed)).unwrap();
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(journal_of(&killed), flipped).unwrap();
        let opened = try_open(&killed, 1 << 20);
        assert!(
            matches!(opened, Err(LogStoreError::Damaged { .. })),
            "a flip at {position} was not found"
        );
    }
}

#[test]
fn after_a_clean_stop_a_flip_in_the_last_frame_is_found_too() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    rig.ship(0, 30).unwrap();
    let end = fs::metadata(journal_of(directory.path())).unwrap().len() as usize;
    drop(rig);
    let whole = fs::read(journal_of(directory.path())).unwrap();
    for position in 0..end {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        fs::write(journal_of(directory.path()), flipped).unwrap();
        let opened = try_open(directory.path(), 1 << 20);
        assert!(matches!(opened, Err(LogStoreError::Damaged { .. })), "flip at {position}");
    }
}

#[test]
fn a_flipped_bit_in_a_segment_is_found_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1).with_streams();
    rig.ship(0, 300).unwrap();
    let path = only_file(directory.path().join("segments"), "segment");
    let whole = fs::read(&path).unwrap();
    // The file header is not read: blocks are found through the catalog.
    for position in 16..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        match messages_of(&rig.store, "a") {
            Err(error) => assert!(matches!(error, LogStoreError::Damaged { .. }), "{error}"),
            Ok(messages) => assert_eq!(messages, lines(300), "flip at {position}"),
        }
    }
}

/// Flips bits all over the catalog: it does not open, or a read fails, or the answer is right.
#[test]
fn a_flipped_bit_in_the_catalog_never_changes_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live");
    let rig = Rig::open(&live, 1).with_streams();
    rig.ship(0, 60).unwrap();
    rig.put("b", &[(NOW, "in b")]);
    drop(rig);
    let path = live.join("catalog.sqlite");
    let whole = fs::read(&path).unwrap();
    let (mut found, mut harmless) = (0, 0);
    for position in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        let trial = directory.path().join("trial");
        copy_directory(&live, &trial);
        fs::write(trial.join("catalog.sqlite"), flipped).unwrap();
        let read = try_open(&trial, 1).and_then(|store| {
            Ok((messages_of(&store, "a")?, messages_of(&store, "b")?, ship(&store, 60, 60)?))
        });
        match read {
            Err(error) if error.is_fault() => found += 1,
            Err(error) => panic!("flip at {position}: {error}"),
            Ok((a, b, cursor)) => {
                assert_eq!((a, b, cursor), (lines(60), vec!["in b".to_owned()], 60), "{position}");
                harmless += 1;
            }
        }
        fs::remove_dir_all(trial).unwrap();
    }
    assert!(found > 0 && harmless > 0);
}

/// Stops between the steps of sealing: each leaves the files of the step before.
#[test]
fn a_stop_while_sealing_loses_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before");
    {
        let rig = Rig::open(&before, 1 << 20).with_streams();
        rig.ship(0, 60).unwrap();
    }
    let after = directory.path().join("after");
    copy_directory(&before, &after);
    {
        let rig = Rig::open(&after, 1);
        rig.ship(60, 70).unwrap();
    }
    // A segment without a catalog that knows it.
    let stray = directory.path().join("stray");
    copy_directory(&before, &stray);
    copy_directory(&after.join("segments"), &stray.join("segments"));
    fs::write(stray.join("segments/0000000000000009.tmp"), "half").unwrap();
    let rig = Rig::open(&stray, 1 << 20);
    assert_eq!(rig.messages("a"), lines(60));
    assert_eq!(fs::read_dir(stray.join("segments")).unwrap().count(), 0);
    assert_eq!(rig.ship(30, 90).unwrap(), 90);
    assert_eq!(rig.messages("a"), lines(90));
    // A sealed journal that was not removed.
    copy_directory(&before.join("journals"), &after.join("journals"));
    let rig = Rig::open(&after, 1 << 20);
    assert_eq!(rig.messages("a"), lines(70));
    assert_eq!(rig.ship(0, 80).unwrap(), 80);
}
