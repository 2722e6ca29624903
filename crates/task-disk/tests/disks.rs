//! Real disks. Needs root, loop devices and mkfs.ext4.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use outport_task_disk::{DiskError, TaskDisk, TaskDisks, mount_on};

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    scratch: tempfile::TempDir,
    disks: TaskDisks,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let disks = TaskDisks::open(&scratch.path().join("disks"), 1).unwrap();
        Self { scratch, disks }
    }

    fn take(&self, task: &str) -> TaskDisk {
        self.disks.take(None, &self.image(task)).unwrap()
    }

    fn image(&self, task: &str) -> PathBuf {
        self.scratch.path().join(format!("{task}.img"))
    }
}

fn write_until_full(path: &Path) -> (usize, ErrorKind) {
    let mut file = File::create(path).unwrap();
    let bytes = vec![7_u8; 1 << 20];
    let mut mib = 0;
    loop {
        match file.write_all(&bytes) {
            Ok(()) => mib += 1,
            Err(error) => return (mib, error.kind()),
        }
    }
}

/// Devices that are on files below a directory; a removed file counts.
fn devices_of(directory: &Path) -> usize {
    let listed = fs::read_dir("/sys/block").unwrap().flatten();
    let backing =
        listed.filter_map(|block| fs::read_to_string(block.path().join("loop/backing_file")).ok());
    backing.filter(|file| file.starts_with(directory.to_str().unwrap())).count()
}

#[test]
fn a_disk_is_full_at_its_size_and_the_host_has_it_back() {
    let bench = Bench::new();
    let disk = bench.take("a");
    assert!(disk.host_bytes().unwrap() < 2 << 20, "an empty disk takes next to nothing");
    let (mib, kind) = write_until_full(&disk.content().join("file"));
    assert_eq!(kind, ErrorKind::StorageFull);
    assert!((900..1024).contains(&mib), "{mib} MiB of 1 GiB");
    assert!(disk.usage().unwrap().bytes > 900 << 20);
    fs::remove_file(disk.content().join("file")).unwrap();
    disk.trim().unwrap();
    assert!(disk.host_bytes().unwrap() < 40 << 20, "{:?}", disk.host_bytes());
    bench.disks.give_back(disk, false).unwrap();
    assert!(!bench.image("a").exists());
}

#[test]
fn a_disk_has_no_more_inodes_than_its_share() {
    let bench = Bench::new();
    let disk = bench.take("a");
    let content = disk.content();
    let mut made = 0;
    let error = loop {
        // In directories: each is listed by its own block.
        if made % 1000 == 0
            && let Err(error) = fs::create_dir(content.join((made / 1000).to_string()))
        {
            break error;
        }
        match File::create(content.join(format!("{}/{made}", made / 1000))) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!((60_000..66_000).contains(&made), "{made} files on 1 GiB");
}

#[test]
fn what_shims_mount_is_one_file_system_and_goes_with_its_last_user() {
    let bench = Bench::new();
    let disk = bench.take("a");
    fs::write(disk.content().join("from-agent"), "1").unwrap();
    let target = bench.scratch.path().join("mount");
    fs::create_dir(&target).unwrap();
    let content = mount_on(disk.device(), disk.image(), &target).unwrap();
    fs::write(content.join("from-shim"), "2").unwrap();
    assert_eq!(fs::read_to_string(content.join("from-agent")).unwrap(), "1");
    // The agent is killed; its successor finds the disk by its image.
    drop(disk);
    let again = bench.take("a");
    assert_eq!(fs::read_to_string(again.content().join("from-shim")).unwrap(), "2");
    drop(again);
    drop(bench.disks);
    assert!(Command::new("umount").arg(&target).status().unwrap().success());
    let begun = Instant::now();
    while devices_of(bench.scratch.path()) > 0 {
        assert!(begun.elapsed() < PATIENCE, "a device stays");
        std::thread::yield_now();
    }
}

#[test]
fn a_device_that_went_to_another_image_is_not_mounted() {
    let bench = Bench::new();
    let (a, b) = (bench.take("a"), bench.take("b"));
    let target = bench.scratch.path().join("mount");
    fs::create_dir(&target).unwrap();
    let refused = mount_on(a.device(), b.image(), &target).unwrap_err();
    assert!(matches!(refused, DiskError::Stranger { .. }), "{refused}");
}

#[test]
fn an_emptied_disk_serves_the_next_task() {
    let bench = Bench::new();
    let disk = bench.take("a");
    let device = disk.device().to_owned();
    fs::write(disk.content().join("file"), "secret").unwrap();
    assert!(bench.disks.is_kept(&disk));
    fs::remove_file(disk.content().join("file")).unwrap();
    bench.disks.give_back(disk, true).unwrap();
    let next = bench.take("b");
    assert_eq!(next.device(), device);
    assert_eq!(fs::read_dir(next.content()).unwrap().count(), 0);
    bench.disks.fill().unwrap();
    let other = bench.disks.take(Some(2), &bench.image("c")).unwrap();
    assert_ne!(other.device(), device);
    bench.disks.clear().unwrap();
    assert_eq!(fs::read_dir(bench.scratch.path().join("disks/ready")).unwrap().count(), 0);
}

/// As of a service whose definition asks for a size that no task had before.
#[test]
fn many_take_the_first_disks_of_a_size_at_once() {
    let bench = Bench::new();
    let disks = std::thread::scope(|scope| {
        let take = |number: usize| {
            let image = bench.image(&number.to_string());
            let bench = &bench;
            scope.spawn(move || bench.disks.take(Some(2), &image).unwrap())
        };
        let takers: Vec<_> = (0..300).map(take).collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
    });
    for disk in disks {
        bench.disks.give_back(disk, true).unwrap();
    }
}

#[test]
fn a_template_that_does_not_mount_is_made_anew() {
    let bench = Bench::new();
    let templates = bench.scratch.path().join("disks/templates");
    let take = || bench.disks.take(Some(2), &bench.image("a")).unwrap();
    bench.disks.give_back(take(), true).unwrap();
    let mut made = fs::read_dir(&templates).unwrap().flatten().map(|entry| entry.path());
    let template = made.find(|path| path.to_str().unwrap().contains("-2gib-")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&template).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0).unwrap();
    bench.disks.give_back(take(), true).unwrap();
}
