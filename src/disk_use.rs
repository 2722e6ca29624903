//! `outport disk`: what takes the space of a data directory, and what prunes each.
//!
//! **Invariant:** it reads names and sizes only, follows no link and enters no other file system. What containers and images
//! have filled may be as deep as the disk lets it: there is a limit, no recursion.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use outport_free_space::{FreeSpace, readable_bytes};
use outport_operator::{Shape, paragraph};
use serde::Serialize;

use crate::command_line::Disk;
use crate::data_dir;
use crate::output;

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// Levels of directories that are looked into.
const DEPTH_MAX: usize = 512;

/// Name, where it lies below the data directory, and what takes it away.
const KINDS: [(&str, &[&str], &str); 7] = [
    (
        "state",
        &["control"],
        "by itself: stopped tasks after an hour, finished deployments after 90 days. By hand: delete-task-definitions, delete-secret, \
         delete-parameter; at most --state-mib",
    ),
    (
        "logs",
        &["logs"],
        "retention of log groups (put-retention-policy, --log-retention-days) and delete-log-group, within ten minutes; at \
         most --logs-gib",
    ),
    (
        "registry",
        &["registry"],
        "ecr batch-delete-image, delete-repository; blobs that no image uses go a day later; at most --registry-gib",
    ),
    ("audit", &["audit"], "by itself: the oldest events, above --audit-mib"),
    (
        "node images",
        &["node/images"],
        "by itself: images that no task uses, longest unused first, above --images-gib or when the disk fills",
    ),
    (
        "tasks",
        &["node/tasks", "node/disks", "node/outputs"],
        "with the task: what its containers wrote and logged, and an hour later what those without a log driver printed, at \
         most 256 MiB of that; `outport cleanup` after a crash",
    ),
    ("other", &["."], "keys, certificates, settings: nothing"),
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Use {
    kind: &'static str,
    bytes: u64,
    pruned_by: &'static str,
}

/// Prints the table.
///
/// # Errors
/// When it is no data directory, or one that this user may not read.
pub fn run(options: &Disk) -> Result<()> {
    let directory = &options.data_dir.data_dir;
    if !data_dir::holds(directory, "format")? {
        bail!(
            "{} is not a data directory of outport: name the right one with --data-dir",
            directory.display()
        );
    }
    let space = FreeSpace::of(directory)
        .with_context(|| format!("cannot look at the disk of {}", directory.display()))?;
    let mut walk = Walk::default();
    let uses: Vec<Use> = KINDS.iter().map(|kind| walk.look(directory, kind)).collect();
    let text = match options.json {
        true => json(&uses, &space, walk.unread)?,
        false => text(Shape::of_stdout(false), directory, &uses, &space, walk.unread),
    };
    output::answer(&text).context("cannot print")
}

fn json(uses: &[Use], space: &FreeSpace, unread: u64) -> Result<String> {
    let answer = serde_json::json!({
        "uses": uses,
        "bytesFree": space.bytes_free,
        "bytesTotal": space.bytes_total,
        "entriesUnread": unread,
    });
    Ok(serde_json::to_string_pretty(&answer)? + "\n")
}

fn text(shape: Shape, directory: &Path, uses: &[Use], space: &FreeSpace, unread: u64) -> String {
    let total = uses.iter().map(|each| each.bytes).sum();
    let head = format!(
        "{} takes {}; its disk has {} of {} free",
        directory.display(),
        readable_bytes(total),
        readable_bytes(space.bytes_free),
        readable_bytes(space.bytes_total)
    );
    let mut text = paragraph(shape, "", &head);
    for Use { kind, bytes, pruned_by } in uses {
        let begin = format!("  {kind:<12} {:>9}  ", readable_bytes(*bytes));
        text += &paragraph(shape, &begin, pruned_by);
    }
    if unread > 0 {
        let last = format!("{unread} entries could not be looked at and are not counted");
        text += &paragraph(shape, "  ", &last);
    }
    text
}

/// Counts each file once, also one that has several names.
#[derive(Default)]
struct Walk {
    linked: HashSet<(u64, u64)>,
    unread: u64,
}

impl Walk {
    fn look(&mut self, directory: &Path, kind: &(&'static str, &[&str], &'static str)) -> Use {
        let (kind, below, pruned_by) = *kind;
        let others: Vec<PathBuf> = KINDS
            .iter()
            .filter(|(other, ..)| *other != kind)
            .flat_map(|(_, below, _)| below.iter().map(|name| directory.join(name)))
            .collect();
        let bytes = below.iter().map(|name| self.count(&directory.join(name), &others)).sum();
        Use { kind, bytes, pruned_by }
    }

    /// Blocks of everything below `top`, but for what is counted elsewhere.
    fn count(&mut self, top: &Path, others: &[PathBuf]) -> u64 {
        let Ok(found) = fs::symlink_metadata(top) else { return 0 };
        let (device, mut bytes) = (found.dev(), found.blocks() * BLOCK_BYTES);
        let mut waiting = vec![(top.to_owned(), 0)];
        while let Some((directory, depth)) = waiting.pop() {
            let Ok(entries) = fs::read_dir(&directory) else {
                self.unread += 1;
                continue;
            };
            for entry in entries {
                let entry =
                    entry.and_then(|entry| Ok((entry.path(), fs::symlink_metadata(entry.path())?)));
                let (path, found) = match entry {
                    Ok(found) => found,
                    // It was removed meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(_) => {
                        self.unread += 1;
                        continue;
                    }
                };
                if found.dev() != device || is_counted_elsewhere(&path, others) {
                    continue;
                }
                if found.nlink() < 2
                    || found.is_dir()
                    || self.linked.insert((found.dev(), found.ino()))
                {
                    bytes += found.blocks() * BLOCK_BYTES;
                }
                if found.is_dir() && depth < DEPTH_MAX {
                    waiting.push((path, depth + 1));
                } else if found.is_dir() {
                    self.unread += 1;
                }
            }
        }
        bytes
    }
}

fn is_counted_elsewhere(path: &Path, others: &[PathBuf]) -> bool {
    others.iter().any(|other| other == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_of_one_kind_and_counted_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let write = |name: &str, bytes: usize| {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), vec![1; bytes]).unwrap();
        };
        const KIB: usize = 1 << 10;
        write("control/journal.sqlite", 64 * KIB);
        write("logs/segments/1", 128 * KIB);
        write("registry/blobs/sha256/ab/abcd", 256 * KIB);
        write("audit/00000000000000000001.jsonl", 192 * KIB);
        write("node/images/layers/1/file", 512 * KIB);
        fs::hard_link(path.join("node/images/layers/1/file"), path.join("node/images/again"))
            .unwrap();
        write("node/tasks/1/c/app/log", 512 * KIB);
        write("node/outputs/1/app/1.log", 512 * KIB);
        write("root-key", 10);
        std::os::unix::fs::symlink("/", path.join("node/tasks/1/root")).unwrap();
        let mut walk = Walk::default();
        let found: Vec<u64> = KINDS.iter().map(|kind| walk.look(path, kind).bytes >> 10).collect();
        for (found, least) in found.iter().zip([64, 128, 256, 192, 512, 1024, 4]) {
            assert!((least..least + 64).contains(found), "{found} KiB, not about {least}");
        }
        assert_eq!(walk.unread, 0);
    }

    #[test]
    fn it_is_readable_on_any_terminal_and_named_as_other_answers() {
        let directory = tempfile::tempdir().unwrap();
        let space = FreeSpace::of(directory.path()).unwrap();
        let mut walk = Walk::default();
        let uses: Vec<Use> = KINDS.iter().map(|kind| walk.look(directory.path(), kind)).collect();
        for width in [40, 80] {
            let shape = Shape { width: Some(width), ..Shape::default() };
            let text = text(shape, Path::new("/d"), &uses, &space, 3);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(KINDS.iter().all(|(.., pruned_by)| words.contains(pruned_by)), "{text}");
        }
        let told: serde_json::Value =
            serde_json::from_str(&json(&uses, &space, 3).unwrap()).unwrap();
        assert_eq!(told["uses"][0]["prunedBy"], KINDS[0].2);
        assert!(told["bytesFree"].is_u64() && told["bytesTotal"].is_u64(), "{told}");
        assert_eq!(told["entriesUnread"], 3);
    }

    #[test]
    fn a_depth_without_end_has_one() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("node/tasks").join("a/".repeat(DEPTH_MAX + 20));
        fs::create_dir_all(deep).unwrap();
        let mut walk = Walk::default();
        walk.look(directory.path(), &KINDS[5]);
        assert_eq!(walk.unread, 1);
    }
}
