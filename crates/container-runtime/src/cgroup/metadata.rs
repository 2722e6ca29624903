//! Keeps the processes of a cgroup from the instance metadata of the machine that they run on: a program that is asked
//! about every packet they send.
//!
//! ```text
//! r2 = where the packet begins, r3 = where it ends       from the context
//! no IPv4 or IPv6 header in it:                           r0 = 1, exit
//! its destination is one of those below, and it is not
//! for port 53, whole or the first part:                   r0 = 0, exit
//! r0 = 1, exit
//! ```
//!
//! What may not pass is lost; the sender of a datagram gets EPERM. Some of these services are name servers, too, and
//! may be the only ones of the machine.
//!
//! What a process may still do is send frames by itself, with a packet socket: the system call filter of a
//! container that is kept from metadata has no such sockets.
//!
//! **Invariant:** no loop, and no byte is read that was not seen to be there, so that the kernel's verifier takes it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::program::{self, Hook, Instruction, answer};

/// Where clouds answer with the credentials of a machine: AWS and most others, Azure, Alibaba.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// AWS, Google Cloud, OpenStack.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// Where `struct __sk_buff` has the packet.
const DATA: i16 = 76;
const DATA_END: i16 = 80;
const HEADER_V4_BYTES: i32 = 20;
const HEADER_V6_BYTES: i32 = 40;
/// Without options, as nearly all are.
const FIRST_BYTE_V4: i32 = 0x45;
const FRAGMENT_V4: i16 = 6;
const FRAGMENT_HIGH_BITS: i32 = 0x1f;
const PROTOCOL_V4: i16 = 9;
const DESTINATION_V4: i16 = 16;
const PROTOCOL_V6: i16 = 6;
const DESTINATION_V6: i16 = 24;
const TCP: i32 = 6;
const UDP: i32 = 17;
/// Behind either header.
const PORT: i16 = 2;
const PORTS_BYTES: i32 = 4;
const NAME_SERVER: i32 = 53;

const LOAD_WORD: u8 = 0x61;
const LOAD_BYTE: u8 = 0x71;
const MOVE_REGISTER: u8 = 0xbf;
/// Of 32 bits: the upper half becomes 0, as it is of a loaded word.
const MOVE_WORD: u8 = 0xb4;
const ADD: u8 = 0x07;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_GREATER_REGISTER: u8 = 0x2d;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;

/// Attaches the program to the cgroup directory `group`. It goes with the cgroup.
pub(super) fn keep_from(group: &Path) -> io::Result<()> {
    program::attach(group, Hook::Egress, &packet_program())
}

/// Stand for the distance to the last two answers, until it is known.
const TO_PASS: i16 = i16::MAX;
const TO_REFUSE: i16 = i16::MAX - 1;

fn packet_program() -> Vec<Instruction> {
    let step = Instruction::new;
    let v4: Vec<Instruction> = METADATA_V4
        .iter()
        .flat_map(|address| refusal(DESTINATION_V4, &[address.octets()], is_name_query_v4()))
        .chain(answer(1))
        .collect();
    let v6: Vec<Instruction> = METADATA_V6
        .iter()
        .flat_map(|address| {
            refusal(DESTINATION_V6, address.octets().as_chunks().0, is_name_query_v6())
        })
        .collect();
    let mut program = vec![step(LOAD_WORD, 2, 1, DATA, 0), step(LOAD_WORD, 3, 1, DATA_END, 0)];
    program.extend(has_bytes(HEADER_V4_BYTES, TO_PASS));
    program.extend([
        step(LOAD_BYTE, 5, 2, 0, 0),
        step(SHIFT_RIGHT, 5, 0, 0, 4),
        step(JUMP_NOT_EQUAL, 5, 0, v4.len() as i16, 4),
    ]);
    program.extend(v4);
    program.push(step(JUMP_NOT_EQUAL, 5, 0, TO_PASS, 6));
    program.extend(has_bytes(HEADER_V6_BYTES, TO_PASS));
    program.extend(v6);
    let pass = program.len();
    program.extend(answer(1));
    let refuse = program.len();
    program.extend(answer(0));
    for (place, instruction) in program.iter_mut().enumerate() {
        match instruction.offset {
            TO_PASS => instruction.offset = (pass - place - 1) as i16,
            TO_REFUSE => instruction.offset = (refuse - place - 1) as i16,
            _ => {}
        }
    }
    program
}

/// Goes on with a packet of so many bytes or more.
fn has_bytes(count: i32, otherwise: i16) -> [Instruction; 3] {
    [
        Instruction::new(MOVE_REGISTER, 4, 2, 0, 0),
        Instruction::new(ADD, 4, 0, 0, count),
        Instruction::new(JUMP_GREATER_REGISTER, 4, 3, otherwise, 0),
    ]
}

/// For a packet whose words from `offset` on are these, what `then` says; goes on behind itself with others.
fn refusal(offset: i16, words: &[[u8; 4]], then: Vec<Instruction>) -> Vec<Instruction> {
    let mut block = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let at = offset + 4 * place as i16;
        block.push(Instruction::new(LOAD_WORD, 6, 2, at, 0));
        block.push(Instruction::new(MOVE_WORD, 7, 0, 0, i32::from_ne_bytes(*word)));
        block.push(Instruction::new(JUMP_NOT_EQUAL_REGISTER, 6, 7, 0, 0));
    }
    block.extend(then);
    let length = block.len();
    for (place, instruction) in block.iter_mut().enumerate() {
        if instruction.code == JUMP_NOT_EQUAL_REGISTER {
            instruction.offset = (length - place - 1) as i16;
        }
    }
    block
}

/// Passes what is for port 53, unless it is a later part of a packet, and refuses the rest.
fn is_name_query_v4() -> Vec<Instruction> {
    let mut block = has_bytes(HEADER_V4_BYTES + PORTS_BYTES, TO_REFUSE).to_vec();
    block.extend([
        Instruction::new(LOAD_BYTE, 5, 2, 0, 0),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, FIRST_BYTE_V4),
        Instruction::new(LOAD_BYTE, 5, 2, FRAGMENT_V4, 0),
        Instruction::new(AND, 5, 0, 0, FRAGMENT_HIGH_BITS),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, 0),
        Instruction::new(LOAD_BYTE, 5, 2, FRAGMENT_V4 + 1, 0),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, 0),
    ]);
    block.extend(is_of_name_server(PROTOCOL_V4, HEADER_V4_BYTES));
    block
}

/// The same; a packet in parts has another header in between.
fn is_name_query_v6() -> Vec<Instruction> {
    let mut block = has_bytes(HEADER_V6_BYTES + PORTS_BYTES, TO_REFUSE).to_vec();
    block.extend(is_of_name_server(PROTOCOL_V6, HEADER_V6_BYTES));
    block
}

fn is_of_name_server(protocol: i16, header_bytes: i32) -> [Instruction; 8] {
    let port = header_bytes as i16 + PORT;
    [
        Instruction::new(LOAD_BYTE, 5, 2, protocol, 0),
        Instruction::new(JUMP_EQUAL, 5, 0, 1, TCP),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, UDP),
        Instruction::new(LOAD_BYTE, 5, 2, port, 0),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, 0),
        Instruction::new(LOAD_BYTE, 5, 2, port + 1, 0),
        Instruction::new(JUMP_EQUAL, 5, 0, TO_PASS, NAME_SERVER),
        Instruction::new(JUMP_NOT_EQUAL, 5, 0, TO_REFUSE, NAME_SERVER),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// A machine for the few instructions that the program uses; the packet lies at 0 of its memory.
    fn run(program: &[Instruction], packet: &[u8]) -> u64 {
        let mut registers = [0_u64; 11];
        let mut place = 0_usize;
        loop {
            let step = program[place];
            let (to, from) = (usize::from(step.registers & 15), usize::from(step.registers >> 4));
            let constant = i64::from(step.constant) as u64;
            let offset = usize::try_from(step.offset).unwrap();
            place += 1;
            let word = || {
                let bytes = &packet[offset..offset + 4];
                u64::from(u32::from_ne_bytes(bytes.try_into().unwrap()))
            };
            match step.code {
                LOAD_WORD if from == 1 && step.offset == DATA => registers[to] = 0,
                LOAD_WORD if from == 1 => registers[to] = packet.len() as u64,
                LOAD_WORD => registers[to] = word(),
                LOAD_BYTE => registers[to] = u64::from(packet[offset]),
                MOVE_REGISTER => registers[to] = registers[from],
                MOVE_WORD => registers[to] = u64::from(step.constant as u32),
                ADD => registers[to] += constant,
                SHIFT_RIGHT => registers[to] >>= constant,
                JUMP_GREATER_REGISTER if registers[to] > registers[from] => place += offset,
                AND => registers[to] &= constant,
                JUMP_EQUAL if registers[to] == constant => place += offset,
                JUMP_NOT_EQUAL if registers[to] != constant => place += offset,
                JUMP_NOT_EQUAL_REGISTER if registers[to] != registers[from] => place += offset,
                JUMP_GREATER_REGISTER | JUMP_EQUAL | JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER => {}
                0xb7 => registers[to] = constant,
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[track_caller]
    fn check(packet: &[u8], passes: bool) {
        assert_eq!(run(&packet_program(), packet), u64::from(passes), "{packet:?}");
    }

    const TCP_TO_80: [u8; 4] = [200, 1, 0, 80];

    /// Of TCP, with these four bytes behind its header.
    fn packet(to: &str, ports: [u8; 4]) -> Vec<u8> {
        let protocol = TCP as u8;
        match to.parse().unwrap() {
            IpAddr::V4(to) => {
                [&[0x45][..], &[0; 8], &[protocol], &[0; 6], &to.octets(), &ports].concat()
            }
            IpAddr::V6(to) => {
                [&[0x60][..], &[0; 5], &[protocol], &[0; 17], &to.octets(), &ports].concat()
            }
        }
    }

    #[test]
    fn packets_to_metadata_do_not_pass() {
        for to in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
        ] {
            check(&packet(to, TCP_TO_80), false);
            check(&packet(to, [0, 53, 0, 80]), false);
            check(&packet(to, [200, 1, 53, 53]), false);
            check(&packet(to, [200, 1, 0, 53]), true);
            let short = packet(to, [200, 1, 0, 53]);
            check(&short[..short.len() - 1], false);
        }
    }

    #[test]
    fn a_name_query_is_a_whole_packet_of_tcp_or_udp() {
        let changed = |place: usize, byte: u8| {
            let mut packet = packet("169.254.169.254", [200, 1, 0, 53]);
            packet[place] = byte;
            packet
        };
        check(&changed(9, UDP as u8), true);
        check(&changed(9, 1), false);
        // More parts follow; a later part; one far behind; a header with options.
        check(&changed(6, 0x20), true);
        check(&changed(7, 1), false);
        check(&changed(6, 1), false);
        check(&changed(0, 0x46), false);
        let mut in_parts = packet("fd00:ec2::254", [200, 1, 0, 53]);
        in_parts[6] = 44;
        check(&in_parts, false);
    }

    #[test]
    fn all_others_pass() {
        for to in [
            "169.254.170.2",
            "169.254.169.253",
            "254.169.254.169",
            "10.0.0.1",
            "127.0.0.1",
            "fd00:ec2::253",
            "fd00:ec3::254",
            "fd00:ec2:0:0:1::254",
            "fe80::1",
            "::1",
        ] {
            check(&packet(to, TCP_TO_80), true);
        }
        check(&[], true);
        check(&[0x45; 19], true);
        check(&[0x60; 39], true);
        check(&[0x70; 60], true);
    }
}
