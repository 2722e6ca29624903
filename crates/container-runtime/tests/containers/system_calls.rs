//! The filter as the kernel applies it: a program of a few machine instructions makes calls of all three
//! ABIs that an x86-64 kernel offers. What the filter says of each number of each is tested where it is
//! compiled.

#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code, reason = "the machine code lies in this program, which never runs it")]

use std::arch::global_asm;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::host::{Host, ended};

// Goes through a table behind its end, one call an entry, until a gate of -1. For each it notes P for
// "not permitted", N for "not there", a dot for everything else, and writes the notes as a line.
global_asm!(
    ".pushsection .rodata",
    "probe_begin:",
    "lea rbx, [rip + probe_end]",
    "lea r12, [rsp - 8192]",
    "xor r13d, r13d",
    "2: mov rax, [rbx]",
    "cmp rax, -1",
    "je 9f",
    "cmp rax, 1",
    "je 3f",
    "mov rax, [rbx + 8]",
    "mov rdi, [rbx + 16]",
    "mov rsi, [rbx + 24]",
    "mov rdx, [rbx + 32]",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "syscall",
    "jmp 4f",
    "3: mov r14, rbx",
    "mov eax, [r14 + 8]",
    "mov ecx, [r14 + 24]",
    "mov edx, [r14 + 32]",
    "mov ebx, [r14 + 16]",
    "xor esi, esi",
    "xor edi, edi",
    "int 0x80",
    "mov rbx, r14",
    "movsxd rax, eax",
    "4: mov cl, 46",
    "cmp rax, -1",
    "jne 5f",
    "mov cl, 80",
    "5: cmp rax, -38",
    "jne 6f",
    "mov cl, 78",
    "6: mov [r12 + r13], cl",
    "inc r13",
    "add rbx, 40",
    "jmp 2b",
    "9: mov byte ptr [r12 + r13], 10",
    "mov eax, 1",
    "mov edi, 1",
    "mov rsi, r12",
    "lea rdx, [r13 + 1]",
    "syscall",
    "mov eax, 231",
    "xor edi, edi",
    "syscall",
    "probe_end:",
    ".popsection",
);

unsafe extern "C" {
    static probe_begin: u8;
    static probe_end: u8;
}

pub const NATIVE: u64 = 0;
const I386: u64 = 1;
const END: u64 = u64::MAX;
const X32_MARK: u64 = 0x4000_0000;

/// A gate, a number, three arguments.
pub type Call = [u64; 5];

const ADDRESS: u64 = 0x40_0000;
/// Where in the running program the four bytes of the file format's version lie, which say 1.
pub const VERSION_ADDRESS: u64 = ADDRESS + 20;

/// The program with its table, as an executable of one segment.
fn executable(calls: &[Call]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    // SAFETY: the two labels enclose bytes that are never written.
    let code = unsafe {
        let (begin, end) = (&raw const probe_begin, &raw const probe_end);
        std::slice::from_raw_parts(begin, end.offset_from(begin) as usize)
    };
    let table = calls.iter().chain([&[END; 5]]).flatten().flat_map(|word| word.to_le_bytes());
    let body: Vec<u8> = code.iter().copied().chain(table).collect();
    let size = HEADERS + body.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [ADDRESS + HEADERS, 64, 0] {
        out.extend(u64::to_le_bytes(word));
    }
    // No flags; sizes and counts of the headers.
    out.extend(0_u32.to_le_bytes());
    for short in [64_u16, 56, 1, 64, 0, 0] {
        out.extend(short.to_le_bytes());
    }
    // One loaded segment that is read and executed.
    out.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1000] {
        out.extend(u64::to_le_bytes(word));
    }
    out.extend(body);
    out
}

/// Puts the program with its table into the image.
pub fn place(host: &Host, name: &str, calls: &[Call]) {
    let path = host.layer.join("bin").join(name);
    fs::write(&path, executable(calls)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What became of each call, and whether the program lived to say so.
fn probe(host: &Host, name: &str, calls: &[Call]) -> Option<String> {
    place(host, name, calls);
    let record = ended(&host.start(name, host.spec(&[name])));
    (record.exit_code == Some(0)).then(|| host.output(name).trim().to_owned())
}

pub fn number(call: libc::c_long) -> u64 {
    call as u64
}

#[test]
fn calls_that_reach_beyond_the_container_are_refused() {
    let refused: Vec<Call> = [
        (libc::SYS_mount, 0),
        (libc::SYS_umount2, 0),
        (libc::SYS_unshare, libc::CLONE_NEWUSER as u64),
        (libc::SYS_unshare, libc::CLONE_NEWNS as u64),
        (libc::SYS_clone, (libc::CLONE_NEWUSER | libc::SIGCHLD) as u64),
        (libc::SYS_setns, 0),
        (libc::SYS_bpf, 0),
        (libc::SYS_keyctl, 0),
        (libc::SYS_add_key, 0),
        (libc::SYS_request_key, 0),
        (libc::SYS_perf_event_open, 0),
        (libc::SYS_open_by_handle_at, 0),
        (libc::SYS_io_uring_setup, 0),
        (libc::SYS_io_uring_enter, 0),
        (libc::SYS_io_uring_register, 0),
        (libc::SYS_open_tree, 0),
        (libc::SYS_move_mount, 0),
        (libc::SYS_fsopen, 0),
        (libc::SYS_mount_setattr, 0),
        (libc::SYS_pivot_root, 0),
        (libc::SYS_init_module, 0),
        (libc::SYS_kexec_load, 0),
        (libc::SYS_userfaultfd, 0),
        (libc::SYS_kcmp, 0),
        (libc::SYS_pidfd_getfd, 0),
        (libc::SYS_personality, 0x40_0000),
        (libc::SYS_socket, libc::AF_VSOCK as u64),
        (libc::SYS_socket, libc::AF_VSOCK as u64 | 1 << 32),
        (libc::SYS_socket, libc::AF_ALG as u64),
    ]
    .map(|(call, argument)| [NATIVE, number(call), argument, libc::SOCK_STREAM as u64, 0])
    .to_vec();
    let host = Host::new();
    let all = "P".repeat(refused.len());
    assert_eq!(probe(&host, "refused", &refused), Some(all));
    let other: Vec<Call> = [
        (libc::SYS_clone3, 0),
        (1000, 0),
        (libc::SYS_getpid, 0),
        (libc::SYS_ptrace, 0),
        (libc::SYS_socket, libc::AF_INET as u64),
    ]
    .map(|(call, argument)| [NATIVE, number(call), argument, libc::SOCK_STREAM as u64, 0])
    .to_vec();
    assert_eq!(probe(&host, "other", &other).as_deref(), Some("NN..."));
}

#[test]
fn no_other_abi_leads_past_the_filter() {
    let host = Host::new();
    let x32: Vec<Call> = [libc::SYS_mount, libc::SYS_unshare, libc::SYS_bpf]
        .map(|call| [NATIVE, number(call) | X32_MARK, 0, 0, 0])
        .to_vec();
    assert_eq!(probe(&host, "x32", &x32).as_deref(), Some("PPP"));
    // mount, umount2, unshare, bpf, keyctl, clone into a user namespace, socket of two families; socketcall
    // for a socket and for a connection; then getpid and socket of AF_UNIX.
    let user = libc::CLONE_NEWUSER as u64;
    let (crypto, hypervisor) = (libc::AF_ALG as u64, libc::AF_VSOCK as u64);
    let refused = [(21, 0), (52, 0), (310, user), (357, 0), (288, 0), (120, user)];
    let sockets = [(359, crypto), (359, hypervisor), (102, 1), (102, 3), (20, 0), (359, 1)];
    let i386 = [refused, sockets].concat();
    let stream = libc::SOCK_STREAM as u64;
    let i386: Vec<Call> =
        i386.into_iter().map(|(call, argument)| [I386, call, argument, stream, 0]).collect();
    // A kernel without that ABI ends the program at its first gate.
    if let Some(notes) = probe(&host, "i386", &i386) {
        assert_eq!(notes, "PPPPPPPPNN..");
    }
}
