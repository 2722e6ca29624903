//! The guest's root file system: busybox, the test programs with their libraries, modules, `/init`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::{Programs, Which};
use crate::process::{command, find, output, run};

/// What the tests and the programs need of it, loaded with all that these depend on.
const MODULES: [&str; 19] = [
    "overlay",
    "loop",
    "veth",
    "dummy",
    "bridge",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "nft_nat",
    "nft_reject_inet",
    "nft_fib_inet",
    "nft_compat",
    "iptable_filter",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_nat",
    "xt_tcpudp",
];
/// Programs of the host that the tests, or `/init`, call.
const HOST_PROGRAMS: [&str; 5] = ["nft", "ip", "iptables", "runc", "mkfs.ext4"];
/// What iptables loads by name, below the library folder of the architecture.
const IPTABLES_EXTENSIONS: &str = "xtables";
/// Loads modules, also compressed ones; which command it is depends on the name it is called by.
const KMOD: &str = "/bin/kmod";
const FOLDERS: [&str; 11] =
    ["bin", "dev", "etc", "lib", "modules", "proc", "root", "run", "sys", "tmp", "var/lib"];
pub const PROGRAM_PASSED: &str = "GUEST-PASSED";
pub const PROGRAM_FAILED: &str = "GUEST-FAILED";

pub fn fill(root: &Path, kernel: &Kernel, programs: &Programs, which: Which) -> Result<()> {
    for name in FOLDERS {
        fs::create_dir_all(root.join(name))?;
    }
    // What is not copied from the host is busybox, and so are the images that the tests make.
    copy_busybox(root)?;
    // But not the shell: busybox's takes its own `ip` before the host's.
    copy_with_libraries(root, Path::new("/bin/sh"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    fs::write(root.join("etc/hostname"), "guest\n")?;

    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    files.extend(programs.tests.iter().chain(&programs.started).cloned());
    for name in HOST_PROGRAMS {
        files.insert(find(name).with_context(|| format!("{name} is installed"))?);
    }
    for file in &files {
        copy_with_libraries(root, file)?;
    }
    copy_kmod(root)?;
    copy_iptables_extensions(root)?;
    let modules = kernel.modules(&MODULES)?;
    copy_modules(root, &modules)?;
    fs::write(root.join("init"), init_script())?;
    fs::write(root.join("tests"), tests_script(&modules, &programs.tests, &which.arguments()))?;
    run(&mut command(root, "chmod", ["755", "init", "tests"]))
}

pub fn copy_busybox(root: &Path) -> Result<()> {
    let busybox = find("busybox").context("busybox-static is installed")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    Ok(())
}

pub fn copy_kmod(root: &Path) -> Result<()> {
    let kmod = find("kmod").context("kmod is installed")?;
    copy_with_libraries(root, &kmod)?;
    fs::copy(kmod, root.join("bin/kmod"))?;
    Ok(())
}

/// Into one folder, where the lines of `insert_modules` take them from.
pub fn copy_modules(root: &Path, modules: &[PathBuf]) -> Result<()> {
    for module in modules {
        let name = module.file_name().context("a module has a name")?;
        fs::copy(module, root.join("modules").join(name))?;
    }
    Ok(())
}

/// Lines of a script that load them, in their order.
pub fn insert_modules(modules: &[PathBuf]) -> String {
    let names = modules.iter().filter_map(|module| module.file_name());
    names.map(|name| format!("/bin/insmod /modules/{}\n", name.to_string_lossy())).collect()
}

/// A program under its own path, with the libraries that `ldd` names: tests know the paths of what
/// they start.
fn copy_with_libraries(root: &Path, file: &Path) -> Result<()> {
    copy(root, file)?;
    // A static program has none, and ldd fails on it.
    let libraries = output(&mut command(root, "ldd", [file])).unwrap_or_default();
    for word in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(root, Path::new(word))?;
    }
    Ok(())
}

fn copy_iptables_extensions(root: &Path) -> Result<()> {
    for architecture in fs::read_dir("/usr/lib")? {
        let folder = architecture?.path().join(IPTABLES_EXTENSIONS);
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder)? {
            copy(root, &file?.path())?;
        }
    }
    Ok(())
}

fn copy(root: &Path, file: &Path) -> Result<()> {
    let target = root.join(file.strip_prefix("/").unwrap_or(file));
    fs::create_dir_all(target.parent().context("a file has a folder")?)?;
    fs::copy(file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

/// The memory file system that the kernel unpacks cannot be left with pivot_root, which every
/// container does: all is moved to one that can.
fn init_script() -> &'static str {
    "#!/bin/sh\n\
     /bin/busybox --install -s /bin\n\
     export PATH=/bin\n\
     mkdir /moved\n\
     mount -t tmpfs -o size=80% root /moved\n\
     for entry in /*; do [ $entry = /moved ] || cp -a $entry /moved/; done\n\
     exec switch_root /moved /tests\n"
}

fn tests_script(modules: &[PathBuf], tests: &[PathBuf], arguments: &str) -> String {
    let load = insert_modules(modules);
    let run: String = tests
        .iter()
        .map(|path| {
            let path = path.display();
            format!(
                "{path} --test-threads=1{arguments} && echo {PROGRAM_PASSED} {path} || \
                 echo {PROGRAM_FAILED} {path}\n"
            )
        })
        .collect();
    format!(
        "#!/bin/sh\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root OUTPORT_TEST_EMULATED=1\n\
         ln -sf {KMOD} /bin/insmod\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sys /sys\n\
         mount -t devtmpfs dev /dev\n\
         mkdir -p /dev/pts /dev/shm\n\
         mount -t devpts pts /dev/pts\n\
         mount -t tmpfs shm /dev/shm\n\
         mount -t cgroup2 cgroup /sys/fs/cgroup\n\
         ln -s /proc/self/fd /dev/fd\n\
         {load}\
         ip link set lo up\n\
         {run}\
         poweroff -f\n"
    )
}
