//! The container's root: its mounts, its devices, and the step into it.
//!
//! ```text
//! the kernel's file systems and /dev     on ordinary directories of the image
//! kernel parameters, read-only, masked   nothing but those file systems lies below their names
//! what the task asks for                 anywhere but on a procfs
//! the step into it
//! ```
//!
//! **Invariant:** a mount point is found inside the root, whatever links the image has put there:
//! every path goes through [`Inside`], and a mount is made on the opened directory, not on its name.
//! What is done by name below `/proc`, `/sys` and `/dev` is done before anything that an image or a task
//! chooses can lie there.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat, umask};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Gid, Uid, chdir, fchownat, pivot_root, symlinkat};
use serde::Deserialize;
use serde_json::Value;

use super::bundle::Device;
use super::container_process::{Process, place};
use super::ids::Ids;
use super::inside::Inside;
use super::mapped_mount::{attach, clone_mapped};
use super::{io_failure, restrict};
use crate::cgroup::Kind;
use crate::error::{FailureKind, StartFailure};
use crate::private;

pub(super) const NONE: Option<&str> = None;

/// See [`stage`].
const STAGE_DIRECTORY: &str = "mount.d";
const STAGE_FILE: &str = "mount.f";

/// Character devices that every container has: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// One mount of the OCI document, with its options read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountStep {
    target: String,
    kind: String,
    source: String,
    flags: MsFlags,
    /// What is the file system's own to understand.
    text: String,
    /// Whether the owners are those of the container's user namespace.
    is_mapped: bool,
}

#[derive(Deserialize)]
struct MountEntry {
    destination: String,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    options: Vec<String>,
}

impl MountStep {
    pub fn read(entry: &Value) -> Result<MountStep, StartFailure> {
        let MountEntry { destination: target, kind, source, options } =
            MountEntry::deserialize(entry).map_err(io_failure("read a mount"))?;
        let (mut flags, mut text) = (MsFlags::empty(), Vec::new());
        for option in &options {
            match flag(option) {
                Some((set, true)) => flags |= set,
                Some((cleared, false)) => flags &= !cleared,
                None => text.push(option.as_str()),
            }
        }
        // What a task definition may say of a memory file system is not to make it another one.
        if kind == "tmpfs" && flags.intersects(MsFlags::MS_BIND | MsFlags::MS_REMOUNT) {
            let message = format!("invalid tmpfs option for {target}");
            return Err(StartFailure::new(FailureKind::Mount, message));
        }
        Ok(MountStep { target, kind, source, flags, text: text.join(","), is_mapped: false })
    }

    /// Makes what is the host's be seen with the container's owners; what lies below `own` has those already.
    pub fn map_unless_below(&mut self, own: &[&Path]) {
        let source = Path::new(&self.source);
        self.is_mapped = self.is_bind() && !own.iter().any(|own| source.starts_with(own));
    }

    fn is_bind(&self) -> bool {
        self.flags.contains(MsFlags::MS_BIND)
    }

    fn is_file(&self) -> bool {
        self.is_bind() && !Path::new(&self.source).is_dir()
    }

    fn failed<E: std::fmt::Display>(&self) -> impl FnOnce(E) -> StartFailure {
        let message = format!("mount {} to {}", self.source, self.target);
        move |error| StartFailure::new(FailureKind::Mount, format!("{message}: {error}"))
    }
}

/// What a mount option sets or clears; `None` for those of the file system.
fn flag(option: &str) -> Option<(MsFlags, bool)> {
    Some(match option {
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "dirsync" => (MsFlags::MS_DIRSYNC, true),
        "mand" | "nomand" | "defaults" => (MsFlags::empty(), true),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "atime" => (MsFlags::MS_NOATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "norelatime" => (MsFlags::MS_RELATIME, false),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "nostrictatime" => (MsFlags::MS_STRICTATIME, false),
        "remount" => (MsFlags::MS_REMOUNT, true),
        "bind" => (MsFlags::MS_BIND, true),
        "rbind" => (MsFlags::MS_BIND.union(MsFlags::MS_REC), true),
        // Every mount of a container is private: nothing of it can be seen elsewhere.
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" | "unbindable"
        | "runbindable" => (MsFlags::empty(), true),
        _ => return None,
    })
}

/// Mounts and devices, then into the root. Gives the container's own `/dev/null`.
pub(super) fn prepare(process: &Process<'_>) -> Result<OwnedFd, StartFailure> {
    let (spec, rootfs) = (process.spec, process.rootfs);
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(io_failure("make mounts private"))?;
    if let crate::spec::Rootfs::Directory(_) = &spec.rootfs {
        // A root has to be a mount.
        mount(Some(rootfs), rootfs, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
            .map_err(io_failure("mount the root file system"))?;
    }
    let inside = Inside::open(rootfs).map_err(io_failure("open the root file system"))?;
    for step in &process.kernel_mounts {
        match step.kind.as_str() {
            "cgroup" => mount_cgroups(&inside, step, process)?,
            _ => mount_one(&inside, step, process.ids)?,
        }
        // Devices and masks are made by name: these must lie where their names say.
        if let "/proc" | "/sys" | "/dev" = step.target.as_str()
            && !inside.is_plain_directory(&step.target).map_err(step.failed())?
        {
            return Err(step.failed()("must be mounted on an ordinary directory"));
        }
    }
    let null = make_devices(&inside, process)?;
    restrict::set_kernel_parameters(&inside, spec)?;
    if !spec.privileged {
        restrict::restrict(&inside, &null)?;
    }
    for step in &process.mounts {
        let target = mount_point(&inside, step)?;
        if restrict::is_on_proc(&target).map_err(step.failed())? {
            return Err(step.failed()("cannot be mounted because it is inside /proc"));
        }
        mount_on(&target, step, process.ids)?;
    }
    drop(inside);
    step_into(rootfs).map_err(io_failure("enter the root file system"))?;
    if spec.readonly_rootfs {
        set_flags(Path::new("/"), MsFlags::MS_RDONLY)
            .map_err(io_failure("make the root file system read-only"))?;
    }
    Ok(null)
}

fn step_into(rootfs: &Path) -> Result<(), Errno> {
    chdir(rootfs)?;
    // The old root comes to lie on the new one, and goes.
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")
}

fn mount_one(inside: &Inside, step: &MountStep, ids: &Ids) -> Result<(), StartFailure> {
    mount_on(&mount_point(inside, step)?, step, ids)
}

/// A file or a directory, as what is to be mounted is one; made if it is not there.
fn mount_point(inside: &Inside, step: &MountStep) -> Result<OwnedFd, StartFailure> {
    let found = match step.is_file() {
        true => inside.file(&step.target),
        false => inside.directory(&step.target),
    };
    found.map_err(step.failed())
}

/// A mount that takes flags of its own gets them before it is moved to its place: the way to that may
/// lead through a directory that another container of the task can change meanwhile.
fn mount_on(target: &OwnedFd, step: &MountStep, ids: &Ids) -> Result<(), StartFailure> {
    let target = place(target);
    let kind = (!step.is_bind()).then_some(step.kind.as_str());
    let text = (!step.text.is_empty()).then_some(step.text.as_str());
    let source = Some(step.source.as_str());
    if !step.is_bind() && !step.flags.contains(MsFlags::MS_RDONLY) {
        return mount(source, target.as_str(), kind, step.flags, text).map_err(step.failed());
    }
    let stage = stage(step).map_err(step.failed())?;
    // Read-only would hold for the file system, which may be the host's own; below, for this mount.
    let flags = match step.is_bind() {
        true => step.flags & (MsFlags::MS_BIND | MsFlags::MS_REC),
        false => step.flags & !MsFlags::MS_RDONLY,
    };
    match ids.namespace().filter(|_| step.is_mapped) {
        Some(user) => {
            let mapped = clone_mapped(Path::new(&step.source), user, true);
            let mapped = mapped.map_err(|error| match error {
                Errno::EINVAL => step.failed()(
                    "its file system has no idmapped mounts, which a user namespace takes",
                ),
                error => step.failed()(error),
            })?;
            attach(&mapped, stage).map_err(step.failed())?;
        }
        None => mount(source, stage, kind, flags, text).map_err(step.failed())?,
    }
    set_flags(stage, step.flags).map_err(step.failed())?;
    if step.flags.contains(MsFlags::MS_REC | MsFlags::MS_RDONLY) {
        read_only_below(stage).map_err(step.failed())?;
    }
    mount(Some(stage), target.as_str(), NONE, MsFlags::MS_MOVE, NONE).map_err(step.failed())
}

/// Where a mount is made first, in the run directory, which is the working directory.
fn stage(step: &MountStep) -> io::Result<&'static Path> {
    let (path, made) = match step.is_file() {
        true => (STAGE_FILE, private::create_new(Path::new(STAGE_FILE)).map(|_| ())),
        false => (STAGE_DIRECTORY, private::make_directory(Path::new(STAGE_DIRECTORY))),
    };
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(Path::new(path)),
    }
}

/// Makes the mounts below one read-only, too, as Docker does where the kernel can.
fn read_only_below(path: &Path) -> Result<(), Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: path and attributes outlive the call, which reads as many bytes as it is told.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    match Errno::result(set) {
        // Kernels before 5.12.
        Err(Errno::ENOSYS) => Ok(()),
        done => done.map(|_| ()),
    }
}

/// Sets flags of a mount beside those that it has.
pub(super) fn set_flags(path: &Path, flags: MsFlags) -> Result<(), Errno> {
    let per_mount = MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV
        | MsFlags::MS_NOEXEC
        | MsFlags::MS_NOATIME
        | MsFlags::MS_NODIRATIME
        | MsFlags::MS_RELATIME;
    let has = statvfs(path)?.flags();
    let kept = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = kept.into_iter().filter(|(seen, _)| has.contains(*seen));
    let kept = kept.fold(MsFlags::empty(), |all, (_, flag)| all | flag);
    let wanted = kept | flags & per_mount;
    if wanted == kept {
        return Ok(());
    }
    mount(NONE, path, NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | wanted, NONE)
}

/// On version 1 each hierarchy gets a directory, as on the host; the cgroup namespace makes the
/// container's own cgroup the root of each. A container's root could otherwise lift its own limits:
/// all of it is read-only unless the container is privileged.
fn mount_cgroups(
    inside: &Inside,
    step: &MountStep,
    process: &Process<'_>,
) -> Result<(), StartFailure> {
    let (hierarchies, ids) = (process.hierarchies, process.ids);
    if hierarchies.is_unified() {
        return mount_one(inside, &MountStep { kind: "cgroup2".to_owned(), ..step.clone() }, ids);
    }
    let top = MountStep {
        kind: "tmpfs".to_owned(),
        text: "mode=755".to_owned(),
        flags: step.flags & !MsFlags::MS_RDONLY,
        ..step.clone()
    };
    mount_one(inside, &top, ids)?;
    let directory = inside.directory(&step.target).map_err(step.failed())?;
    for hierarchy in &hierarchies.mounts {
        let (Kind::V1(controllers), Some(name)) =
            (&hierarchy.kind, hierarchy.path.file_name().and_then(|name| name.to_str()))
        else {
            continue;
        };
        let target = format!("{}/{name}", step.target);
        let one = MountStep { target, text: controllers.join(","), ..step.clone() };
        mount_one(inside, &one, ids)?;
        for controller in controllers.iter().filter(|one| *one != name) {
            match symlinkat(name, &directory, controller.as_str()) {
                // Mounted under a name of its own, too.
                Err(Errno::EEXIST) => {}
                done => done.map_err(step.failed())?,
            }
        }
    }
    set_flags(Path::new(&place(&directory)), step.flags).map_err(step.failed())
}

fn make_devices(inside: &Inside, process: &Process<'_>) -> Result<OwnedFd, StartFailure> {
    let devices = process.devices;
    let directory = inside.directory("/dev").map_err(io_failure("open /dev"))?;
    let mask = umask(Mode::empty());
    for (name, major, minor) in DEVICES {
        if devices.iter().any(|device| device.path() == Path::new("/dev").join(name)) {
            continue;
        }
        let number = makedev(major.into(), minor.into());
        mknodat(&directory, name, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), number)
            .map_err(io_failure("make a device"))?;
    }
    for device in devices {
        make_device(inside, device, process.ids)?;
    }
    for (to, name) in LINKS {
        symlinkat(to, &directory, name).map_err(io_failure("make a link in /dev"))?;
    }
    umask(mask);
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(&directory, "null", flags, Mode::empty()).map_err(io_failure("open /dev/null"))
}

fn make_device(inside: &Inside, device: &Device, ids: &Ids) -> Result<(), StartFailure> {
    let path = device.path();
    let failure = |detail: &dyn std::fmt::Display| {
        let message = format!("make device {}: {detail}", path.display());
        StartFailure::new(FailureKind::Mount, message)
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failure(&"not a path of a device"));
    };
    // By its words: `starts_with` knows nothing of the way back.
    let is_plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.starts_with("/dev") || !is_plain {
        return Err(failure(&"devices lie below /dev"));
    }
    let parent = parent.to_str().unwrap_or_default();
    let parent = inside.directory(parent).map_err(|error| failure(&error))?;
    let kind = if device.is_block() { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    let mode = Mode::from_bits_truncate(device.mode());
    mknodat(&parent, name, kind, mode, device.number()).map_err(|error| failure(&error))?;
    // The group by its number, as without a user namespace.
    let gid = Gid::from_raw(ids.on_the_host(device.gid()));
    let (uid, gid) = (Some(Uid::from_raw(ids.root())), Some(gid));
    fchownat(&parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(kind: &str, options: &[&str]) -> Result<MountStep, StartFailure> {
        MountStep::read(&json!({
            "destination": "/x", "type": kind, "source": "s", "options": options,
        }))
    }

    #[test]
    fn options_become_flags_and_the_last_one_wins() {
        let check = |options: &[&str], flags: MsFlags, text: &str| {
            let step = step("tmpfs", options).unwrap();
            assert_eq!((step.flags, step.text.as_str()), (flags, text), "{options:?}");
        };
        check(&[], MsFlags::empty(), "");
        check(
            &["nosuid", "size=1k", "ro", "mode=755"],
            MsFlags::MS_NOSUID | MsFlags::MS_RDONLY,
            "size=1k,mode=755",
        );
        check(&["ro", "noexec", "exec", "rw"], MsFlags::empty(), "");
        check(&["rprivate", "noatime"], MsFlags::MS_NOATIME, "");
    }

    #[test]
    fn a_memory_file_system_is_nothing_else() {
        for option in ["bind", "rbind", "remount"] {
            assert_eq!(step("tmpfs", &[option]).unwrap_err().kind, FailureKind::Mount);
        }
        assert!(step("bind", &["rbind"]).is_ok());
    }
}
