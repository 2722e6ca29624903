//! What the unpacking process gives up before it reads the first byte of a layer.
//!
//! | wall | what is left |
//! |---|---|
//! | the root directory, and Landlock | files below one directory, also for what Landlock does not know: owners, modes, times |
//! | capabilities | to give files their owner, mode, file capabilities and whiteouts, and to do it in any directory |
//! | system calls | those on open files and below open directories; no new process, program, socket, mount |
//! | resource limits | of [`UnpackLimits`]; no core file |
//!
//! Landlock goes up from a file to the root for each access: where trees are as deep as a stranger likes, and all that is
//! done is to remove them, that makes their removal quadratic. There the directory is the process's root, and no more.
//!
//! `SYS_ADMIN` goes, too: what needs it, opaque directories, the parent marks.
//!
//! **Invariant:** what cannot be given up is an error, but for Landlock on a kernel without it: then the root directory
//! is the only wall but `openat2`.

use super::limits::UnpackLimits;
use super::unpack::HARMLESS_DEVICES;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr,
};
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;
use std::path::Path;

/// The first version in which a sandboxed process may make hard links between directories.
const LANDLOCK_ABI: ABI = ABI::V2;
/// The deepest way to a directory is open at once, and some files.
const OPEN_FILES_MAX: u64 = 512;
const PROCESSOR_GRACE_S: u64 = 5;
/// What an allocator may map beside what it has mapped before.
const ALLOCATOR_BYTES: u64 = 64 << 20;

/// What a process that only removes trees may use.
const REMOVING: &[&str] = &[
    "brk",
    "clock_gettime",
    "close",
    "dup",
    "exit",
    "exit_group",
    "fcntl",
    "fstat",
    "futex",
    "getdents64",
    "getpid",
    "getrandom",
    "gettid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "read",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "sigaltstack",
    "statx",
    "tgkill",
    "unlinkat",
    "write",
];
/// What unpacking takes beside.
const UNPACKING: &[&str] = &[
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fsetxattr",
    "fstatfs",
    "ftruncate",
    "linkat",
    "mkdirat",
    "pread64",
    "pwrite64",
    "readlinkat",
    "readv",
    "symlinkat",
    "utimensat",
    "writev",
];

/// What the process is for.
#[derive(Debug, Clone, Copy)]
pub enum Work<'limits> {
    Unpack(&'limits UnpackLimits),
    Remove,
}

/// The bytes of addresses that the process may have. The program's allocator maps a GiB of them at its start, of which it uses
/// what it needs: where that is the limit already, it cannot even have the few pages by which it finds its own, and whether
/// it needs them depends on where the kernel put the rest. `status`: of `/proc/self`.
fn address_space(memory_bytes_max: u64, status: &str) -> u64 {
    let size =
        status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let mapped = size.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024);
    memory_bytes_max.max(mapped.saturating_add(ALLOCATOR_BYTES))
}

/// Gives up everything but what `work` in `directory` needs.
pub fn confine(directory: &Path, work: Work<'_>) -> io::Result<()> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    limit(Resource::Nofile, OPEN_FILES_MAX)?;
    if let Work::Unpack(limits) = work {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        limit(Resource::As, address_space(limits.memory_bytes_max, &status))?;
        // The signal of the first can be told from others; the second kills.
        limit(Resource::Cpu, limits.processor_time_max_s + PROCESSOR_GRACE_S)?;
        let hard = rustix::process::getrlimit(Resource::Cpu).maximum;
        let current = Some(limits.processor_time_max_s);
        rustix::process::setrlimit(Resource::Cpu, Rlimit { current, maximum: hard })?;
        limit(Resource::Fsize, limits.bytes_max)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    change_root(directory)?;
    if let Work::Unpack(_) = work {
        confine_files(Path::new("/"))?;
    }
    let kept = match work {
        Work::Unpack(_) => {
            CapabilitySet::CHOWN
                | CapabilitySet::DAC_OVERRIDE
                | CapabilitySet::FOWNER
                | CapabilitySet::FSETID
                | CapabilitySet::MKNOD
                | CapabilitySet::SETFCAP
        }
        Work::Remove => {
            CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::LINUX_IMMUTABLE
        }
    };
    keep_capabilities(kept)?;
    filter_calls(work).map_err(io::Error::other)
}

/// Lowers a limit, or leaves it where it is lower.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let value = now.maximum.map_or(value, |maximum| maximum.min(value));
    let lower = Rlimit { current: Some(value), maximum: Some(value) };
    Ok(rustix::process::setrlimit(resource, lower)?)
}

/// Gives up every file right outside of `directory`.
fn confine_files(directory: &Path) -> io::Result<()> {
    let rights = AccessFs::from_all(LANDLOCK_ABI);
    let supported = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(rights)
        .and_then(|ruleset| ruleset.create());
    let Ok(ruleset) = supported else { return Ok(()) };
    let beneath = PathFd::new(directory).map_err(io::Error::other)?;
    ruleset
        .add_rule(PathBeneath::new(beneath, rights))
        .and_then(|ruleset| ruleset.restrict_self())
        .map_err(io::Error::other)?;
    Ok(())
}

/// Makes `directory` all that there is, for a process that holds no other directory open.
fn change_root(directory: &Path) -> io::Result<()> {
    rustix::process::chroot(directory)?;
    Ok(rustix::process::chdir("/")?)
}

/// Those of `kept` that the process has.
fn keep_capabilities(kept: CapabilitySet) -> io::Result<()> {
    let has = rustix::thread::capabilities(None)?;
    let kept = has.permitted & kept;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// A call that is not on the list fails with `EPERM`, which surfaces as the error of what was tried.
fn filter_calls(work: Work<'_>) -> Result<(), libseccomp::error::SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(1))?;
    let more = if let Work::Unpack(_) = work { UNPACKING } else { &[] };
    for name in REMOVING.iter().chain(more) {
        // A name that this machine's architecture or the library does not know allows nothing.
        if let Ok(call) = ScmpSyscall::from_name(name) {
            filter.add_rule(ScmpAction::Allow, call)?;
        }
    }
    if let Work::Unpack(_) = work {
        let call = ScmpSyscall::from_name("mknodat")?;
        let harmless = HARMLESS_DEVICES.map(|(major, minor)| rustix::fs::makedev(major, minor));
        for device in std::iter::once(0).chain(harmless) {
            let is_device = ScmpArgCompare::new(3, ScmpCompareOp::Equal, device);
            filter.add_rule_conditional(ScmpAction::Allow, call, &[is_device])?;
        }
    }
    filter.load()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CONFINED_IN: &str = "OUTPORT_TEST_CONFINED_IN";
    const OUTSIDE: &str = "OUTPORT_TEST_OUTSIDE";

    #[test]
    fn what_the_allocator_has_mapped_before_takes_nothing_away() {
        let gib = 1 << 30;
        assert_eq!(address_space(gib, "Name:\tx\nVmSize:\t   20480 kB\n"), gib);
        assert_eq!(address_space(gib, "VmSize:\t 1048576 kB\n"), gib + ALLOCATOR_BYTES);
        assert_eq!(address_space(gib, ""), gib);
    }

    /// Landlock knows neither modes nor owners. Needs root.
    #[test]
    fn what_is_outside_keeps_its_mode_and_owner() {
        if let (Some(directory), Some(outside)) =
            (std::env::var_os(CONFINED_IN), std::env::var_os(OUTSIDE))
        {
            confine(Path::new(&directory), Work::Unpack(&UnpackLimits::default())).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o777);
            let here = rustix::fs::CWD;
            let inside = rustix::fs::chmodat(here, "inside", mode, rustix::fs::AtFlags::empty());
            let none = rustix::fs::AtFlags::empty();
            let uid = Some(rustix::fs::Uid::from_raw(1000));
            let changed = rustix::fs::chmodat(here, &outside, mode, none);
            let given = rustix::fs::chownat(here, &outside, uid, None, none);
            let above = rustix::fs::chmodat(here, "../outside", mode, none);
            let kept = changed.is_err() && given.is_err() && above.is_err();
            std::process::exit(if inside.is_ok() && kept { 0 } else { 1 });
        }
        let scratch = tempfile::tempdir().unwrap();
        let (outside, directory) = (scratch.path().join("outside"), scratch.path().join("layer"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&outside, "").unwrap();
        std::fs::write(directory.join("inside"), "").unwrap();
        let name = "layer::confinement::tests::what_is_outside_keeps_its_mode_and_owner";
        let mode = || std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&outside).unwrap());
        let before = mode();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .env(CONFINED_IN, &directory)
            .env(OUTSIDE, &outside)
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        assert_eq!(mode(), before);
    }
}
