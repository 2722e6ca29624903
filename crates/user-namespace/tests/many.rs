//! Many at once, in a program of its own: what the process is while another test makes one is not what it was
//! before. Needs root, as the node does.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::fs;

use outport_user_namespace::{IdRange, create, create_network};
use rustix::process::dumpable_behavior;

/// From many threads at once, and nothing of it is left: no process, no other state of a thread that made them.
#[test]
fn many_are_made_at_once() {
    let before = dumpable_behavior().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            scope.spawn(move || {
                let before = status();
                for number in 0..25 {
                    let first = 3_100_000_000 + (thread * 25 + number) * 65_536;
                    let user = create(IdRange::beginning(first).unwrap()).unwrap();
                    create_network(&user).unwrap();
                }
                assert_eq!(status(), before);
            });
        }
    });
    assert_eq!(dumpable_behavior().unwrap(), before);
}

/// What the calling thread may do, and which signals wait for it. Of this thread alone: the C library blocks
/// signals of another one while that begins a thread.
fn status() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/status").unwrap();
    let kept = ["Uid:", "CapEff:", "SigBlk:"];
    let lines = text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}
