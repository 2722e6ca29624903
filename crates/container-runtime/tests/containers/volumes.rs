//! Paths that the image declares as volumes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use outport_container_runtime::TmpfsMount;

use crate::host::{Host, TASK};

const LOOK: &str = "stat -c '%a %u:%g' /data; cat /data/seed; echo x >/data/new && echo written; \
    stat -c '%a %u' /made/deep; echo x >/made/deep/f && echo made; \
    echo x >/var/link/f && test -f /srv/f && echo linked; \
    echo x >/data/inner/f && echo nested; \
    (echo x >/no) 2>/dev/null || echo closed";
const SEEN: &str = "700 1000:1001\nseed\nwritten\n755 0\nmade\nlinked\nnested\nclosed\n";

#[test]
fn a_volume_has_the_images_files_and_is_writable_below_a_read_only_root() {
    let host = Host::new();
    let data = host.layer.join("data");
    fs::create_dir_all(data.join("inner")).unwrap();
    fs::write(data.join("seed"), "seed\n").unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(1000), Some(1001)).unwrap();
    fs::create_dir_all(host.layer.join("var")).unwrap();
    fs::create_dir_all(host.layer.join("srv")).unwrap();
    symlink("/srv", host.layer.join("var/link")).unwrap();
    let mut spec = host.shell(LOOK);
    spec.readonly_rootfs = true;
    // Out of order, twice, with what is the kernel's.
    let volumes =
        ["/data/inner/", "/made/deep", "/var/link", "data", "/data", "/sys/fs/cgroup", "/dev/shm"];
    spec.volumes = volumes.map(str::to_owned).to_vec();
    let (record, output) = host.run("volumes", spec.clone());
    assert_eq!((record.exit_code, output.as_str()), (Some(0), SEEN));
    let container = host.settings.root_dir.join("tasks").join(TASK).join("c/volumes");
    assert!(container.join("upper/data/new").exists(), "it counts as the container's own");
    assert!(!data.join("new").exists(), "the image is not written to");
    host.remove("volumes");
    assert!(!container.exists());

    // Another container of the image begins with the image's files.
    spec.args[2] = "ls /data".to_owned();
    assert_eq!(host.run("volumes", spec.clone()).1, "inner\nseed\n");
    host.remove("volumes");

    // What the task mounts there counts more.
    spec.tmpfs = vec![TmpfsMount { path: "/data".to_owned(), size_mib: 1, options: Vec::new() }];
    assert_eq!(host.run("volumes", spec.clone()).1, "");
    host.remove("volumes");
    // And below it stays to be seen.
    spec.tmpfs[0].path = "/data/inner".to_owned();
    spec.args[2] = "cat /data/seed; df /data/inner | tail -1 | cut -d' ' -f1".to_owned();
    assert_eq!(host.run("volumes", spec).1, "seed\ntmpfs\n");
    host.remove("volumes");
    host.check_nothing_left();
}

#[test]
fn what_cannot_be_a_volume_is_said() {
    let host = Host::new();
    fs::write(host.layer.join("file"), "").unwrap();
    symlink("/", host.layer.join("top")).unwrap();
    for volume in ["/", "/a/..", "/file", "/file/below", "/top"] {
        let mut spec = host.shell("true");
        spec.volumes = vec![volume.to_owned()];
        let refused = host.runtime.create(TASK, "refused", spec).unwrap_err().to_string();
        assert!(refused.contains(&format!("failed to create volume at {volume}")), "{refused}");
    }
    host.check_nothing_left();
}
