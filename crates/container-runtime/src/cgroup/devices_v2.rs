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

use std::io;
use std::path::Path;

use super::devices::DeviceRule;
use super::program::{self, Hook, Instruction, answer};

const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;

/// Loads the program for `rules` and attaches it to the cgroup directory `group`. It goes with the
/// cgroup.
pub(super) fn attach(group: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    program::attach(group, Hook::Device, &program(rules))
}

fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    const LOAD_WORD: u8 = 0x61;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const MOVE_REGISTER: u8 = 0xbf;
    let step = Instruction::new;
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
    let step = |code, to, from, constant| Instruction::new(code, to, from, 0, constant);
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
