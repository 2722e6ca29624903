//! The small files of a container, such as its `/etc/hosts`, on a memory file system of their own.
//!
//! **Invariant:** the container may write to them if it may write to its root, and cannot fill the host's memory with that.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::io_failure;
use crate::error::StartFailure;
use crate::private;
use crate::spec::{BindMount, ContainerSpec};

/// In the run directory, in the shim's private mounts.
const DIRECTORY: &str = "files";
/// What all files of a container may grow by.
const ROOM_KIB: usize = 1024;

/// Writes the files and makes bind mounts of them.
pub(super) fn place(spec: &mut ContainerSpec, run_dir: &Path) -> Result<(), StartFailure> {
    if spec.files.is_empty() {
        return Ok(());
    }
    // As Docker has it for its own three.
    let readonly = spec.readonly_rootfs;
    let directory = run_dir.join(DIRECTORY);
    private::make_directory(&directory).map_err(io_failure("make the directory of files"))?;
    let written: usize = spec.files.iter().map(|file| file.text.len().div_ceil(1024) + 4).sum();
    let options = format!("mode=755,size={}k", ROOM_KIB + written);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), &directory, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(io_failure("mount the directory of files"))?;
    for (number, file) in std::mem::take(&mut spec.files).into_iter().enumerate() {
        let source = directory.join(number.to_string());
        private::write(&source, file.text).map_err(io_failure("write a file"))?;
        // The container's own, whoever its user is.
        fs::set_permissions(&source, Permissions::from_mode(0o644))
            .map_err(io_failure("open a file to its readers"))?;
        spec.bind_mounts.push(BindMount { source, target: file.target, readonly });
    }
    Ok(())
}
