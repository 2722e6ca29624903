#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use super::*;
use crate::{ArchiveWriter, Frozen};

const LONG: &str = "blobs/sha512/ab/abababababababababababababababababababababababababababababababababababababababababababababab\
                    abababababababababababababababababab";

fn head() -> Head {
    Head { outport_backup: FORMAT, version: "1".into(), instance: "0123abcd".into(), begun_at_s: 7 }
}

/// With a small file, one with a long name and one that does not fit into a buffer.
fn archive(head: &Head) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let large = scratch.path().join("large");
    fs::write(&large, (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let mut writer = ArchiveWriter::begin(Vec::new(), head).unwrap();
    writer.add_bytes(Path::new("format"), b"1\n").unwrap();
    writer.add("registry", &Frozen::unchanging(LONG, large, 1_200_000)).unwrap();
    writer.finish().unwrap().0
}

fn is_part(name: &str) -> bool {
    ["format", "registry"].contains(&name)
}

fn unpacked(archive: &[u8]) -> Result<BTreeMap<String, PartSum>, ArchiveError> {
    let scratch = tempfile::tempdir().unwrap();
    let sums = unpack(archive, scratch.path(), is_part)?;
    assert_eq!(fs::read(scratch.path().join("format")).unwrap(), b"1\n");
    assert_eq!(fs::read(scratch.path().join("registry").join(LONG)).unwrap().len(), 1_200_000);
    Ok(sums)
}

#[test]
fn what_is_written_is_unpacked() {
    let archive = archive(&head());
    assert_eq!(head_of(&*archive).unwrap(), head());
    let sums = unpacked(&archive).unwrap();
    assert_eq!(sums["registry"].files, 1);
    assert_eq!(sums["registry"].bytes, 1_200_000);
    assert_eq!(sums["format"].bytes, 2);
}

#[test]
fn what_is_cut_changed_or_longer_is_refused() {
    let archive = archive(&head());
    for length in (0..archive.len()).step_by(9_973).chain([archive.len() - 1]) {
        unpacked(&archive[..length]).unwrap_err();
    }
    for place in (0..archive.len()).step_by(10_007) {
        let mut changed = archive.clone();
        changed[place] ^= 4;
        unpacked(&changed).unwrap_err();
    }
    for text in [&b""[..], b"no archive at all", &[0; 5_000]] {
        let refused = head_of(text).unwrap_err();
        assert!(matches!(refused, ArchiveError::NotABackup(_)), "{refused}");
    }
}

#[test]
fn a_newer_one_is_refused_by_the_version_that_wrote_it() {
    let newer = archive(&Head { outport_backup: FORMAT + 1, version: "9.1".into(), ..head() });
    for refused in [head_of(&*newer).unwrap_err(), unpacked(&newer).unwrap_err()] {
        assert!(refused.to_string().contains("newer outport (9.1)"), "{refused}");
    }
}

/// An archive with these entries between head and end.
fn forged(write: impl Fn(&mut tar::Builder<zstd::Encoder<'static, Vec<u8>>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let add = |tar: &mut tar::Builder<_>, name: &str, text: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, text).unwrap();
    };
    add(&mut tar, HEAD, &serde_json::to_vec(&head()).unwrap());
    write(&mut tar);
    add(&mut tar, END, br#"{"parts":{}}"#);
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn nothing_is_made_outside_of_the_directory_and_nothing_but_files() {
    for name in ["../registry", "/registry", "registry/../../a", "other", "registry/\u{7f}/..", ""]
    {
        let refused = unpacked(&forged(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &b"x"[..]).unwrap();
        }));
        assert!(refused.unwrap_err().to_string().contains("does not belong"), "{name}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Char] {
        let refused = unpacked(&forged(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_path("registry/x").unwrap();
            header.set_link_name("/etc/passwd").unwrap();
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
        }));
        assert!(refused.unwrap_err().to_string().contains("is no file"), "{kind:?}");
    }
    let refused = unpacked(&forged(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(100_000);
        header.set_cksum();
        tar.append(&header, &[b'a'; 100_000][..]).unwrap();
    }));
    assert!(refused.unwrap_err().to_string().contains("too long"));
}
