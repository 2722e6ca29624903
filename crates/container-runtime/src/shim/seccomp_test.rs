//! The compiled filter, asked about every call of every architecture that it knows.

#![cfg(target_arch = "x86_64")]

use libseccomp::{ScmpArch, ScmpSyscall};

use super::capabilities::Capabilities;
use super::seccomp::program;
use super::seccomp_calls::{
    ALWAYS, BY_ARCHITECTURE, BY_CAPABILITY, CLONE_NAMESPACE_FLAGS, PERSONALITIES,
};
use crate::spec::{ContainerSpec, Rootfs};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const X32_MARK: i32 = 0x4000_0000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Errno(i32),
    Killed,
}

const NOT_PERMITTED: Verdict = Verdict::Errno(libc::EPERM);
const NOT_THERE: Verdict = Verdict::Errno(libc::ENOSYS);

struct Filter(Vec<libc::sock_filter>);

impl Filter {
    fn of(add: &[&str]) -> Filter {
        let cache = tempfile::tempdir().unwrap();
        let mut spec = ContainerSpec::new(Rootfs::Layers(Vec::new()), Vec::new());
        spec.capabilities.add = add.iter().map(|name| (*name).to_owned()).collect();
        let bounding = Capabilities::of(&spec).unwrap();
        let compiled = program(&spec, bounding, cache.path()).unwrap().unwrap();
        // What is kept is what was compiled.
        let same = |(one, other): (&libc::sock_filter, &libc::sock_filter)| {
            (one.code, one.jt, one.jf, one.k) == (other.code, other.jt, other.jf, other.k)
        };
        let kept = program(&spec, bounding, cache.path()).unwrap().unwrap();
        assert!(kept.len() == compiled.len() && kept.iter().zip(&compiled).all(same));
        Filter(compiled)
    }

    /// Runs the program as the kernel does.
    fn verdict(&self, architecture: u32, number: i32, argument: u64) -> Verdict {
        let mut seen = [0_u32; 16];
        (seen[0], seen[1]) = (number as u32, architecture);
        (seen[4], seen[5]) = (argument as u32, (argument >> 32) as u32);
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let one = self.0[at];
            at += 1;
            let code = u32::from(one.code);
            let holds = match code {
                0x20 => {
                    accumulator = seen[one.k as usize / 4];
                    continue;
                }
                0x54 => {
                    accumulator &= one.k;
                    continue;
                }
                0x05 => {
                    at += one.k as usize;
                    continue;
                }
                0x06 => break verdict(one.k),
                0x15 => accumulator == one.k,
                0x25 => accumulator > one.k,
                0x35 => accumulator >= one.k,
                0x45 => accumulator & one.k != 0,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if holds { one.jt } else { one.jf });
        }
    }
}

fn verdict(returned: u32) -> Verdict {
    match returned & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => Verdict::Allowed,
        libc::SECCOMP_RET_ERRNO => Verdict::Errno((returned & 0xffff) as i32),
        libc::SECCOMP_RET_KILL_PROCESS | libc::SECCOMP_RET_KILL_THREAD => Verdict::Killed,
        other => panic!("action {other:#x}"),
    }
}

/// On these an argument decides.
const CONDITIONAL: [&str; 3] = ["clone", "personality", "socket"];

#[test]
fn every_number_has_the_verdict_of_its_name() {
    let filter = Filter::of(&[]);
    let architectures =
        [(ScmpArch::X8664, X86_64, 0), (ScmpArch::X86, I386, 0), (ScmpArch::X32, X86_64, X32_MARK)];
    for (architecture, audit, mark) in architectures {
        let name = |number| ScmpSyscall::from(number | mark).get_name_by_arch(architecture).ok();
        let last = (0..1024).rev().find(|number| name(*number).is_some()).unwrap();
        let mut allowed = 0;
        for number in 0..1024 {
            let name = name(number);
            let listed = |name: &str| {
                ALWAYS.contains(&name) || BY_ARCHITECTURE.contains(&name) || name == "chroot"
            };
            let expected = match name.as_deref() {
                Some(name) if CONDITIONAL.contains(&name) => continue,
                Some("clone3" | "socketcall") => NOT_THERE,
                Some(name) if listed(name) => Verdict::Allowed,
                None if number > last && mark == 0 => NOT_THERE,
                _ => NOT_PERMITTED,
            };
            let found = filter.verdict(audit, number | mark, 0);
            assert_eq!(found, expected, "{architecture:?} {number} {name:?}");
            allowed += u32::from(found == Verdict::Allowed);
        }
        assert!((200..400).contains(&allowed), "{architecture:?}: {allowed}");
    }
    assert_eq!(filter.verdict(AARCH64, 0, 0), Verdict::Killed);
    assert_eq!(filter.verdict(X86_64, i32::MAX, 0), NOT_PERMITTED);
    assert_eq!(filter.verdict(X86_64, -1, 0), NOT_PERMITTED);
}

/// Docker's own list of what its profile keeps from a container, with what came after it.
#[test]
fn what_docker_blocks_is_blocked() {
    let filter = Filter::of(&[]);
    for name in [
        "acct",
        "add_key",
        "bpf",
        "clock_settime",
        "create_module",
        "delete_module",
        "fanotify_init",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "get_kernel_syms",
        "get_mempolicy",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "mbind",
        "migrate_pages",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_madvise",
        "query_module",
        "quotactl",
        "reboot",
        "request_key",
        "set_mempolicy",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "swapoff",
        "swapon",
        "sysfs",
        "syslog",
        "umount2",
        "unshare",
        "uselib",
        "userfaultfd",
        "ustat",
        "vhangup",
        "vserver",
    ] {
        for (architecture, audit) in
            [(ScmpArch::X8664, X86_64), (ScmpArch::X86, I386), (ScmpArch::X32, X86_64)]
        {
            let call = ScmpSyscall::from_name_by_arch(name, architecture);
            let Ok(number) = call.map(i32::from) else { continue };
            // Below zero: the architecture has no such call.
            if number >= 0 {
                assert_eq!(filter.verdict(audit, number, 0), NOT_PERMITTED, "{name}");
            }
        }
    }
}

#[test]
fn arguments_decide_with_all_their_bits() {
    let filter = Filter::of(&[]);
    let x86_64 = |number: i64, argument| filter.verdict(X86_64, number as i32, argument);
    let may = |allowed: bool| if allowed { Verdict::Allowed } else { NOT_PERMITTED };
    let native = libc::SYS_socket as i32;
    for family in 0..64 {
        let allowed = may(![libc::AF_ALG, libc::AF_VSOCK].contains(&(family as i32)));
        for (audit, number) in [(X86_64, native), (X86_64, native | X32_MARK), (I386, 359)] {
            let found = filter.verdict(audit, number, family);
            assert_eq!(found, allowed, "{audit:#x}: family {family}");
            // The kernel looks at the lower half only.
            let found = filter.verdict(audit, number, family | 1 << 32);
            assert_eq!(found, allowed, "{audit:#x}: family {family}");
        }
    }
    for bit in 0..u64::BITS {
        let allowed = may(CLONE_NAMESPACE_FLAGS >> bit & 1 == 0);
        assert_eq!(x86_64(libc::SYS_clone, 1 << bit | 17), allowed, "flag {bit}");
    }
    for persona in PERSONALITIES {
        assert_eq!(x86_64(libc::SYS_personality, persona), Verdict::Allowed);
        assert_eq!(x86_64(libc::SYS_personality, persona ^ 0x40_0000), NOT_PERMITTED);
    }
}

/// The family of a `socketcall` is out of a filter's sight, whichever capability adds calls.
#[test]
fn no_multiplexer_leads_to_a_socket() {
    const SOCKETCALL: i32 = 102;
    for capability in [None, Some("SYS_ADMIN"), Some("NET_ADMIN")] {
        let filter = Filter::of(capability.as_slice());
        for call in 0..32 {
            assert_eq!(filter.verdict(I386, SOCKETCALL, call), NOT_THERE, "{capability:?} {call}");
        }
    }
}

#[test]
fn a_capability_allows_its_calls_and_no_others() {
    let plain = Filter::of(&[]);
    for (capability, calls) in BY_CAPABILITY {
        let filter = Filter::of(&[capability]);
        for number in 0..512 {
            let name = ScmpSyscall::from(number).get_name().unwrap_or_default();
            if calls.contains(&name.as_str()) {
                assert_eq!(filter.verdict(X86_64, number, u64::MAX), Verdict::Allowed, "{name}");
            } else {
                let (with, without) =
                    (filter.verdict(X86_64, number, 0), plain.verdict(X86_64, number, 0));
                assert_eq!(with, without, "{capability}: {name}");
            }
        }
    }
}
