//! Containers on the disk of their task. Beside the other container tests, since it also needs loop devices
//! and mkfs.ext4.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]
#![allow(clippy::disallowed_methods, reason = "what a test makes is no secret")]

#[path = "containers/host.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod host;

use std::fs;
use std::path::Path;

use host::{Host, TASK, until};
use outport_container_runtime::{ContainerSpec, Disk};
use outport_task_disk::{TaskDisk, TaskDisks};

struct Bench {
    host: Host,
    disks: TaskDisks,
}

impl Bench {
    fn new() -> Self {
        let host = Host::new();
        let disks = TaskDisks::open(&host.settings.root_dir.join("disks"), 1).unwrap();
        Self { host, disks }
    }

    fn take(&self) -> TaskDisk {
        let task = self.host.settings.root_dir.join("tasks").join(TASK);
        fs::create_dir_all(&task).unwrap();
        self.disks.take(None, &task.join("disk.img")).unwrap()
    }

    fn shell(&self, disk: &TaskDisk, script: &str) -> ContainerSpec {
        let mut spec = self.host.shell(script);
        spec.disk = Some(Disk { device: disk.device().into(), image: disk.image().into() });
        spec
    }
}

fn is_attached(device: &Path) -> bool {
    let name = device.file_name().unwrap();
    Path::new("/sys/block").join(name).join("loop/backing_file").exists()
}

#[test]
fn a_container_is_full_at_the_size_of_its_disk() {
    let bench = Bench::new();
    let disk = bench.take();
    let script = "dd if=/dev/zero of=/fill bs=1M 2>/dev/shm/err; echo status $?; \
                  cat /dev/shm/err | head -n 1; stat -c %s /fill";
    let (record, output) = bench.host.run("full", bench.shell(&disk, script));
    assert_eq!(record.exit_code, Some(0));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "status 1");
    assert!(lines[1].contains("No space left on device"), "{output}");
    let bytes: u64 = lines[2].parse().unwrap();
    assert!((900 << 20..1 << 30).contains(&bytes), "{bytes}");
    assert!(disk.content().join("full/upper/fill").exists());
    bench.host.runtime.clear(TASK, "full").unwrap();
    bench.disks.give_back(disk, false).unwrap();
    assert_eq!(bench.host.output("full"), output, "the log stays");
    bench.host.remove("full");
    fs::remove_dir_all(bench.host.settings.root_dir.join("tasks").join(TASK)).unwrap();
    bench.host.check_nothing_left();
}

#[test]
fn containers_of_a_task_share_its_disk_and_keep_it_without_the_agent() {
    let bench = Bench::new();
    let disk = bench.take();
    let device = disk.device().to_owned();
    let script =
        |name: &str| format!("trap 'exit 0' TERM; echo {name} >/mine; while :; do sleep 1; done");
    let one = bench.host.start("one", bench.shell(&disk, &script("one")));
    let two = bench.host.start("two", bench.shell(&disk, &script("two")));
    until("both have written", || {
        ["one", "two"].iter().all(|name| {
            let file = disk.content().join(format!("{name}/upper/mine"));
            fs::read_to_string(file).is_ok_and(|text| text == format!("{name}\n"))
        })
    });
    // As when the agent is killed: the shims keep it mounted, and nobody else does.
    drop(disk);
    assert!(is_attached(&device));
    one.kill().unwrap();
    host::ended(&one);
    bench.host.remove("one");
    assert!(is_attached(&device), "the other container has it");
    two.kill().unwrap();
    host::ended(&two);
    bench.host.remove("two");
    until("the device is let go", || !is_attached(&device));
    fs::remove_dir_all(bench.host.settings.root_dir.join("tasks").join(TASK)).unwrap();
    bench.host.check_nothing_left();
}

#[test]
fn a_container_is_not_made_on_the_disk_of_another_task() {
    let bench = Bench::new();
    let (own, other) = (bench.take(), bench.disks.take(None, &bench.host.layer.join("other.img")));
    let other = other.unwrap();
    let mut spec = bench.shell(&own, "true");
    spec.disk = Some(Disk { device: other.device().into(), image: own.image().into() });
    let refused = bench.host.runtime.create(TASK, "stranger", spec).unwrap_err().to_string();
    assert!(refused.contains("is not the disk of this task"), "{refused}");
    fs::remove_dir_all(bench.host.settings.root_dir.join("tasks").join(TASK)).unwrap();
}
