//! The container's system call filter: rules, the program compiled from them, and its cache.
//!
//! Compiling costs milliseconds and depends on the capabilities alone, so the program is kept in the
//! run directory, which a boot, and with it any change of kernel, empties.
//!
//! **Invariant:** the name of a cached program is a hash of everything it was made from.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use serde_json::{Value, json};

use super::capabilities::Capabilities;
use super::seccomp_calls::{
    ALWAYS, BY_ARCHITECTURE, BY_CAPABILITY, CLONE_NAMESPACE_FLAGS, FAMILIES_WITHOUT_FRAMES,
    FAMILY_MASK, PACKET_TYPE_BIT, PERSONALITIES, SOCKET_FAMILIES,
};
use crate::container_key::fnv1a;
use crate::error::{FailureKind, StartFailure};
use crate::private;
use crate::spec::{ContainerSpec, SeccompProfile};

const INSTRUCTION_BYTES: usize = 8;
/// No architecture has come near.
const CALL_NUMBERS_MAX: i32 = 1024;
const X32_CALLS: u32 = 0x4000_0000;
/// The kernel takes no longer program.
const INSTRUCTIONS_MAX: usize = 4096;

/// What is allowed, or answered with another error than EPERM.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    calls: Vec<&'static str>,
    errno: Option<i32>,
    condition: Option<Condition>,
}

/// On one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Is(u64),
    /// The bits of the mask, the first, are these.
    Masked(u64, u64),
    /// A socket of this family, and not of the type that makes a packet socket of it.
    Family(u64),
}

/// The compiled program, unless the container is unconfined.
pub(super) fn program(
    spec: &ContainerSpec,
    bounding: Capabilities,
    cache: &Path,
) -> Result<Option<Vec<libc::sock_filter>>, StartFailure> {
    if is_unconfined(spec) {
        return Ok(None);
    }
    let rules = rules(spec, bounding);
    let hash = fnv1a(format!("{} {rules:?}", env!("CARGO_PKG_VERSION")).as_bytes());
    let path = cache.join(format!("{hash:016x}.bpf"));
    if let Some(program) = fs::read(&path).ok().and_then(|bytes| decode(&bytes)) {
        return Ok(Some(program));
    }
    let failure = |detail: &dyn std::fmt::Display| {
        StartFailure::new(FailureKind::Seccomp, format!("compile the seccomp profile: {detail}"))
    };
    let bytes = [newer_calls(), compile(&rules).map_err(|error| failure(&error))?].concat();
    let program = decode(&bytes).ok_or_else(|| failure(&"no program came out"))?;
    let beside = cache.join(format!("{hash:016x}.{}", std::process::id()));
    if private::write(&beside, &bytes).and_then(|()| fs::rename(&beside, &path)).is_err() {
        // A program that is not kept is compiled again the next time.
        let _ = fs::remove_file(&beside);
    }
    Ok(Some(program))
}

/// The profile as part of an OCI document.
pub(super) fn document(spec: &ContainerSpec, bounding: Capabilities) -> Option<Value> {
    if is_unconfined(spec) {
        return None;
    }
    let rules: Vec<Value> = rules(spec, bounding).iter().map(rule_json).collect();
    let architectures: Vec<&str> = architectures().iter().map(|(_, name)| *name).collect();
    Some(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures,
        "syscalls": rules,
    }))
}

fn is_unconfined(spec: &ContainerSpec) -> bool {
    spec.privileged || spec.seccomp == SeccompProfile::Unconfined
}

fn rules(spec: &ContainerSpec, bounding: Capabilities) -> Vec<Rule> {
    let allow = |calls: Vec<&'static str>, condition| Rule { calls, errno: None, condition };
    let mut free: Vec<&'static str> = [ALWAYS, BY_ARCHITECTURE].concat();
    for (capability, calls) in BY_CAPABILITY {
        if bounding.has(capability) {
            free.extend(calls.iter().filter(|call| !free.contains(call)).collect::<Vec<_>>());
        }
    }
    // Before the rules of `socket`: for each the library lets its twin in `socketcall` pass, where nothing
    // stands yet.
    let not_there = |call| Rule { calls: vec![call], errno: Some(libc::ENOSYS), condition: None };
    let mut rules = vec![not_there("socketcall"), allow(free, None)];
    let sockets = |condition| allow(vec!["socket"], Some(condition));
    if spec.kept_from_metadata {
        rules.extend(FAMILIES_WITHOUT_FRAMES.map(|family| sockets(Condition::Family(family))));
    } else {
        let families = SOCKET_FAMILIES.map(|(mask, bits)| Condition::Masked(mask, bits));
        rules.extend(families.map(sockets));
    }
    let personalities =
        PERSONALITIES.map(|one| allow(vec!["personality"], Some(Condition::Is(one))));
    rules.extend(personalities);
    if !bounding.has("SYS_ADMIN") {
        rules.push(allow(vec!["clone"], Some(Condition::Masked(CLONE_NAMESPACE_FLAGS, 0))));
        // Its flags lie in memory, out of a filter's sight: "not there" makes libraries use `clone`.
        rules.push(not_there("clone3"));
    }
    rules
}

fn compile(rules: &[Rule]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    for (architecture, _) in architectures() {
        filter.add_arch(architecture)?;
    }
    // A tree instead of a chain of comparisons; older libraries keep the chain.
    let _ = filter.set_ctl_optimize(2);
    for rule in rules {
        let action = rule.errno.map_or(ScmpAction::Allow, ScmpAction::Errno);
        for call in &rule.calls {
            // A name this library is too old for stays forbidden.
            let Ok(call) = ScmpSyscall::from_name(call) else { continue };
            add(&mut filter, action, call, rule.condition)?;
        }
    }
    let mut out = memory_file()?;
    filter.export_bpf(&out)?;
    out.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    out.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What stands before the program: a call newer than the library is "not there", so that a C library
/// takes an older one. "Not permitted" it would pass on. runc does the same.
fn newer_calls() -> Vec<u8> {
    let instruction = |code: u32, k: u32, jt: u8, jf: u8| {
        let [low, high] = (code as u16).to_ne_bytes();
        let [a, b, c, d] = k.to_ne_bytes();
        [low, high, jt, jf, a, b, c, d]
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump = |test| libc::BPF_JMP | test | libc::BPF_K;
    let not_there = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let of = |(architecture, audit): (ScmpArch, u32)| {
        let known =
            |number: &i32| ScmpSyscall::from(*number).get_name_by_arch(architecture).is_ok();
        let last = (0..CALL_NUMBERS_MAX).rev().find(known).unwrap_or(CALL_NUMBERS_MAX);
        [
            instruction(load, std::mem::offset_of!(libc::seccomp_data, arch) as u32, 0, 0),
            instruction(jump(libc::BPF_JEQ), audit, 0, 4),
            instruction(load, std::mem::offset_of!(libc::seccomp_data, nr) as u32, 0, 0),
            instruction(jump(libc::BPF_JGT), last as u32, 0, 2),
            // Calls of x32 bear a mark, and their own numbers.
            instruction(jump(libc::BPF_JGE), X32_CALLS, 1, 0),
            instruction(libc::BPF_RET | libc::BPF_K, not_there, 0, 0),
        ]
    };
    NUMBERED.into_iter().flat_map(of).flatten().collect()
}

fn add(
    filter: &mut ScmpFilterContext,
    action: ScmpAction,
    call: ScmpSyscall,
    condition: Option<Condition>,
) -> Result<(), SeccompError> {
    let Some(condition) = condition else { return filter.add_rule(action, call).map(|_| ()) };
    let masked = |(argument, mask, bits)| {
        ScmpArgCompare::new(argument, ScmpCompareOp::MaskedEqual(mask), bits)
    };
    let compare = match condition {
        Condition::Is(value) => vec![ScmpArgCompare::new(0, ScmpCompareOp::Equal, value)],
        condition => condition.masks().into_iter().map(masked).collect(),
    };
    filter.add_rule_conditional(action, call, &compare).map(|_| ())
}

impl Condition {
    /// The argument, the mask, and the bits that the argument has in it.
    fn masks(self) -> Vec<(u32, u64, u64)> {
        match self {
            Self::Is(value) => vec![(0, u64::MAX, value)],
            Self::Masked(mask, bits) => vec![(0, mask, bits)],
            Self::Family(family) => vec![(0, FAMILY_MASK, family), (1, PACKET_TYPE_BIT, 0)],
        }
    }
}

fn rule_json(rule: &Rule) -> Value {
    let action = if rule.errno.is_some() { "SCMP_ACT_ERRNO" } else { "SCMP_ACT_ALLOW" };
    let mut out = json!({"names": rule.calls, "action": action});
    if let Some(errno) = rule.errno {
        out["errnoRet"] = json!(errno);
    }
    out["args"] = match rule.condition {
        None => return out,
        Some(Condition::Is(value)) => json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": value}]),
        Some(condition) => condition
            .masks()
            .into_iter()
            .map(|(index, mask, bits)| {
                json!({"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": bits})
            })
            .collect(),
    };
    out
}

#[cfg(target_arch = "x86_64")]
fn architectures() -> Vec<(ScmpArch, &'static str)> {
    vec![
        (ScmpArch::X8664, "SCMP_ARCH_X86_64"),
        (ScmpArch::X86, "SCMP_ARCH_X86"),
        (ScmpArch::X32, "SCMP_ARCH_X32"),
    ]
}

/// Architectures with numbers of their own, and how the kernel tells a filter of them.
#[cfg(target_arch = "x86_64")]
const NUMBERED: [(ScmpArch, u32); 2] =
    [(ScmpArch::X8664, 0xc000_003e), (ScmpArch::X86, 0x4000_0003)];
#[cfg(target_arch = "aarch64")]
const NUMBERED: [(ScmpArch, u32); 2] =
    [(ScmpArch::Aarch64, 0xc000_00b7), (ScmpArch::Arm, 0x4000_0028)];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NUMBERED: [(ScmpArch, u32); 0] = [];

#[cfg(target_arch = "aarch64")]
fn architectures() -> Vec<(ScmpArch, &'static str)> {
    vec![(ScmpArch::Aarch64, "SCMP_ARCH_AARCH64"), (ScmpArch::Arm, "SCMP_ARCH_ARM")]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn architectures() -> Vec<(ScmpArch, &'static str)> {
    Vec::new()
}

fn memory_file() -> std::io::Result<fs::File> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: the name is a C string; the kernel returns a new descriptor or an error.
    #[allow(unsafe_code)]
    let made = unsafe { libc::memfd_create(c"seccomp".as_ptr(), libc::MFD_CLOEXEC) };
    if made < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: just made, owned by nobody else.
    #[allow(unsafe_code)]
    Ok(fs::File::from(unsafe { OwnedFd::from_raw_fd(made) }))
}

fn decode(bytes: &[u8]) -> Option<Vec<libc::sock_filter>> {
    let (whole, rest) = bytes.as_chunks::<INSTRUCTION_BYTES>();
    if whole.is_empty() || whole.len() > INSTRUCTIONS_MAX || !rest.is_empty() {
        return None;
    }
    let instruction = |bytes: &[u8; INSTRUCTION_BYTES]| libc::sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    Some(whole.iter().map(instruction).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Rootfs;

    #[test]
    fn a_program_for_every_capability() {
        let spec = ContainerSpec::new(Rootfs::Layers(Vec::new()), vec!["true".to_owned()]);
        for (capability, calls) in BY_CAPABILITY {
            let without = rules(&spec, Capabilities::NONE);
            let with = rules(&spec, Capabilities::NONE.with(capability));
            let free = |rules: &[Rule], call: &str| {
                rules.iter().any(|rule| {
                    rule.calls.contains(&call) && rule.condition.is_none() && rule.errno.is_none()
                })
            };
            for call in *calls {
                assert!(!free(&without, call) && free(&with, call), "{capability} {call}");
            }
        }
        let program = decode(&compile(&rules(&spec, Capabilities::NONE)).unwrap()).unwrap();
        assert!(program.len() > 100, "{} instructions", program.len());
    }

    #[test]
    fn no_call_stands_twice() {
        let mut all = [ALWAYS, BY_ARCHITECTURE].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for never in
            ["mount", "bpf", "keyctl", "add_key", "kexec_load", "io_uring_setup", "unshare"]
        {
            assert!(!all.contains(&never), "{never}");
        }
    }
}
