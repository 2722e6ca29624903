//! The program that becomes shims, behind a read-only mount of its own.
//!
//! A container reaches the program of its shim: by `/proc/self/exe` as its entry point, and by
//! `/proc/1/exe` with `initProcessEnabled`. CVE-2019-5736 overwrote runc that way. Such a link leads
//! through the mount from which the program was executed, and this one is read-only, lies in no mount
//! namespace, and so cannot be mounted anew.
//!
//! **Invariant:** it costs nothing for each container. Where the kernel cannot do it the shim executes
//! itself again, see `shim::read_only_binary`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;

/// A path that names no program.
const OWN: &str = "/proc/self/exe";
/// What a shim of that path is called in lists of processes.
const NAME: &str = "outport";

#[derive(Debug)]
pub(crate) struct ShimBinary {
    path: PathBuf,
    mount: Option<OwnedFd>,
}

impl ShimBinary {
    pub fn new(path: &Path) -> ShimBinary {
        // Kernels before 5.12, or no such file, which is said when it is to be executed.
        ShimBinary { path: path.to_owned(), mount: read_only_mount(path).ok() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor is closed by the exec that follows its path. A shim is found by its last argument alone (`discovery`), so
    /// that `ps` may show a name in the place of [`OWN`].
    pub fn command(&self) -> Command {
        let mut command = match &self.mount {
            Some(mount) => Command::new(format!("/proc/self/fd/{}", mount.as_raw_fd())),
            None => Command::new(&self.path),
        };
        command.arg0(if self.path == Path::new(OWN) { Path::new(NAME) } else { &self.path });
        command
    }
}

/// A mount of the one file, attached nowhere.
fn read_only_mount(path: &Path) -> Result<OwnedFd, Errno> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path outlives the call.
    #[allow(unsafe_code)]
    let opened =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    // SAFETY: just opened, owned by nobody else.
    #[allow(unsafe_code)]
    let mount = unsafe { OwnedFd::from_raw_fd(Errno::result(opened)? as i32) };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the attributes outlive the call, which reads as many bytes as it is told.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(set).map(|_| mount)
}
