//! What is written about a container is nobody else's to read; what the container is to read it can.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use outport_container_runtime::TextFile;

use crate::host::{Host, TASK, is_unified, until};

/// Below these lies what an image or a container filled, with the modes that those gave it.
const THEIRS: [&str; 3] = ["upper", "work", "rootfs"];

fn open_to_others(top: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(top).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = entry.file_name().into_string().unwrap();
        if THEIRS.contains(&name.as_str()) || kind.is_symlink() {
            continue;
        }
        if entry.metadata().unwrap().permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if kind.is_dir() {
            open_to_others(&path, found);
        }
    }
}

/// The test's own umask is 022, so what is closed is closed by its mode.
#[test]
fn others_may_read_nothing_of_what_is_written_about_a_container() {
    let host = Host::new();
    let mut spec = host.shell("echo a line; sleep 1000");
    spec.env = vec![("PASSWORD".into(), "secret".into())];
    spec.files = vec![TextFile { target: "/etc/hosts".into(), text: "10.0.0.1 peer\n".into() }];
    host.start("runs", spec);
    host.run("ended", host.shell("exit 3"));
    until("it wrote a line", || host.lines_so_far("runs") > 0);
    let mut found = Vec::new();
    for top in [&host.settings.run_dir, &host.settings.root_dir] {
        open_to_others(top, &mut found);
    }
    // The socket's directory is closed.
    found.retain(|path| !path.ends_with("shim.sock"));
    assert_eq!(found, Vec::<PathBuf>::new());
    let intent = host.settings.run_dir.join(format!("c/{TASK}.runs/intent.json"));
    assert!(fs::read_to_string(intent).unwrap().contains("secret"), "it is looked for where it is");
}

#[test]
fn a_containers_user_reads_what_is_the_containers() {
    let host = Host::new();
    let limit = match is_unified() {
        true => "/sys/fs/cgroup/memory.max",
        false => "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    };
    let mut spec = host.shell(&format!(
        "umask; cat /etc/hosts {limit}; touch /tmp/mine; stat -c %a /tmp/mine /made / /dev /etc; ls /sys/fs/cgroup >/dev/null && echo listed",
    ));
    spec.user = "app".into();
    spec.working_directory = "/made".into();
    spec.limits.memory_bytes = Some(64 << 20);
    spec.files = vec![TextFile { target: "/etc/hosts".into(), text: "10.0.0.1 peer\n".into() }];
    fs::set_permissions(host.layer.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let (record, output) = host.run("user", spec);
    assert_eq!(record.exit_code, Some(0));
    let expected = format!("0022\n10.0.0.1 peer\n{}\n644\n755\n755\n755\n755\nlisted\n", 64 << 20);
    assert_eq!(output, expected);
}
