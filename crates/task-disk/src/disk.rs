//! One disk: an image on a device, mounted for as long as somebody has it.

#![allow(unsafe_code, reason = "the call that trims a file system has no safe form")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};

use crate::DiskError;
use crate::error::MOUNT;
use crate::loop_device::{self, LoopDevice};

/// Inode tables stay unwritten until they are used; nothing waits for the host's disk; a host that is
/// full for a while does not leave the disk read-only.
const FLAGS: [&str; 2] = ["noinit_itable", "nobarrier"];
const OPTIONS: &std::ffi::CStr = c"noinit_itable,nobarrier,errors=continue";
/// Where the containers' directories are: beside it ext4 has its `lost+found`.
const CONTENT: &str = "c";
/// `FITRIM` of `linux/fs.h`.
const FITRIM: libc::c_ulong = 0xC018_5879;

/// What a task has of its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

/// A disk that is mounted while this lives; the shims' own mounts keep it beyond.
#[derive(Debug)]
pub struct TaskDisk {
    pub(crate) gib: u32,
    pub(crate) image: PathBuf,
    device: LoopDevice,
    mount: OwnedFd,
}

/// The argument of `FITRIM`.
#[repr(C)]
struct TrimRange {
    start: u64,
    length: u64,
    length_min: u64,
}

impl TaskDisk {
    /// Puts an image that is on no device on one and mounts it.
    pub(crate) fn attach(image: &Path, file: &File, gib: u32) -> Result<Self, DiskError> {
        let device = loop_device::attach(file).map_err(DiskError::io(
            "attach a loop device (is /dev/loop-control there?) to",
            image,
        ))?;
        Self::mounted(image, device, gib)
    }

    /// Mounts an image of which a device may be left, because a shim has it.
    pub(crate) fn attach_again(image: &Path, gib: u32) -> Result<Self, DiskError> {
        match loop_device::find(image).map_err(DiskError::io("look for the device of", image))? {
            Some(device) => Self::mounted(image, device, gib),
            None => {
                let file = OpenOptions::new().read(true).write(true).open(image);
                Self::attach(image, &file.map_err(DiskError::io("open", image))?, gib)
            }
        }
    }

    fn mounted(image: &Path, device: LoopDevice, gib: u32) -> Result<Self, DiskError> {
        let made = || -> io::Result<OwnedFd> {
            let mount = mount_nowhere(&device.path)?;
            make_content(&mount)?;
            Ok(mount)
        };
        let mount = made().map_err(DiskError::io(MOUNT, &device.path))?;
        Ok(Self { gib, image: image.to_owned(), device, mount })
    }

    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Such as `/dev/loop7`.
    pub fn device(&self) -> &Path {
        &self.device.path
    }

    /// The directory with all that containers have on it, as this process sees it.
    pub fn content(&self) -> PathBuf {
        content_of(&self.mount)
    }

    pub fn usage(&self) -> io::Result<Usage> {
        let found = rustix::fs::fstatvfs(&self.mount)?;
        Ok(Usage {
            bytes: (found.f_blocks - found.f_bfree) * found.f_frsize,
            inodes: found.f_files - found.f_ffree,
        })
    }

    /// What its image takes of the host's disk, in bytes.
    pub fn host_bytes(&self) -> io::Result<u64> {
        host_bytes(&self.image)
    }

    /// Gives the host back what was deleted.
    pub fn trim(&self) -> io::Result<()> {
        let mut range = TrimRange { start: 0, length: u64::MAX, length_min: 0 };
        let directory = File::open(self.content())?;
        // SAFETY: the kernel reads and writes one `fstrim_range`, which outlives the call.
        let done = unsafe { libc::ioctl(directory.as_raw_fd(), FITRIM as _, &mut range) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// After its content was removed.
    pub(crate) fn renew(&self) -> io::Result<()> {
        make_content(&self.mount)
    }

    pub(crate) fn move_to(&mut self, image: PathBuf) -> Result<(), DiskError> {
        fs::rename(&self.image, &image).map_err(DiskError::io("move a disk to", &image))?;
        self.image = image;
        Ok(())
    }
}

/// Bytes that a sparse file takes.
pub(crate) fn host_bytes(image: &Path) -> io::Result<u64> {
    Ok(fs::metadata(image)?.blocks() * 512)
}

/// Mounts a device at a directory of the caller's mount namespace, once it is known to be the image's.
/// Gives the directory for what containers write.
///
/// # Errors
/// [`DiskError::Stranger`] when the device is on another file by now.
pub fn mount_on(device: &Path, image: &Path, target: &Path) -> Result<PathBuf, DiskError> {
    let found = loop_device::open_as(device, image).map_err(DiskError::io("open", device))?;
    let found = found.ok_or_else(|| DiskError::Stranger { device: device.to_owned() })?;
    mount(&found.path, target, c"ext4", MountFlags::empty(), Some(OPTIONS))
        .map_err(DiskError::io("mount", device))?;
    Ok(target.join(CONTENT))
}

fn content_of(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{CONTENT}", mount.as_raw_fd()))
}

fn make_content(mount: &OwnedFd) -> io::Result<()> {
    let content = content_of(mount);
    match fs::create_dir(&content) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    fs::set_permissions(&content, Permissions::from_mode(0o700))
}

/// A mount that no namespace has, and that goes with its descriptor.
fn mount_nowhere(device: &Path) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    for flag in FLAGS {
        fsconfig_set_flag(&context, flag)?;
    }
    fsconfig_set_string(&context, "errors", "continue")?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}
