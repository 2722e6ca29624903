//! Loop devices: files as block devices. Source of numbers and layouts: the kernel's `linux/loop.h`.
//!
//! **Invariant:** a device that is open here stays what it is; it is made to go with its last user.

#![allow(unsafe_code, reason = "the kernel's calls for loop devices have no safe form")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;
/// The device goes when nobody has it open or mounted any more.
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const SECTOR_BYTES: u32 = 4_096;
/// Other programs take free devices, too.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The kernel names the same free device to all who ask at once, and only one of them gets it.
static TURN: Mutex<()> = Mutex::new(());

#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const EMPTY: LoopInfo = LoopInfo {
    device: 0,
    inode: 0,
    rdevice: 0,
    offset: 0,
    size_limit: 0,
    number: 0,
    encrypt_type: 0,
    encrypt_key_size: 0,
    flags: 0,
    file_name: [0; 64],
    crypt_name: [0; 64],
    encrypt_key: [0; 32],
    init: [0; 2],
};

/// A device that is open and on a file.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    pub path: PathBuf,
    _open: File,
}

/// Puts a file on a device of its own.
pub(crate) fn attach(image: &File) -> io::Result<LoopDevice> {
    let control = open(Path::new("/dev/loop-control"))?;
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        // SAFETY: a call without an argument.
        let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open(&path)?;
        let fd = u32::try_from(image.as_raw_fd()).map_err(io::Error::other)?;
        let info = LoopInfo { flags: LO_FLAGS_AUTOCLEAR, ..EMPTY };
        let config = LoopConfig { fd, block_size: SECTOR_BYTES, info, reserved: [0; 8] };
        // SAFETY: the kernel reads one `loop_config`, which outlives the call.
        match check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &config) }) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
            Ok(_) => return Ok(LoopDevice { path, _open: device }),
        }
    }
    Err(io::Error::other("no loop device is free"))
}

/// The device that a file is on already.
pub(crate) fn find(image: &Path) -> io::Result<Option<LoopDevice>> {
    for entry in fs::read_dir("/sys/block")? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // A device without a file has no such directory.
        if !name.starts_with("loop") || !Path::new("/sys/block").join(&*name).join("loop").exists()
        {
            continue;
        }
        if let Some(device) = open_as(&Path::new("/dev").join(&*name), image)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// Opens a device if it is on this file, and holds it so.
pub(crate) fn open_as(device: &Path, image: &Path) -> io::Result<Option<LoopDevice>> {
    let wanted = fs::metadata(image)?;
    let open = match open(device) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut info = EMPTY;
    // SAFETY: the kernel writes one `loop_info64`, which outlives the call.
    match check(unsafe { libc::ioctl(open.as_raw_fd(), LOOP_GET_STATUS64 as _, &mut info) }) {
        // It is on no file.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
        asked => asked?,
    };
    let is_wanted = (info.device, info.inode) == (wanted.dev(), wanted.ino());
    Ok(is_wanted.then(|| LoopDevice { path: device.to_owned(), _open: open }))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
