//! Mounts an image's layers with overlayfs.
//!
//! The classic mount call takes one page of options, which a hundred long paths do not fit into, and reads `:` and `,`
//! in paths as its own; so each layer is handed over by itself (`lowerdir+`, Linux 6.5), and older kernels get the
//! classic call.

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The kernel's limit on the options of one classic mount call, in bytes.
const OPTIONS_BYTES_MAX: usize = 4095;

/// Mounts `layers` (top first, as in [`Image::layers`](crate::Image::layers)) at `target`, with changes going to
/// `upper`; `work` is an empty directory on the file system of `upper`.
///
/// # Errors
///
/// `InvalidInput` when there are more layers than an old kernel can take; otherwise the kernel's.
pub fn mount_overlay(
    layers: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> io::Result<()> {
    match mount_by_layer(layers, upper, work, target) {
        Err(Errno::INVAL | Errno::NOSYS) => mount_classic(layers, upper, work, target),
        result => Ok(result?),
    }
}

fn mount_by_layer(
    layers: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in layers {
        fsconfig_set_string(&context, "lowerdir+", layer)?;
    }
    fsconfig_set_string(&context, "upperdir", upper)?;
    fsconfig_set_string(&context, "workdir", work)?;
    fsconfig_create(&context)?;
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(&made, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn mount_classic(layers: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    let mut options = b"lowerdir=".to_vec();
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        escape(layer, &mut options);
    }
    for (name, path) in [(",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(name.as_bytes());
        escape(path, &mut options);
    }
    if options.len() > OPTIONS_BYTES_MAX {
        let message = "too many layers for this kernel (Linux 6.5 takes more)";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let options = CString::new(options)?;
    Ok(mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())?)
}

fn escape(path: &Path, options: &mut Vec<u8>) {
    for byte in path.as_os_str().as_bytes() {
        if b"\\:,".contains(byte) {
            options.push(b'\\');
        }
        options.push(*byte);
    }
}
