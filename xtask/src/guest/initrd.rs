//! Memory file systems that a kernel starts with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::root::{copy_busybox, copy_kmod, copy_modules, insert_modules};
use crate::process::{command, run};

/// What it takes to see a disk of the emulated machine, and what is on it.
const DISK_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];
const FOLDERS: [&str; 7] = ["bin", "dev", "disk", "modules", "proc", "sys", "tmp"];

/// Packs a folder into `initrd` beside it, and removes the folder.
pub fn pack(root: &Path) -> Result<PathBuf> {
    let archive = root.with_file_name("initrd");
    let pack = format!("find . | cpio --quiet -o -H newc > {}", archive.display());
    run(&mut command(root, "sh", ["-c", &pack]))?;
    fs::remove_dir_all(root)?;
    Ok(archive)
}

/// One that goes on with the system of the first disk, in `directory`.
pub fn for_disk(directory: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let root = directory.join("initrd-root");
    for name in FOLDERS {
        fs::create_dir_all(root.join(name)).context("a folder of the initrd")?;
    }
    copy_busybox(&root)?;
    copy_kmod(&root)?;
    let modules = kernel.modules(&DISK_MODULES)?;
    copy_modules(&root, &modules)?;
    let load = insert_modules(&modules);
    let init = format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin\n\
         ln -sf kmod /bin/insmod\n\
         mount -t devtmpfs dev /dev\n\
         {load}\
         mount -t ext4 /dev/vda /disk\n\
         exec switch_root /disk /sbin/init\n"
    );
    fs::write(root.join("init"), init)?;
    run(&mut command(&root, "chmod", ["755", "init"]))?;
    pack(&root)
}
