//! Empty file systems, made once for each size.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{BYTES_PER_INODE, DiskError};

/// Part of the name of a template: another way to make them gets another number.
const VERSION: u32 = 1;
/// All that is wanted and nothing that a host's mke2fs.conf adds. No checksums of metadata: the disk does
/// not live long enough to rot.
const FEATURES: &str = "none,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super2,large_file,\
                        huge_file,dir_nlink,extra_isize,64bit,uninit_bg";
/// Inode tables are zero as the sparse file is, and there is nothing to discard.
const EXTENDED: &str = "lazy_itable_init=1,nodiscard,num_backup_sb=0";
const STDERR_CHARS_MAX: usize = 500;

/// Opens the template of a size, and makes it first if need be. For one caller at a time.
pub(crate) fn open(directory: &Path, gib: u32) -> Result<File, DiskError> {
    let path = path(directory, gib);
    match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened.map_err(DiskError::io("open", &path)),
    }
    let beside = path.with_extension("new");
    make(&beside, gib)?;
    let made = File::open(&beside).and_then(|file| {
        // After a crash of the host the name must not be there without the bytes.
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        Ok(file)
    });
    made.map_err(DiskError::io("make", &path))
}

/// Removes the template of a size, so that the next one is made anew.
pub(crate) fn remove(directory: &Path, gib: u32) -> Result<(), DiskError> {
    let path = path(directory, gib);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(DiskError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

fn path(directory: &Path, gib: u32) -> PathBuf {
    directory.join(format!("empty-{gib}gib-{VERSION}.ext4"))
}

fn make(path: &Path, gib: u32) -> Result<(), DiskError> {
    let file = File::create(path).map_err(DiskError::io("make", path))?;
    file.set_len(u64::from(gib) << 30).map_err(DiskError::io("make", path))?;
    let output = Command::new(mkfs()?)
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0"])
        .args(["-i", &BYTES_PER_INODE.to_string(), "-O", FEATURES, "-E", EXTENDED])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(DiskError::io("execute", Path::new("mkfs.ext4")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(DiskError::Mkfs(text.trim().chars().take(STDERR_CHARS_MAX).collect()))
}

/// Where the program is: a root shell's search path may lack /sbin.
fn mkfs() -> Result<PathBuf, DiskError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join("mkfs.ext4"))
        .find(|program| program.is_file())
        .ok_or(DiskError::NoMkfs)
}
