//! The container's root file system, mounted where only this shim and the container see it.
//!
//! **Invariant:** what is mounted here is in a mount namespace of its own, which the container's is copied
//! from and the shim leaves when the container runs: when both are gone the kernel has removed it, however
//! they went, and meanwhile no mount of the host is kept busy by its copy.

use std::fs::{self, File, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::umask;
use outport_tree_removal::remove_tree;
use outport_user_namespace::create_network;

use super::ids::Ids;
use super::{io_failure, mapped_mount};
use crate::error::{FailureKind, StartFailure};
use crate::fail_point;
use crate::layout::DISK_DIR;
use crate::private;
use crate::runtime::Intent;
use crate::spec::{Namespace, Rootfs};

/// As many as Docker's overlay2 takes; the kernel takes 500, if its options have room for so many.
const LAYERS_MAX: usize = 127;
/// What a mount's options may have, the end included: the kernel takes a page and no more, and cuts the rest off.
const OPTIONS_BYTES_MAX: usize = 4095;

/// Where the loopback-only network namespace is pinned, in the run directory.
const OWN_NETWORK: &str = "net";

/// The mount namespace of the host, for the way back.
pub(super) fn of_host() -> Result<OwnedFd, StartFailure> {
    let opened = File::open("/proc/self/ns/mnt");
    Ok(opened.map_err(io_failure("open the host's mount namespace"))?.into())
}

/// Goes back to the host's mounts, and to the working directory in them.
pub(super) fn return_to(host: &OwnedFd, run_dir: &Path) -> std::io::Result<()> {
    setns(host, CloneFlags::CLONE_NEWNS)?;
    std::env::set_current_dir(run_dir)
}

/// Makes the private mount namespace and gives the root file system's directory in it.
pub(super) fn prepare(intent: &Intent, ids: &Ids) -> Result<PathBuf, StartFailure> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(io_failure("make a mount namespace"))?;
    // What the host unmounts later must go here too; what is mounted here must not show there.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .map_err(io_failure("make mounts private"))?;
    match &intent.spec.rootfs {
        Rootfs::Directory(directory) => fs::canonicalize(directory).map_err(|error| {
            StartFailure::new(
                FailureKind::Rootfs,
                format!("rootfs {}: {error}", directory.display()),
            )
        }),
        Rootfs::Layers(layers) => overlay(intent, layers, ids),
    }
}

/// Makes the working directory inside the root if it is not there, as Docker does.
pub(super) fn make_working_directory(rootfs: &Path, directory: &str) -> Result<(), StartFailure> {
    if directory.is_empty() || directory == "/" {
        return Ok(());
    }
    let failure = |detail: &dyn std::fmt::Display| {
        let message = format!("mkdir {directory}: {detail}");
        StartFailure::new(FailureKind::WorkingDirectory, message)
    };
    if !directory.starts_with('/') {
        let message = format!(
            "the working directory '{directory}' is invalid, it needs to be an absolute path"
        );
        return Err(StartFailure::new(FailureKind::WorkingDirectory, message));
    }
    let root = pathrs::Root::open(rootfs).map_err(|error| failure(&error))?;
    if root.resolve(directory).is_ok() {
        return Ok(());
    }
    let ours = private::set_container_umask();
    let made = root.mkdir_all(directory, &Permissions::from_mode(0o755));
    umask(ours);
    made.map(|_| ()).map_err(|error| failure(&error))
}

/// A network namespace with nothing but a loopback link that is up, pinned in the private mounts.
pub(super) fn own_network(intent: &Intent, ids: &Ids) -> Result<Option<PathBuf>, StartFailure> {
    if intent.spec.namespaces.network != Namespace::New {
        return Ok(None);
    }
    let pin = intent.run_dir.join(OWN_NETWORK);
    let host = File::open("/proc/self/ns/net").map_err(io_failure("open the network namespace"))?;
    private::create(&pin).map_err(io_failure("make a pin"))?;
    match ids.namespace() {
        Some(user) => {
            let own = create_network(&user).map_err(io_failure("make a network namespace"))?;
            setns(own, CloneFlags::CLONE_NEWNET).map_err(io_failure("join a network namespace"))?;
        }
        None => {
            unshare(CloneFlags::CLONE_NEWNET).map_err(io_failure("make a network namespace"))?;
        }
    }
    let up = loopback_up();
    let none = None::<&str>;
    let pinned = mount(Some("/proc/self/ns/net"), &pin, none, MsFlags::MS_BIND, none);
    setns(&host, CloneFlags::CLONE_NEWNET).map_err(io_failure("return to the host's network"))?;
    up.map_err(io_failure("bring the loopback link up"))?;
    pinned.map_err(io_failure("pin the network namespace"))?;
    Ok(Some(pin))
}

fn overlay(intent: &Intent, layers: &[PathBuf], ids: &Ids) -> Result<PathBuf, StartFailure> {
    let failure = |detail: String| StartFailure::new(FailureKind::Rootfs, detail);
    let writable = writable(intent)?;
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    let rootfs = intent.run_dir.join("rootfs");
    for directory in [&upper, &work, &rootfs] {
        let made = private::make_directory(directory);
        made.map_err(|error| failure(format!("mkdir {}: {error}", directory.display())))?;
        let mode = fs::set_permissions(directory, Permissions::from_mode(0o755));
        mode.map_err(|error| failure(format!("chmod {}: {error}", directory.display())))?;
    }
    if ids.namespace().is_some() {
        // It is what the container sees as its root directory.
        let root = Some(ids.root());
        chown(&upper, root, root)
            .map_err(|error| failure(format!("chown {}: {error}", upper.display())))?;
    }
    let layers = topmost_first(layers);
    if layers.is_empty() || layers.len() > LAYERS_MAX {
        return Err(failure(format!(
            "{} layers; from 1 to {LAYERS_MAX} can be used",
            layers.len()
        )));
    }
    fail_point::reach("shim.overlay").map_err(io_failure("mount the layers"))?;
    let lowers = open_layers(&layers, ids, &rootfs)?;
    mount_overlay(&lowers, &upper, &work, &rootfs)
        .map_err(|error| failure(format!("mount overlay of {} layers: {error}", lowers.len())))?;
    Ok(rootfs)
}

/// Opens the layers as the container is to see them. `point`: an empty directory for mounts on the way there.
fn open_layers(layers: &[&PathBuf], ids: &Ids, point: &Path) -> Result<Vec<OwnedFd>, StartFailure> {
    let failure = |path: &Path, error: &dyn std::fmt::Display| {
        StartFailure::new(FailureKind::Rootfs, format!("layer {}: {error}", path.display()))
    };
    if let Some(user) = ids.namespace() {
        return mapped_mount::open_layers(layers, user, point)
            .map_err(|(path, error)| failure(&path, &error));
    }
    layers.iter().map(|path| open(path).map_err(|error| failure(path, &error))).collect()
}

/// An overlay of layers as `user` sees them, for one who has a mount namespace to himself. `target` is empty.
pub(crate) fn mount_mapped_layers(
    layers: &[&PathBuf],
    user: &OwnedFd,
    upper: &Path,
    work: &Path,
    target: &Path,
) -> std::io::Result<()> {
    let opened = mapped_mount::open_layers(layers, user.as_fd(), target);
    mount_overlay(&opened.map_err(|(_, error)| error)?, upper, work, target)
}

/// Paths go in as descriptors: short enough for many layers, and no character has a meaning.
fn mount_overlay(
    lowers: &[OwnedFd],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> std::io::Result<()> {
    let (upper, work) = (open(upper)?, open(work)?);
    let place = |opened: &OwnedFd| format!("/proc/self/fd/{}", opened.as_raw_fd());
    let lowers: Vec<String> = lowers.iter().map(place).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lowers.join(":"),
        place(&upper),
        place(&work)
    );
    if options.len() >= OPTIONS_BYTES_MAX {
        let message = format!("the names of {} layers are too long", lowers.len());
        return Err(std::io::Error::other(message));
    }
    Ok(mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?)
}

fn open(directory: &Path) -> std::io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    Ok(private::options().read(true).custom_flags(flags).open(directory)?.into())
}

/// The directory for what the container writes: on the disk of its task, if that has one. The disk is
/// mounted here once more, and unmounted with this namespace.
fn writable(intent: &Intent) -> Result<PathBuf, StartFailure> {
    let Some(disk) = &intent.spec.disk else { return Ok(intent.container_dir.clone()) };
    let failure = |detail: &dyn std::fmt::Display| {
        StartFailure::new(FailureKind::Rootfs, format!("the task's disk: {detail}"))
    };
    let target = intent.run_dir.join(DISK_DIR);
    private::make_directory(&target).map_err(|error| failure(&error))?;
    let content = outport_task_disk::mount_on(&disk.device, &disk.image, &target)
        .map_err(|error| failure(&error))?;
    let own = content.join(intent.key.path_name());
    // Of one that was being made when its agent died.
    remove_tree(&own)
        .and_then(|()| private::make_directory(&own))
        .map_err(|error| failure(&error))?;
    Ok(own)
}

/// The order of overlayfs. A layer that comes twice, as the empty one does, is refused by the kernel;
/// its upper occurrence says all that the lower one does.
fn topmost_first(layers: &[PathBuf]) -> Vec<&PathBuf> {
    let mut order: Vec<&PathBuf> = Vec::with_capacity(layers.len());
    for layer in layers.iter().rev() {
        if !order.contains(&layer) {
            order.push(layer);
        }
    }
    order
}

fn loopback_up() -> std::io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: a request is plain numbers and bytes, for which zero is a value.
    #[allow(unsafe_code)]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads one `ifreq`, which outlives the call.
    #[allow(unsafe_code)]
    let set = unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    if set < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_layer_counts_once_and_above() {
        let layers: Vec<PathBuf> = ["a", "empty", "b", "empty"].iter().map(PathBuf::from).collect();
        let order: Vec<_> = topmost_first(&layers).into_iter().map(|one| one.to_str()).collect();
        assert_eq!(order, [Some("empty"), Some("b"), Some("a")]);
    }
}
