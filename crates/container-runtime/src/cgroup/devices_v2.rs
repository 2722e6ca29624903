//! Device rules on version 2: a small program of the kernel's own virtual machine, attached to the
//! cgroup, that answers whether an access is allowed.
//!
//! ```text
//! r2 = type, r3 = access, r4 = major, r5 = minor     from the context
//! for each rule: jump on if type, access, major or minor do not fit; else r0 = 1, exit
//! r0 = 0, exit
//! ```
//!
//! **Invariant:** the program has no loop and no memory access but its context, so that the kernel's
//! verifier takes it on every version that has device programs (4.15 and later).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::devices::DeviceRule;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
const ATTACH_ALLOW_MULTI: u32 = 2;

const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;

/// One instruction: operation, registers (destination low, source high), jump offset, constant.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    constant: i32,
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
}

#[repr(C)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads the program for `rules` and attaches it to the cgroup directory `group`. It goes with the
/// cgroup.
pub(super) fn attach(group: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program = load(&program(rules))?;
    let group = File::open(group)?;
    let attributes = AttachAttributes {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_TYPE_CGROUP_DEVICE,
        attach_flags: ATTACH_ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attributes).map(|_| ())
}

fn load(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
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

fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    const LOAD_WORD: u8 = 0x61;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const MOVE_REGISTER: u8 = 0xbf;
    let step = |code, to: u8, from: u8, offset, constant| Instruction {
        code,
        registers: to | from << 4,
        offset,
        constant,
    };
    let mut program = vec![
        step(LOAD_WORD, 2, 1, 0, 0),
        step(AND, 2, 0, 0, 0xffff),
        step(LOAD_WORD, 3, 1, 0, 0),
        step(SHIFT_RIGHT, 3, 0, 0, 16),
        step(LOAD_WORD, 4, 1, 4, 0),
        step(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let block = rule_block(rule, MOVE_REGISTER, AND);
        program.extend(block);
    }
    program.extend(answer(0));
    program
}

/// Jumps past itself unless everything fits.
fn rule_block(rule: &DeviceRule, move_register: u8, and: u8) -> Vec<Instruction> {
    const JUMP_NOT_EQUAL: u8 = 0x55;
    const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
    let step = |code, to: u8, from: u8, constant| Instruction {
        code,
        registers: to | from << 4,
        offset: 0,
        constant,
    };
    let mut block = Vec::new();
    match rule.kind {
        'b' => block.push(step(JUMP_NOT_EQUAL, 2, 0, TYPE_BLOCK)),
        'c' => block.push(step(JUMP_NOT_EQUAL, 2, 0, TYPE_CHARACTER)),
        _ => {}
    }
    let access = if rule.kind == 'a' { 7 } else { access_bits(&rule.access) };
    if access != ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE {
        // r1 = r3 & access; what is asked for must be within it.
        block.push(step(move_register, 1, 3, 0));
        block.push(step(and, 1, 0, access));
        block.push(step(JUMP_NOT_EQUAL_REGISTER, 1, 3, 0));
    }
    if let Some(major) = rule.major {
        block.push(step(JUMP_NOT_EQUAL, 4, 0, major as i32));
    }
    if let Some(minor) = rule.minor {
        block.push(step(JUMP_NOT_EQUAL, 5, 0, minor as i32));
    }
    block.extend(answer(1));
    let length = block.len();
    for (place, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER) {
            instruction.offset = (length - place - 1) as i16;
        }
    }
    block
}

fn answer(value: i32) -> [Instruction; 2] {
    const MOVE: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    [
        Instruction { code: MOVE, registers: 0, offset: 0, constant: value },
        Instruction { code: EXIT, registers: 0, offset: 0, constant: 0 },
    ]
}

fn access_bits(access: &str) -> i32 {
    access.chars().fold(0, |bits, letter| {
        bits | match letter {
            'm' => ACCESS_MKNOD,
            'r' => ACCESS_READ,
            'w' => ACCESS_WRITE,
            _ => 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::default_rules;

    /// A machine for the few instructions the program uses.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> i64 {
        let context = [i64::from(access << 16 | kind), i64::from(major), i64::from(minor)];
        let mut registers = [0_i64; 11];
        let mut place = 0_usize;
        loop {
            let step = program[place];
            let (to, from) = (usize::from(step.registers & 15), usize::from(step.registers >> 4));
            let constant = i64::from(step.constant);
            place += 1;
            match step.code {
                0x61 => registers[to] = context[usize::try_from(step.offset).unwrap() / 4],
                0x57 => registers[to] &= constant,
                0x77 => registers[to] >>= constant,
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = constant,
                0x55 if registers[to] != constant => place += usize::try_from(step.offset).unwrap(),
                0x5d if registers[to] != registers[from] => {
                    place += usize::try_from(step.offset).unwrap();
                }
                0x55 | 0x5d => {}
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_allows_what_the_rules_do() {
        let program = program(&default_rules());
        let check = |kind, access, major, minor, allowed| {
            let answer = run(&program, kind, access, major, minor);
            assert_eq!(answer, i64::from(allowed), "{kind} {access} {major}:{minor}");
        };
        check(TYPE_CHARACTER, ACCESS_READ | ACCESS_WRITE, 1, 3, true);
        check(TYPE_CHARACTER, ACCESS_READ, 136, 77, true);
        check(TYPE_BLOCK, ACCESS_MKNOD, 8, 0, true);
        check(TYPE_BLOCK, ACCESS_READ, 8, 0, false);
        check(TYPE_BLOCK, ACCESS_READ | ACCESS_MKNOD, 8, 0, false);
        check(TYPE_CHARACTER, ACCESS_READ, 1, 1, false);
        check(TYPE_BLOCK, ACCESS_READ, 1, 3, false);
    }
}
