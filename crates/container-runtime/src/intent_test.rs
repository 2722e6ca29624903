//! The intents of every version: a shim obeys what an agent before it has written, and an agent finds out of it what its
//! container holds. A file of `tests/golden` is never changed; a new form adds one.

use serde_json::{Value, json};

use crate::layout::INTENT_FILE;
use crate::record::{read_whole, write_whole};
use crate::runtime::Intent;
use crate::spec::{Namespace, Rootfs};

/// Before tasks had disks; before they had user namespaces; as it is written; and with a health check.
const FIRST: &str = include_str!("../tests/golden/intent.v1.first.json");
const WITH_DISK: &str = include_str!("../tests/golden/intent.v1.disk.json");
const NOW: &str = include_str!("../tests/golden/intent.v1.json");
const WITH_HEALTH_CHECK: &str = include_str!("../tests/golden/intent.v1.health.json");

fn read(text: &str) -> Option<Intent> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join(INTENT_FILE);
    std::fs::write(&path, text).unwrap();
    read_whole(&path).unwrap()
}

#[test]
fn every_version_is_read() {
    let check = |text: &str, has_disk: bool, first_id: Option<u32>, volumes: &[&str]| {
        let intent = read(text.trim_end()).expect("it is read");
        let spec = &intent.spec;
        assert_eq!((intent.version, spec.version), (1, 1));
        assert_eq!(spec.disk.is_some(), has_disk);
        assert_eq!(spec.user_namespace.as_ref().map(|user| user.first_id), first_id);
        assert_eq!(spec.volumes, volumes);
        assert!(matches!(&spec.rootfs, Rootfs::Layers(layers) if layers.len() == 2));
        assert!(matches!(spec.namespaces.network, Namespace::Path(_)));
        assert_eq!(spec.health_check.is_some(), text == WITH_HEALTH_CHECK);
        assert_eq!((spec.args.len(), spec.files.len(), spec.stop_signal), (3, 3, 15));
    };
    check(FIRST, false, None, &[]);
    check(WITH_DISK, true, None, &[]);
    for text in [NOW, WITH_HEALTH_CHECK] {
        check(text, true, Some(2_000_224_256), &["/data"]);
    }
}

#[test]
fn what_is_written_is_what_was_written() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join(INTENT_FILE);
    for text in [FIRST, WITH_DISK, NOW, WITH_HEALTH_CHECK] {
        let intent = read(text.trim_end()).unwrap();
        assert_eq!(serde_json::to_string(&intent).unwrap(), text.trim_end());
        write_whole(&path, &intent).unwrap();
        assert_eq!(read_whole::<Intent>(&path).unwrap(), Some(intent));
    }
}

#[test]
fn fields_of_the_future_are_passed_over_and_damage_is_seen() {
    let mut value: Value = serde_json::from_str(NOW).unwrap();
    value["of_the_future"] = json!([1]);
    value["spec"]["secrets"] = json!({ "from": "elsewhere" });
    assert_eq!(read(&value.to_string()), read(NOW.trim_end()));
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join(INTENT_FILE);
    let intent = read(NOW.trim_end()).unwrap();
    write_whole(&path, &intent).unwrap();
    let good = std::fs::read(&path).unwrap();
    // Every bit of a byte has its turn.
    for bit in (0..good.len() * 8).step_by(7) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        let read = read_whole::<Intent>(&path).unwrap();
        assert!(read.is_none_or(|read| read == intent), "bit {bit}");
    }
}
