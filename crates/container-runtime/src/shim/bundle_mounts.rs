//! The mounts of a container, in the order in which they are made.

use outport_user_namespace::{IDS_PER_TASK, IdRange};
use serde_json::{Value, json};

use crate::error::{FailureKind, StartFailure};
use crate::spec::{BindMount, ContainerSpec, Namespace, TmpfsMount};

/// The group of terminals, `tty`, as every distribution numbers it.
const TERMINALS_GROUP: u32 = 5;

/// What the task asks for.
pub(super) fn mounts(spec: &ContainerSpec) -> Result<Vec<Value>, StartFailure> {
    let mut all = Vec::new();
    for tmpfs in &spec.tmpfs {
        all.push(tmpfs_mount(tmpfs, spec)?);
    }
    for bind in &spec.bind_mounts {
        all.push(bind_mount(bind)?);
    }
    Ok(all)
}

/// What every container has, first.
pub(super) fn kernel_mounts(spec: &ContainerSpec) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    // Only privileged containers may write to the kernel's own file systems.
    let access = if spec.privileged { "rw" } else { "ro" };
    let terminals = format!("gid={}", first_id(spec) + TERMINALS_GROUP);
    let shared_memory = format!("size={}k", spec.shared_memory_size_mib << 10);
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", &terminals],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", access],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    all.push(match spec.namespaces.ipc {
        Namespace::Host => mount("/dev/shm", "bind", "/dev/shm", &["rbind", "nosuid", "nodev"]),
        _ => mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &shared_memory],
        ),
    });
    all
}

/// Docker's defaults, which an option of the task definition turns round.
fn tmpfs_mount(tmpfs: &TmpfsMount, spec: &ContainerSpec) -> Result<Value, StartFailure> {
    absolute(&tmpfs.path)?;
    let mut options: Vec<String> = Vec::new();
    for (default, opposite) in [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")] {
        if !tmpfs.options.iter().any(|option| option == opposite) {
            options.push(default.to_owned());
        }
    }
    for option in tmpfs.options.iter().filter(|option| *option != "defaults") {
        options.push(on_the_host(option, spec)?);
    }
    // The last one counts: no `size=` or `nr_blocks=` among the options gets round it.
    options.push(format!("size={}k", tmpfs.size_mib << 10));
    Ok(json!({
        "destination": tmpfs.path, "type": "tmpfs", "source": "tmpfs", "options": options,
    }))
}

/// The kernel takes the owner of a memory file system as the host numbers it.
fn on_the_host(option: &str, spec: &ContainerSpec) -> Result<String, StartFailure> {
    let (Some(user), Some((name @ ("uid" | "gid"), id))) =
        (&spec.user_namespace, option.split_once('='))
    else {
        return Ok(option.to_owned());
    };
    let range = IdRange::beginning(user.first_id);
    let id = id.parse().ok().and_then(|id| range?.on_the_host(id));
    let id = id.ok_or_else(|| {
        let message = format!("invalid tmpfs option {option}: an id is below {IDS_PER_TASK}");
        StartFailure::new(FailureKind::Mount, message)
    })?;
    Ok(format!("{name}={id}"))
}

/// The host's id of the container's root.
fn first_id(spec: &ContainerSpec) -> u32 {
    spec.user_namespace.as_ref().map_or(0, |user| user.first_id)
}

fn bind_mount(bind: &BindMount) -> Result<Value, StartFailure> {
    absolute(&bind.target)?;
    if !bind.source.exists() {
        let message = format!("bind source path does not exist: {}", bind.source.display());
        return Err(StartFailure::new(FailureKind::Mount, message));
    }
    let access = if bind.readonly { "ro" } else { "rw" };
    Ok(json!({
        "destination": bind.target,
        "type": "bind",
        "source": bind.source,
        "options": ["rbind", "rprivate", access],
    }))
}

fn absolute(path: &str) -> Result<(), StartFailure> {
    let climbs = path.split('/').any(|part| part == "..");
    if path.starts_with('/') && path.len() > 1 && !climbs {
        return Ok(());
    }
    let message = format!("invalid mount path: '{path}' mount path must be absolute");
    Err(StartFailure::new(FailureKind::Mount, message))
}
