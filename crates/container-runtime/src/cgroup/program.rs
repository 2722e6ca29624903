//! Programs of the kernel's own virtual machine that are attached to a version 2 cgroup.
//!
//! **Invariant:** a program goes with its cgroup: nothing is pinned, and no descriptor of it stays open.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
/// Programs of the groups above, and others of this group, are asked, too; one "no" is enough.
const ATTACH_ALLOW_MULTI: u32 = 2;

/// What a program is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// An access to a device.
    Device,
    /// A packet of IP that a socket of the group sends.
    Egress,
}

impl Hook {
    /// The kernel's numbers of `BPF_PROG_TYPE_CGROUP_*` and of `BPF_CGROUP_*`.
    fn program_and_attach_type(self) -> (u32, u32) {
        match self {
            Self::Device => (15, 6),
            Self::Egress => (8, 1),
        }
    }
}

/// One instruction: operation, registers (destination low, source high), jump offset, constant.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub code: u8,
    pub registers: u8,
    pub offset: i16,
    pub constant: i32,
}

impl Instruction {
    pub fn new(code: u8, to: u8, from: u8, offset: i16, constant: i32) -> Instruction {
        Instruction { code, registers: to | from << 4, offset, constant }
    }
}

/// Ends the program: 1 allows, 0 does not.
pub(super) fn answer(value: i32) -> [Instruction; 2] {
    const MOVE: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    [Instruction::new(MOVE, 0, 0, 0, value), Instruction::new(EXIT, 0, 0, 0, 0)]
}

#[repr(C)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads the program and attaches it to the cgroup directory `group`.
pub(super) fn attach(group: &Path, hook: Hook, instructions: &[Instruction]) -> io::Result<()> {
    let (prog_type, attach_type) = hook.program_and_attach_type();
    let program = load(prog_type, attach_type, instructions)?;
    let group = File::open(group)?;
    let attributes = AttachAttributes {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type,
        attach_flags: ATTACH_ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attributes).map(|_| ())
}

fn load(
    prog_type: u32,
    expected_attach_type: u32,
    instructions: &[Instruction],
) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        prog_type,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: [0; 16],
        prog_ifindex: 0,
        expected_attach_type,
    };
    let descriptor = bpf(PROG_LOAD, &attributes)?;
    // SAFETY: the kernel just returned this descriptor, and nobody else owns it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is a `repr(C)` prefix of the kernel's union with its true size; what it
    // points to outlives the call.
    #[allow(unsafe_code)]
    let returned = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned as i32) }
}
