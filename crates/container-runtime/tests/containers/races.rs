//! What runs beside a container while it is made: another container of its task, with a volume or the
//! network in common.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use outport_container_runtime::{BindMount, Namespace, RuntimeError};

use crate::host::{Host, TASK, ended};

/// How often a container is made under attack.
const ROUNDS: usize = 12;

fn bind(source: PathBuf, target: &str, readonly: bool) -> BindMount {
    BindMount { source, target: target.to_owned(), readonly }
}

/// CVE-2021-30465: the way to a mount point lies in a volume, where another container swaps it for a
/// link while the mount is made.
#[test]
fn a_mount_point_is_swapped_for_a_link() {
    let host = Host::that_gives_power();
    let base = host.layer.parent().unwrap();
    let (volume, source, canary) = (base.join("volume"), base.join("source"), base.join("canary"));
    for directory in [&volume, &source, &canary, &volume.join("at")] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(source.join("mark"), "").unwrap();
    // Once it leads to a place of the host's, were it followed there; once to one of the container's.
    symlink(&canary, volume.join("link")).unwrap();
    fs::create_dir(host.layer.join("elsewhere")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let (one, other) = (volume.join("at"), volume.join("link"));
                renameat2(AT_FDCWD, &one, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let end = Ending(&over);
        let mut made = 0;
        for _ in 0..ROUNDS {
            let mut spec = host.spec(&["sleep", "1000"]);
            spec.bind_mounts = vec![
                bind(volume.clone(), "/volume", false),
                bind(source.clone(), "/volume/at", true),
            ];
            match host.runtime.create(TASK, "race", spec) {
                Err(RuntimeError::Start(_)) => continue,
                Err(other) => panic!("{other}"),
                Ok(shim) => {
                    made += 1;
                    // Wherever it came to lie, it may not be written.
                    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", shim.pid()));
                    let mounts = mounts.unwrap();
                    let of_source: Vec<&str> = mounts
                        .lines()
                        .filter(|line| line.split(' ').nth(3).unwrap().ends_with("/source"))
                        .collect();
                    assert_eq!(of_source.len(), 1, "{mounts}");
                    assert!(of_source[0].split(' ').nth(5).unwrap().starts_with("ro"), "{mounts}");
                    shim.kill().unwrap();
                    ended(&shim);
                    host.remove("race");
                }
            }
        }
        drop(end);
        assert!(made > 0, "not every container is refused");
    });
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("canary") && !mounts.contains("/volume"));
    host.check_nothing_left();
}

/// Ends the attack, also of a test that fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sockets without a path belong to the network: none of what makes a container is one.
#[test]
fn a_neighbour_in_the_network_sees_nothing_of_the_making() {
    let host = Host::new();
    let watch =
        "while :; do cat /proc/net/unix; test -e /tmp/enough && break; done | awk '!/^Num/'";
    let neighbour = host.start("neighbour", host.shell(watch));
    let network = PathBuf::from(format!("/proc/{}/ns/net", neighbour.pid()));
    for _ in 0..ROUNDS / 2 {
        let mut spec = host.spec(&["true"]);
        spec.namespaces.network = Namespace::Path(network.clone());
        let shim = host.start("second", spec);
        ended(&shim);
        host.remove("second");
    }
    fs::write(format!("/proc/{}/root/tmp/enough", neighbour.pid()), "").unwrap();
    assert_eq!(ended(&neighbour).exit_code, Some(0));
    assert_eq!(host.output("neighbour"), "");
}
